"""A person's terminal with every key passed on as it is, put back as it was whatever happens in between. Used by `nexus console`.

What ends the process without a chance to clean up (SIGKILL) can't be helped; SIGTERM and SIGHUP are exceptions by then.
"""

from __future__ import annotations

import os
import select
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def raw(keyboard: int) -> Iterator[None]:
    """No echo, no line editing, no signals by key, no change of line ends in either direction."""
    before = termios.tcgetattr(keyboard)
    try:
        set_raw(keyboard)
        yield
    finally:
        with suppress(termios.error):  # it may be gone by now
            termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def set_raw(keyboard: int) -> None:
    tty.setraw(keyboard, termios.TCSADRAIN)


def write_all(screen: int, data: bytes) -> None:
    """To a descriptor that others may have set to non-blocking."""
    while data:
        try:
            data = data[os.write(screen, data) :]
        except BlockingIOError:
            select.select([], [screen], [])
