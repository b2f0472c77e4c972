"""Work that other threads hand to the one thread that owns a machine's sockets: the console's pump, or the terminal's.

Called by console.py and terminalwire.py. Never runs anything itself but on the thread that calls `run`.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from nexus.errors import DeadlineError, MachineError

T = TypeVar("T")
ANSWER_SECONDS = 10.0


class Errands:
    """`wake` is a descriptor to select on: readable when there is something to run."""

    def __init__(self, what: str) -> None:
        self.wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._what = what
        self._asked: deque[Callable[[], None]] = deque()
        self._owner: threading.Thread | None = None

    def start(self, pump: Callable[[], None]) -> None:
        """The owning thread."""
        self._owner = threading.Thread(target=pump, name=f"nexus-{self._what}", daemon=True)
        self._owner.start()

    def ask(self, work: Callable[[], T]) -> T:
        """Its result, from the owning thread."""
        if self._owner is None or not self._owner.is_alive():
            raise MachineError(f"the {self._what} is closed")
        answer: Future[T] = Future()
        self._hand_over(lambda: answer.set_result(work()))
        try:
            return answer.result(ANSWER_SECONDS)
        except TimeoutError as error:
            raise DeadlineError(f"the {self._what}'s thread does not answer") from error

    def end(self, stop: Callable[[], None]) -> None:
        """Have the owning thread end itself, and wait for it. Idempotent."""
        if self._owner is not None and self._owner.is_alive():
            self._hand_over(stop)
            self._owner.join()

    def run(self) -> None:
        """On the owning thread, when `wake` is readable: all that was asked."""
        os.eventfd_read(self.wake)
        while self._asked:
            self._asked.popleft()()

    def close(self) -> None:
        """On the owning thread, at its end."""
        os.close(self.wake)

    def _hand_over(self, work: Callable[[], None]) -> None:
        self._asked.append(work)
        os.eventfd_write(self.wake, 1)
