"""test-kernel: one boot of the proof image, with the host taking its part in it, and the verdict over all its cases. Called by the
verb and by tests/os; gives back the score and the one block that a failure prints.

The guest's judge measures and prints; what each case has to end with is in recipes/proof/kernel.toml alone. Never retries.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nexus.contract.load import Contract
from nexus.errors import MachineError, VerdictError
from nexus.machine import registry
from nexus.machine.argv import parse_rng
from nexus.machine.kernelview import KernelView, symbols_of
from nexus.machine.looks import Looks
from nexus.machine.qtest import Qtest
from nexus.machine.session import Session
from nexus.machine.symbols import counters_of
from nexus.machine.target import Target, launch_of
from nexus.verdict import proof as verdict
from nexus.verdict.grammar import Line, Malformed, escape, parse
from nexus.verdict.ladder import Exit
from nexus.verdict.proof import Expected, Problem, Score
from nexus.verdict.report import LAST_LINES, tail

SYSTEM = "test-kernel"
TABLE = Path("recipes/proof/kernel.toml")
JUDGE = "judge"
HOST_WORD = "proof_host_word"
LOOK = re.compile(r"look (\d+) ([a-z-]+) (attack|twin) token=([0-9a-f]+) data=([0-9a-f]+)")
LOST = re.compile(r"console lost label=(\S+) lines=(\d+)")
DEFAULT_SECONDS = 120.0
END_SECONDS = 10.0
QUIET_SECONDS = 25.0  # longer than any case, and than the judge's own patience
PHASE = "routing"  # any: the machine tells it to who holds the system capability, and nobody else can know it
RESETS = 2


@dataclass(frozen=True)
class Proof:
    """What one run gave."""

    score: Score
    cases: int
    seconds: float
    exit: Exit | None
    block: str

    @property
    def failure(self) -> Problem | None:
        return self.score.problems[0] if self.score.problems else None


class Runner:
    """One run. `on_case` sees each case when both its runs are over, with its problems."""

    def __init__(self, root: Path, target: Target, contract: Contract, seconds: float = DEFAULT_SECONDS) -> None:
        self.root, self.target, self.contract, self.seconds = root, target, contract, seconds
        self.table = verdict.load_table(root / TABLE, contract)
        fifo = registry.socket_dir() / f"proof-{secrets.token_hex(4)}.fifo"
        launch = launch_of(target, contract, rng=parse_rng(f"fifo={fifo}"), phase=PHASE)
        self.session = Session(root, target.system, launch)
        self._fifo = fifo
        self._qtest_path = registry.socket_path(self.session.run, "qtest")
        extra = ("-accel", "tcg", "-qtest", f"unix:{self._qtest_path},server=on,wait=off", "-qtest-log", "/dev/null")
        self.session.launch = replace(self.session.launch, extra=extra)
        self.runs: list[verdict.Ran] = []
        self.problems: list[Problem] = []
        self.lines: list[str] = []
        self.looks_done: list[tuple[str, str]] = []
        self.resets = 0
        self.lost = 0
        self.ended = False
        self.next_line = 0

    def run(self, on_case: Callable[[str, bool], None] = lambda _name, _passed: None) -> Proof:
        begun = time.monotonic()
        hart: int | None = None
        fed: Mapping[int, int] = {}
        try:
            with self.session as session:
                begun = time.monotonic()
                qtest = Qtest(self._qtest_path)
                view = KernelView(self.target.elf, qtest.read)
                looks = Looks(session, qtest, view, self.contract, self._fifo)
                try:
                    self._follow(looks, view, begun + self.seconds, on_case)
                    if self.ended:
                        session.wait(END_SECONDS)
                    if not self.ended and session.wait(0.0) is None:
                        hart = session.counter()
                finally:
                    fed = looks.fed
                    looks.close()
                    qtest.close()
        except MachineError as error:
            self._problem("machine", error.message, "a machine that runs to its end")
        finally:
            self._fifo.unlink(missing_ok=True)
        return self._result(fed, time.monotonic() - begun, hart)

    def _problem(self, code: str, text: str, expected: str, seen: str = "nothing") -> None:
        self.problems.append(Problem(self.runs[-1].name if self.runs else "start", code, text, expected, seen))

    # --- following the console ---

    def _follow(self, looks: Looks, view: KernelView, deadline: float, on_case: Callable[[str, bool], None]) -> None:
        while not self.ended:
            seen = self.session.console.line(self.next_line, min(QUIET_SECONDS, max(0.0, deadline - time.monotonic())))
            if seen is None:
                self._silence(deadline)
                return
            self.next_line += 1
            line = parse(seen, self.target.labels)
            if isinstance(line, Malformed):
                self._problem("malformed", line.why, "a labelled line", escape(seen.data))
                return
            self._take(line, looks, view, on_case)
            if self.problems:
                return

    def _silence(self, deadline: float) -> None:
        how = self.session.wait(0.5)
        if how is not None:
            self._problem("died", f"the machine ended ({how}) before the judge did", "the judge's last line")
        elif time.monotonic() >= deadline:
            self._problem("late", f"not through after {self.seconds:g} s", "the judge's last line")
        else:
            self._problem("silent", f"nothing came for {QUIET_SECONDS:g} s", "the judge's next line")

    def _take(self, line: Line, looks: Looks, view: KernelView, on_case: Callable[[str, bool], None]) -> None:
        if line.label == JUDGE and not line.continued:
            self._take_judge(line.text, looks, view, on_case)
            return
        self.lines.append(str(line))
        if line.label != "kernel":
            return
        if (lost := LOST.fullmatch(line.text)) and lost[1] != JUDGE:  # which says again what did not fit
            self.lost += int(lost[2])
        if line.text.startswith("panic"):
            self._problem("panic", "the kernel panicked", "a kernel that goes on", line.text)
        if line.text.startswith("end run="):
            self.ended = True

    def _take_judge(self, text: str, looks: Looks, view: KernelView, on_case: Callable[[str, bool], None]) -> None:
        run = verdict.parse_run(text, self.lines, self.looks_done)
        if run is not None:
            self.runs.append(run)
            self.lines, self.looks_done = [], []
            if run.right:
                pair = [run for run in self.runs[-2:] if run.name == self.runs[-1].name]
                expected = self.table.get(run.name)
                on_case(run.name, bool(expected) and not any(self._wrong(run, looks) for run in pair))
            return
        if found := LOOK.fullmatch(text):
            self._look(int(found[1]), found[2], found[3] == "twin", int(found[4], 16), looks, view)
            return
        if wrong := verdict.judge_leaks(text):
            self.problems.append(wrong)

    def _wrong(self, run: verdict.Ran, looks: Looks) -> Problem | None:
        expected: Expected | None = self.table.get(run.name)
        return verdict.judge_run(run, expected, looks.fed) if expected else None

    def _look(self, number: int, what: str, right: bool, token: int, looks: Looks, view: KernelView) -> None:
        """The guest stands still until its word has the number of this look."""
        wrong = looks.look(what, right, token)
        if what in ("start", "end"):
            if wrong:
                self._problem("state", f"{what}: {wrong}", "the state of KERNEL.md", wrong)
            if what == "start" and self.resets < RESETS:
                self.resets += 1
                self._reset(looks)
                return
        else:
            self.looks_done.append((what, wrong))
        place = view.translate(view.index_of(JUDGE), symbols_of(self.target.programs[JUDGE])[HOST_WORD])
        if place is None:
            raise MachineError("the judge's page is not mapped")
        looks.qtest.write32(place, number)

    def _reset(self, looks: Looks) -> None:
        """The machine starts again, with all that a reset leaves as it was; what it has said so far counts no more."""
        self.next_line = self.session.reset()
        looks.refill()
        self.lines, self.looks_done = [], []

    # --- the result ---

    def _result(self, fed: Mapping[int, int], seconds: float, hart: int | None) -> Proof:
        exit = self.session.exit or None
        score = verdict.judge_all(self.runs, self.table, fed)
        score.problems = self.problems + ([] if self.problems else self._at_end(exit) + score.problems)
        block = self._block(score.problems, hart, exit) if score.problems else ""
        return Proof(score, len(self.table), seconds, exit, block)

    def _at_end(self, exit: Exit | None) -> list[Problem]:
        """What concerns all cases: the exit code, and that every line refused was told."""
        problems = []
        ok = self.contract.number("exit.ok")
        if exit is None or exit.code != ok:
            problems.append(
                Problem("end", "exit-code", "the machine ended in another way", f"exit code {ok}", str(exit))
            )
        refused = sum(run.data for run in self.runs if run.name.startswith("console.") and run.cause == "exit")
        if refused != self.lost:
            text = "lines refused and lines told to be lost differ"
            problems.append(Problem("end", "lost-lines", text, f"{refused} lost lines told", str(self.lost)))
        return problems

    def _block(self, problems: list[Problem], hart: int | None, exit: Exit | None) -> str:
        first = problems[0]
        console = self.session.console.lines()
        counters = counters_of(console[-LAST_LINES:], self.target.labels, self.target.elf, self.target.programs, hart)
        rows = [
            ("step", f"case {first.case}, after {len(self.runs)} runs; {len(problems)} problems"),
            ("expected", first.expected),
            ("seen", first.seen),
            ("reason", first.text),
            *(("pc", counter) for counter in counters),
            ("exit", f"machine: {exit or 'killed by nexus after the failure'}; nexus: {VerdictError.exit_code}"),
            *(
                ("also", f"{other.case}: {other.text} (expected {other.expected}, seen {other.seen})")
                for other in problems[1:9]
            ),
        ]
        lines = [f"FAIL {first.code}", *(f"  {name:<9} {value}" for name, value in rows), *tail(console)]
        lines += [f"  {'logs':<9} {path.relative_to(self.root)}" for path in self.session.run.logs]
        return "\n".join(
            [*lines, f"  {'repeat':<9} ./scripts/nexus test-kernel", f"  {'by hand':<9} {self.session.by_hand}"]
        )


def to_json(proof: Proof, nonce: str) -> dict[str, Any]:
    """In the shape of test-os, with cases in the place of markers."""
    failure = proof.failure
    reason = None
    if failure is not None:
        reason = {"code": failure.code, "text": failure.text, "expected": failure.expected, "seen": failure.seen}
    failing = {problem.case.split(" ")[0] for problem in proof.score.problems}
    passed = set(proof.score.passed)
    names = sorted(passed | failing)
    return {
        "verdict": "fail" if failure else "pass",
        "reason": reason,
        "exit_code": proof.exit.code if proof.exit else None,
        "nonce": nonce,
        "cases": [{"name": name, "verdict": "fail" if name in failing else "pass"} for name in names],
        "problems": [vars(problem) for problem in proof.score.problems],
    }


def pass_line(proof: Proof) -> str:
    return f"PASS {len(proof.score.passed)} attacks refused, their twins served, nothing leaked, {proof.seconds:.2f} s"
