"""One kernel proof as it goes: follows the machine's console line by line, does what the judge stops for, keeps what it said.
Made by machine/proof.py for one session; what the lines amount to is for verdict/proof.py.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping

from nexus.errors import MachineError
from nexus.machine.kernelview import KernelView
from nexus.machine.looks import Looks
from nexus.machine.session import Session
from nexus.verdict.grammar import KERNEL, PANIC, Line, Malformed, escape, parse
from nexus.verdict.proof import JUDGE, Expected, Problem, Ran, judge_leaks, judge_run, parse_run

LOOK = re.compile(r"look (\d+) ([a-z-]+) (attack|twin) token=([0-9a-f]+) data=([0-9a-f]+)")
LOST = re.compile(r"console lost label=(\S+) lines=(\d+)")
QUIET_SECONDS = 25.0  # longer than any case, and than the judge's own patience
PANIC_SECONDS = 1.0
RESETS = 2  # before the first case: the state of the machine must bear that

OnCase = Callable[[str, bool], None]  # name, and whether it passed


class Course:
    """`place` is where the judge waits for the number of a look: a symbol of its program."""

    def __init__(
        self,
        session: Session,
        looks: Looks,
        view: KernelView,
        table: Mapping[str, Expected],
        labels: frozenset[str],
        place: int,
        on_case: OnCase,
    ) -> None:
        self.session, self.looks, self.view, self.table, self.labels = session, looks, view, table, labels
        self.runs: list[Ran] = []
        self.problems: list[Problem] = []  # that end the course
        self.lost = 0
        self.ended = False
        self._place, self._on_case = place, on_case
        self._lines: list[str] = []
        self._looked: list[tuple[str, str]] = []
        self._resets = 0
        self._next_line = 0

    def follow(self, seconds: float) -> None:
        """To the kernel's last line, or to the first thing that makes it useless to go on."""
        deadline = time.monotonic() + seconds
        while not self.ended and not self.problems:
            patience = min(QUIET_SECONDS, max(0.0, deadline - time.monotonic()))
            seen = self.session.console.line(self._next_line, patience)
            if seen is None:
                self._silence(deadline, seconds)
                return
            self._next_line += 1
            line = parse(seen, self.labels)
            if isinstance(line, Malformed):
                self._malformed(line.why, seen.data)
            else:
                self._take(line)

    def _problem(self, code: str, text: str, expected: str, seen: str = "nothing") -> None:
        self.problems.append(Problem(self.runs[-1].name if self.runs else "start", code, text, expected, seen))

    def _malformed(self, why: str, data: bytes) -> None:
        """A panic begins with a line end of its own, wherever the console stood."""
        after = self.session.console.line(self._next_line, PANIC_SECONDS)
        if after is not None and after.data.startswith(PANIC):
            self._problem("panic", "the kernel panicked", "a kernel that goes on", escape(after.data))
        else:
            self._problem("malformed", why, "a labelled line", escape(data))

    def _silence(self, deadline: float, seconds: float) -> None:
        how = self.session.wait(0.5)
        if how is not None:
            self._problem("died", f"the machine ended ({how}) before the judge did", "the judge's last line")
        elif time.monotonic() >= deadline:
            self._problem("time-out", f"not through after {seconds:g} s", "the judge's last line")
        else:
            self._problem("time-out", f"nothing came for {QUIET_SECONDS:g} s", "the judge's next line")

    def _take(self, line: Line) -> None:
        if line.label == JUDGE and not line.continued:
            self._take_judge(line.text)
            return
        self._lines.append(str(line))
        if line.label == KERNEL:
            self._take_kernel(line.text)

    def _take_kernel(self, text: str) -> None:
        if (lost := LOST.fullmatch(text)) and lost[1] != JUDGE:  # which says again what did not fit
            self.lost += int(lost[2])
        if text.startswith("panic"):
            self._problem("panic", "the kernel panicked", "a kernel that goes on", text)
        self.ended = text.startswith("end run=")

    def _take_judge(self, text: str) -> None:
        if run := parse_run(text, self._lines, self._looked):
            self._take_run(run)
        elif found := LOOK.fullmatch(text):
            self._look(int(found[1]), found[2], found[3] == "twin", int(found[4], 16))
        elif wrong := judge_leaks(text):
            self.problems.append(wrong)

    def _take_run(self, run: Ran) -> None:
        self.runs.append(run)
        self._lines, self._looked = [], []
        if run.right:
            pair = [one for one in self.runs[-2:] if one.name == run.name]
            self._on_case(run.name, len(pair) == 2 and all(self._right(one) for one in pair))

    def _right(self, run: Ran) -> bool:
        expected = self.table.get(run.name)
        return expected is not None and judge_run(run, expected, self.looks.fed) is None

    def _look(self, number: int, what: str, right: bool, token: int) -> None:
        """The guest stands still until its word has the number of this look."""
        wrong = self.looks.look(what, right, token)
        if what not in ("start", "end"):
            self._looked.append((what, wrong))
        elif wrong:
            self._problem("state", f"{what}: {wrong}", "the state of KERNEL.md", wrong)
        if what == "start" and self._resets < RESETS:
            self._reset()
            return
        self.looks.answer(self.view.index_of(JUDGE), self._place, number)

    def _reset(self) -> None:
        """The machine starts again with all that a reset leaves as it was; what it has said so far counts no more."""
        self._resets += 1
        self._next_line = self.session.reset()
        self.looks.refill()
        self._lines, self._looked = [], []


def wait_for(session: Session, seconds: float) -> None:
    """The end of a machine that has said its last line."""
    if session.wait(seconds) is None:
        raise MachineError(f"the machine was still there {seconds:g} s after its last line")
