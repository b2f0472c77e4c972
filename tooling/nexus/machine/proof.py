"""test-kernel: one boot of the proof image, with the host taking its part in it, and the verdict over all its cases. Called by the
verb and by tests/os; gives back the outcome and the one block that a failure prints.

The guest's judge measures and prints; what each case has to end with is in recipes/proof/kernel.toml alone. Never retries.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nexus.contract.load import Contract
from nexus.errors import MachineError
from nexus.machine import registry
from nexus.machine.argv import parse_rng
from nexus.machine.course import Course, OnCase, wait_for
from nexus.machine.kernelview import KernelView, symbols_of
from nexus.machine.looks import Looks
from nexus.machine.qtest import Qtest
from nexus.machine.session import Session
from nexus.machine.symbols import counters_of
from nexus.machine.target import Target, launch_of
from nexus.verdict import proof as verdict
from nexus.verdict.grammar import Seen
from nexus.verdict.proof import JUDGE, Problem
from nexus.verdict.proofreport import Outcome, failure_block
from nexus.verdict.report import LAST_LINES, Context

SYSTEM = "test-kernel"
TABLE = Path("recipes/proof/kernel.toml")
HOST_WORD = "proof_host_word"
DEFAULT_SECONDS = 120.0
END_SECONDS = 10.0
# Time passes by instructions, and by the host's clock only while all wait: an emulator that the host lets stand must not look like a
# guest that spins, or else a verdict would depend on how busy the host is.
CLOCK = "shift=3,sleep=on"
PHASE = "routing"  # any: the machine tells it to who holds the system capability, and nobody else can know it


@dataclass(frozen=True)
class Proof:
    """What one run gave, and the block that it prints if it failed."""

    outcome: Outcome
    block: str


class Runner:
    """One run. The session gets an entropy source that the host feeds, and a way into its memory."""

    def __init__(self, root: Path, target: Target, contract: Contract, seconds: float = DEFAULT_SECONDS) -> None:
        self.root, self.target, self.contract, self.seconds = root, target, contract, seconds
        self.table = verdict.load_table(root / TABLE, contract)
        self._fifo = registry.socket_dir() / f"proof-{secrets.token_hex(4)}.fifo"
        launch = launch_of(target, contract, rng=parse_rng(f"fifo={self._fifo}"), phase=PHASE)
        self.session = Session(root, target.system, launch)
        self._qtest = registry.socket_path(self.session.run, "qtest")
        extra = ("-accel", "tcg", "-qtest", f"unix:{self._qtest},server=on,wait=off", "-qtest-log", "/dev/null")
        self.session.launch = replace(self.session.launch, extra=extra, icount=CLOCK)
        self._course: Course | None = None
        self._console: Sequence[Seen] = ()
        self._hart: tuple[int, str] | None = None

    def run(self, on_case: OnCase = lambda _name, _passed: None) -> Proof:
        """`on_case` hears of each case as soon as both its runs are over."""
        begun = time.monotonic()
        broken = []
        try:
            with self.session:
                begun = time.monotonic()
                self._boot(on_case)
        except MachineError as error:
            broken = [Problem("machine", "machine", error.message, "a machine that runs to its end", "nothing")]
        finally:
            self._fifo.unlink(missing_ok=True)
        return self._result(broken, time.monotonic() - begun)

    def _boot(self, on_case: OnCase) -> None:
        qtest = Qtest(self._qtest)
        view = KernelView(self.target.elf, qtest.read)
        looks = Looks(self.session, qtest, view, self.contract, self._fifo)
        place = symbols_of(self.target.programs[JUDGE])[HOST_WORD]
        self._course = Course(self.session, looks, view, self.table, self.target.labels, place, on_case)
        try:
            self._course.follow(self.seconds)
            if self._course.ended:
                wait_for(self.session, END_SECONDS)
            elif self.session.wait(0.0) is None:
                self._hart = self.session.hart()
        finally:
            self._console = self.session.console.lines()
            looks.close()
            qtest.close()

    def _result(self, broken: list[Problem], seconds: float) -> Proof:
        course, exit = self._course, self.session.exit
        score = verdict.judge_all(course.runs if course else [], self.table, course.looks.fed if course else {})
        fatal = broken + (course.problems if course else [])
        if course and not fatal:
            fatal = verdict.judge_end(course.runs, course.lost, exit, self.contract)
        score.problems = fatal + ([] if broken or (course and course.problems) else score.problems)
        outcome = Outcome(score, tuple(self.table), self.session.nonce, exit.code if exit else None, seconds)
        return Proof(outcome, self._block(score.problems, len(score.runs)) if score.problems else "")

    def _block(self, problems: list[Problem], ran: int) -> str:
        last = self._console[-LAST_LINES:]
        context = Context(
            machine=str(self.session.exit or "killed by nexus after the failure"),
            console=self._console,
            counters=counters_of(last, self.target.labels, self.target.elf, self.target.programs, self._hart),
            logs=[str(path.relative_to(self.root)) for path in self.session.run.logs],
            repeat="./scripts/nexus test-kernel --no-build",
            by_hand=self.session.by_hand,
        )
        return failure_block(problems, ran, context)
