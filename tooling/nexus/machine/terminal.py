"""A person's view of a console: whole lines, escaped, over one status line; Ctrl-] leaves. Used by run and console.

Reads a raw byte stream, whoever owns the machine. Never shows a guest byte that a terminal could obey.
"""

from __future__ import annotations

import enum
import os
import select
import shutil
import socket
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from nexus.verdict.grammar import MAX_LINE_BYTES, escape

LEAVE = b"\x1d"
CLEAR = "\r\x1b[K"


class Outcome(enum.Enum):
    LEFT = "left"
    SEEN = "seen"
    ENDED = "ended"
    LATE = "late"


class View:
    """Shows a stream until somebody leaves, a line comes that is waited for, time is up or the stream ends."""

    def __init__(
        self,
        stream: socket.socket,
        status: Callable[[str], str],
        until: Callable[[str], bool] | None = None,
        out: TextIO = sys.stdout,
    ) -> None:
        self._stream = stream
        self._status = status
        self._until = until
        self._partial = bytearray()
        self._bar = ""
        self._out = out
        self._live = out.isatty()

    def show(self, seconds: float | None) -> Outcome:
        """Run the view; the status line is gone afterwards."""
        deadline = None if seconds is None else time.monotonic() + seconds
        with key_presses() as keyboard:
            self._draw("")
            try:
                return self._loop(keyboard, deadline)
            finally:
                self._write("", bar="")

    def _loop(self, keyboard: int | None, deadline: float | None) -> Outcome:
        sources: list[int | socket.socket] = [self._stream] + ([] if keyboard is None else [keyboard])
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return Outcome.LATE
            ready, _, _ = select.select(sources, [], [], left)
            if keyboard in ready and LEAVE in os.read(sys.stdin.fileno(), 64):
                return Outcome.LEFT
            if self._stream in ready:
                data = self._stream.recv(65536)
                if not data:
                    return Outcome.ENDED
                if self._take(data):
                    return Outcome.SEEN

    def _take(self, data: bytes) -> bool:
        """Print the lines that are whole now; whether one is what is waited for."""
        self._partial += data
        *lines, rest = self._partial.split(b"\n")
        self._partial = bytearray(rest[:MAX_LINE_BYTES])
        for line in lines:
            text = escape(bytes(line).removesuffix(b"\r"))
            self._draw(text)
            if self._until is not None and self._until(text):
                return True
        return False

    def _draw(self, text: str) -> None:
        self._write(f"{text}\n" if text else "", self._status(text))

    def _write(self, text: str, bar: str) -> None:
        if not self._live:
            self._out.write(text)
        elif text or bar != self._bar:
            width = shutil.get_terminal_size().columns - 1
            self._out.write(f"{CLEAR}{text}\x1b[7m{bar[:width]}\x1b[0m" if bar else f"{CLEAR}{text}")
            self._bar = bar
        self._out.flush()


@contextmanager
def key_presses() -> Iterator[int | None]:
    """Single key presses without echo while the block lasts, None where nobody types; Ctrl-C stays an interrupt."""
    if not sys.stdin.isatty():
        yield None
        return
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    try:
        tty.setcbreak(keyboard)
        yield keyboard
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
