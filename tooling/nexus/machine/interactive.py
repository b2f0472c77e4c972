"""`nexus console` on a person's terminal: keys to the guest, its output and the machine's log on the screen, commands behind one key.

The edge of consoleview.py and consolekeys.py: descriptors, signals and the clock are here, what to draw and what a key means is there.
However it is left, the terminal is as it was.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import BinaryIO, TypeVar

from nexus.errors import NexusError
from nexus.machine.consolekeys import Answer, Event, Keys, Typed, key_name
from nexus.machine.consoleview import Page, View
from nexus.machine.controls import Controls
from nexus.machine.logtail import LogTail
from nexus.machine.rawtty import raw, set_raw, write_all
from nexus.machine.terminal import Outcome

T = TypeVar("T")
CHUNK = 65536
LOG_SECONDS = 0.05  # between two looks at the log
AUDIT_SECONDS = 1.0
TYPED_BYTES = 64 << 10  # not yet taken by the machine: with more, keys wait
AUDIT, GDB = "audit", "gdb"  # titles of pages
HELP = [
    "q  leave; {end}",
    "p  pause the machine, or let it go on          r  reset it",
    "l  log below, above, off                       f  log of one service alone",
    "t  times of log lines                          a  audit trail, or the log again",
    "g  how to attach gdb                           ?  this, or the log again",
    "{key} once more types that key itself",
]


@dataclass
class Person:
    """Where the person sits."""

    keyboard: int
    screen: int
    escape: int
    change: Callable[[bytes], bytes]
    log: BinaryIO | None = None


class Jobs:
    """Work that may take a while, one after the other, on threads that nobody waits for; what to do with the result comes back here."""

    def __init__(self, wake: int) -> None:
        self._wake = wake
        self._turn = threading.Lock()
        self._results: deque[Callable[[], None]] = deque()
        self.pending = 0

    def start(self, work: Callable[[], T], then: Callable[[T], None], wrong: Callable[[str], None]) -> None:
        def run() -> None:
            try:
                with self._turn:
                    result = work()
            except NexusError as error:
                message = error.message
                self._results.append(lambda: wrong(message))
            else:
                self._results.append(lambda: then(result))
            os.eventfd_write(self._wake, 1)

        self.pending += 1
        threading.Thread(target=run, name="nexus-controls", daemon=True).start()

    def finish(self) -> None:
        """On the thread of the screen: what has come back."""
        while self._results:
            self.pending -= 1
            self._results.popleft()()


class Interactive:
    """One sitting at one machine. `own`: the machine ends with it."""

    def __init__(self, wire: socket.socket, tail: LogTail, controls: Controls, person: Person, *, own: bool) -> None:
        wire.setblocking(False)
        self._wire, self._tail, self._controls, self._person, self._own = wire, tail, controls, person, own
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._jobs = Jobs(self._wake)
        self._keys = Keys(person.escape)
        self._typed = bytearray()
        self._running, self._resized, self._left = True, False, False
        self._message = ""
        self._audit_due, self._moved = 0.0, True
        self._view = View(*_size(person.screen), self._status())

    def run(self, deadline: float | None) -> Outcome:
        with raw(self._person.keyboard), self._told_of_sizes():
            try:
                self._draw(self._view.open())
                self._jobs.start(self._controls.runs, self._now_runs, lambda _why: None)
                return self._loop(deadline)
            finally:
                self._draw(self._view.close())

    def _loop(self, deadline: float | None) -> Outcome:
        while not self._left:
            if deadline is not None and time.monotonic() > deadline:
                return Outcome.LATE
            sources: list[int | socket.socket] = [self._wire, self._wake]
            sources += [self._person.keyboard] if len(self._typed) < TYPED_BYTES else []
            ready, writable, _ = select.select(sources, [self._wire] if self._typed else [], [], LOG_SECONDS)
            if self._wake in ready:
                self._awake()
            if self._person.keyboard in ready:
                self._read_keys()
            if writable:
                self._send()
            if self._wire in ready and not self._show():
                return Outcome.ENDED
            self._follow()
        return Outcome.LEFT

    # ---- the machine ----

    def _show(self) -> bool:
        """What the guest printed; False at its end."""
        try:
            data = self._wire.recv(CHUNK)
        except BlockingIOError:
            return True
        except ConnectionError:
            data = b""
        if self._person.log is not None:
            self._person.log.write(data)
        self._draw(self._view.guest(self._person.change(data)))
        self._moved = True
        return bool(data)

    def _send(self) -> None:
        try:
            del self._typed[: self._wire.send(self._typed)]
        except BlockingIOError:
            pass
        except OSError:  # its end is seen by reading
            self._typed.clear()

    def _follow(self) -> None:
        """The log, and the trail while that is shown: read again once something has happened."""
        lines = self._tail.lines()
        self._moved = self._moved or bool(lines)
        self._view.log(lines)
        self._draw(self._view.refresh())
        due = self._view.page_title == AUDIT and self._moved and time.monotonic() > self._audit_due
        if due and not self._jobs.pending:
            self._moved = False
            self._jobs.start(self._controls.audit, self._show_audit, self._tell)

    def _show_audit(self, lines: list[str]) -> None:
        self._audit_due = time.monotonic() + AUDIT_SECONDS
        if self._view.page_title == AUDIT:
            self._draw(self._view.page(Page(AUDIT, lines, newest=True)))

    def _now_runs(self, runs: bool) -> None:
        self._running = runs
        self._view.status = self._status()
        self._tell("")

    # ---- the person ----

    def _draw(self, data: bytes) -> None:
        write_all(self._person.screen, data)

    def _tell(self, message: str) -> None:
        """In the status line, until the next key; what the keys are waiting for comes first."""
        self._message = message
        self._draw(self._view.say(self._keys.prompt or message))

    def _status(self) -> str:
        state = "" if self._running else " | PAUSED"
        return (
            f"{key_name(self._person.escape)} menu{state} | {self._controls.record.system} | {self._controls.record.id}"
        )

    def _read_keys(self) -> None:
        data = os.read(self._person.keyboard, 4096)
        self._left = not data  # the terminal is gone
        before = self._keys.prompt, self._message
        self._message = ""
        while data and not self._left:
            for event in self._keys.feed(data, self._view.labels):
                self._do(event)
            data = self._keys.rest
        if before != (self._keys.prompt, self._message):
            self._tell(self._message)

    def _do(self, event: Event) -> None:
        if isinstance(event, Typed):
            self._typed += event.data
        elif not isinstance(event, Answer):
            self._obey(event.letter)
        elif event.label is not None:
            self._draw(self._view.only(event.label))

    def _obey(self, letter: str) -> None:
        controls, view = self._controls, self._view
        commands: dict[str, Callable[[], object]] = {
            "q": self._leave,
            "p": lambda: self._jobs.start(controls.pause_or_continue, self._now_runs, self._tell),
            "r": self._reset,
            "l": lambda: self._draw(view.move_log()),
            "f": self._keys.ask,
            "t": lambda: self._draw(view.toggle_times()),
            "a": lambda: self._turn_to(Page(AUDIT, ["reading the machine's memory ..."])),
            "g": self._turn_to_gdb,
            "?": lambda: self._turn_to(
                Page("help", [line.format(end=self._end(), key=key_name(self._person.escape)) for line in HELP])
            ),
        }
        commands[letter]()

    def _reset(self) -> None:
        self._draw(self._view.guest(b"\x1b[0m\r\n"))  # what comes now belongs to no line of before
        self._jobs.start(self._controls.reset, lambda _none: self._tell("the machine was reset"), self._tell)

    def _leave(self) -> None:
        self._left = True

    def _end(self) -> str:
        return "the machine ends with it" if self._own else "the machine stays up"

    def _turn_to(self, page: Page) -> None:
        """To that page, or back to the log from it."""
        self._moved = True
        self._draw(self._view.close_page() if self._view.page_title == page.title else self._view.page(page))

    def _turn_to_gdb(self) -> None:
        if self._view.page_title == GDB:
            self._draw(self._view.close_page())
        else:
            self._jobs.start(self._controls.gdb, lambda lines: self._turn_to(Page(GDB, lines)), self._tell)

    # ---- signals ----

    @contextmanager
    def _told_of_sizes(self) -> Iterator[None]:
        """Of a new size, and that somebody has stopped this process and let it go on, which leaves the terminal to others in between."""
        numbers = (signal.SIGWINCH, signal.SIGCONT)
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            if not self._jobs.pending:  # else somebody will still write there
                os.close(self._wake)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._resized = True
        os.eventfd_write(self._wake, 1)

    def _awake(self) -> None:
        os.eventfd_read(self._wake)
        if self._resized:
            self._resized = False
            set_raw(self._person.keyboard)
            self._draw(self._view.resize(*_size(self._person.screen)))
        self._jobs.finish()


def _size(screen: int) -> tuple[int, int]:
    """Rows and columns; a terminal that does not know has the usual ones."""
    columns, rows = os.get_terminal_size(screen)
    return rows or 24, columns or 80
