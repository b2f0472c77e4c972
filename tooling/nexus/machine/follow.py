"""What becomes of a drop, told by the machine's console: dropd's lines name the drop, execd's the app that was started from it.

Called by the verbs install and run. Pure but for waiting on a log; believes no line but those of the labels that the kernel gave them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nexus.contract.load import Contract
from nexus.errors import DeadlineError, MachineError, VerdictError

TAKER, STARTER = "dropd", "execd"
AUDIT_HINT = "the true reason is in the audit: nexus audit show"
PAUSE_SECONDS = 0.02
LOGGED = re.compile(r"\[ *[0-9.]+\] (.*)")  # a line of console.log


@dataclass(frozen=True)
class End:
    """How an app ended: FAULT_* and its value."""

    cause: int
    value: int


class Follow:
    """Given every line of a console, knows what is known of one drop so far."""

    def __init__(self, contract: Contract, number: int) -> None:
        self._contract = contract
        line = {name: re.escape(str(text)) for name, text in contract.table("line").items()}
        drop, child = "([0-9a-f]{8})", "([0-9a-f]{8})"
        self._installed = re.compile(f"{TAKER}: {line['drop_installed']}{drop}")
        self._refused = re.compile(f"{TAKER}: {line['drop_refused']}{drop}{line['drop_status']}([0-9a-f]{{2}})")
        self._started = re.compile(f"{TAKER}: {line['drop_started']}{drop}{line['drop_child']}{child}")
        value = f"{line['ended_cause']}([0-9a-f]{{2}}){line['ended_value']}([0-9a-f]{{16}})"
        self._ended = re.compile(f"{STARTER}: {line['ended']}{child}{value}{line['ended_starts']}[0-9a-f]{{2}}")
        # A header that can't be read has no number: nothing but this drop can be meant, as nobody else has dropped anything.
        self._ours = (number, contract.number("drop.empty"))
        self._ends: dict[int, End] = {}
        self.installed = False
        self.refused: int | None = None  # STATUS_*
        self.child: int | None = None

    def take(self, text: str) -> None:
        """The next line."""
        if found := self._ended.fullmatch(text):
            self._ends[int(found[1], 16)] = End(int(found[2], 16), int(found[3], 16))
        elif (found := self._installed.fullmatch(text)) and self._is_ours(found):
            self.installed = True
        elif (found := self._refused.fullmatch(text)) and self._is_ours(found):
            self.refused = int(found[2], 16)
        elif (found := self._started.fullmatch(text)) and self._is_ours(found):
            self.child = int(found[2], 16)

    def _is_ours(self, found: re.Match[str]) -> bool:
        return int(found[1], 16) in self._ours

    @property
    def end(self) -> End | None:
        """Of the app that this drop has started."""
        return self._ends.get(self.child) if self.child is not None else None

    def settled(self, *, start: bool) -> bool:
        """Whether dropd has said all that it will."""
        return self.refused is not None or (self.child is not None if start else self.installed)

    def over(self) -> bool:
        """Whether nothing more can come of it, the app that it started included."""
        return self.refused is not None or self.end is not None

    def check_taken(self) -> None:
        """Raise a refusal, if it was refused."""
        if self.refused is not None:
            what = (
                "it is installed, but the machine refused to start it" if self.installed else "the machine refused it"
            )
            raise VerdictError(f"{what} ({self._name('status', self.refused)})", AUDIT_HINT)

    def check(self) -> None:
        """Raise what is wrong with what has become of it and of its app, if something is."""
        self.check_taken()
        end = self.end
        if end is not None and (self._name("fault", end.cause), end.value) != ("exit", 0):
            raise VerdictError(f"the app ended by {self._name('fault', end.cause)}, value {end.value:#x}")

    def _name(self, table: str, number: int) -> str:
        names = {value: name for name, value in self._contract.table(table).items()}
        return names.get(number, hex(number))


def wait_in_log(
    log: Path, begin: int, follow: Follow, done: Callable[[], bool], alive: Callable[[], bool], seconds: float
) -> None:
    """Read on in a console.log, from that byte, until it is done."""
    deadline = time.monotonic() + seconds
    with log.open(encoding="ascii") as lines:
        lines.seek(begin)
        rest = ""
        while True:
            lives = alive()  # before the last look: what it said before it ended counts
            *whole, rest = (rest + lines.read()).split("\n")
            for text in whole:
                if found := LOGGED.fullmatch(text):
                    follow.take(found[1])
            if done():
                return
            if not lives:
                raise MachineError("the machine ended before it had taken what was dropped", f"its console: {log}")
            if time.monotonic() > deadline:
                raise DeadlineError(f"{TAKER} said nothing of the drop in {seconds:g} s", f"the console: {log}")
            time.sleep(PAUSE_SECONDS)
