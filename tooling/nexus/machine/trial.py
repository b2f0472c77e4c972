"""test-os: one boot of an image, judged. Called by the verb; gives back the verdict and the one block a failure prints.

Never retries: the first failure is the answer.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nexus.contract.load import Contract
from nexus.errors import EXIT_INTERRUPTED, MachineError, UsageError
from nexus.machine import judge as judging
from nexus.machine.argv import RNG_DEVICE, parse_rng
from nexus.machine.policypages import PolicyLook, look_of
from nexus.machine.session import Session
from nexus.machine.symbols import counters_of
from nexus.machine.target import Target, launch_of, plan_of
from nexus.verdict.grammar import Seen
from nexus.verdict.ladder import Exit, Failure, Ladder, Verdict
from nexus.verdict.report import LAST_LINES, Context, failure_block

DEFAULT_SECONDS = 60.0
INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Trial:
    """What one judged boot gave."""

    verdict: Verdict
    block: str
    seconds: float


def check_phase(contract: Contract, phase: str | None) -> None:
    if phase is not None and phase not in contract.phases:
        raise UsageError(f"phase `{phase}` is unknown", f"phases: {', '.join(contract.phases)}")


class Runner:
    """One trial: boots, judges, reports. `on_line` sees every line, with the ladder as it stands after it. `system`: the recipe, as it
    was given.
    """

    def __init__(
        self,
        root: Path,
        target: Target,
        contract: Contract,
        *,
        system: str,
        phase: str | None,
        keep: bool,
        seconds: float,
        rng: str,
        keep_memory: bool = False,
    ) -> None:
        self.root = root
        self.target = target
        self.seconds = seconds
        source = parse_rng(rng)
        launch = launch_of(target, contract, rng=source, phase=phase, keep=keep)
        self.traced = RNG_DEVICE in target.devices and source.backend != "none"
        self.session = Session(root, target.system, launch, trace_rng=self.traced, keep_memory=keep_memory)
        self.ladder = Ladder(plan_of(target, contract, self.session, phase=phase, keep=keep))
        self._look: PolicyLook | None = look_of(self.session, target, contract)
        if self._look:
            self.session.on_paused = self._look.at_start
        again = [
            "./scripts/nexus",
            "test-os",
            "--no-build",
            "--system",
            system,
            "--timeout",
            f"{seconds:g}",
        ]
        again += (["--phase", phase] if phase else []) + (["--rng", rng] if rng else [])
        self.repeat = shlex.join(again)

    def run(self, on_line: Callable[[Seen, Ladder], None], stay: Callable[[Session, Ladder], None]) -> Trial:
        """`stay` is called with a machine that is to stay up after its verdict."""
        begun = time.monotonic()
        hart: tuple[int, str] | None = None
        try:
            with self.session as session:
                judging.judge(session, self.ladder, self.seconds, on_line=lambda seen: self._on_line(seen, on_line))
                seconds = session.console.elapsed
                self._beside_the_console()
                if self.ladder.failure and session.wait(judging.QUIET_SECONDS) is None:
                    hart = session.hart()
                elif self.ladder.plan.keep:
                    stay(session, self.ladder)
                exit = session.exit
                session.log_event("verdict", code=self.ladder.failure.code if self.ladder.failure else "pass")
        except MachineError as error:
            return self._no_start(error, time.monotonic() - begun)
        if self.traced and not self.ladder.plan.keep:
            self.ladder.delivered(judging.delivered(self.session.run.rng_trace))
        return self._result(exit, seconds, hart)

    def interrupted(self) -> Verdict:
        """As far as it came, for somebody who ends it before there is a verdict."""
        text = "somebody ended the run"
        self.ladder.failure = self.ladder.failure or Failure(
            INTERRUPTED, text, self.ladder.expected(), "", EXIT_INTERRUPTED
        )
        return self.ladder.verdict(None)

    def _beside_the_console(self) -> None:
        """What no line can show: that the machine decides by the stated policy, and that what it printed as signed is."""
        if self._look and self.ladder.failure is None:
            self.ladder.mapped(self._look.problem())
        self.ladder.signed()

    def _on_line(self, seen: Seen, on_line: Callable[[Seen, Ladder], None]) -> None:
        if self._look:
            self._look.on_line(self.ladder)
        on_line(seen, self.ladder)

    def _result(self, exit: Exit | None, seconds: float, hart: tuple[int, str] | None) -> Trial:
        verdict = self.ladder.verdict(exit.code if exit else None)
        block = ""
        if verdict.failure is not None:
            console = self.session.console.lines()
            block = self._block(
                verdict,
                verdict.failure,
                console,
                str(exit or "killed by nexus after the failure"),
                self._counters(console, hart),
            )
        return Trial(verdict, block, seconds)

    def _no_start(self, error: MachineError, seconds: float) -> Trial:
        """The machine failed before or beside the console: still a verdict, so that no report lacks one."""
        self.ladder.failure = Failure("no-start", error.message, self.ladder.expected(), "", error.exit_code)
        verdict = self.ladder.verdict(None)
        block = self._block(verdict, self.ladder.failure, [], str(self.session.exit or "did not start"), [])
        return Trial(verdict, block, seconds)

    def _counters(self, console: Sequence[Seen], hart: tuple[int, str] | None) -> list[str]:
        return counters_of(console[-LAST_LINES:], self.target.labels, self.target.elf, self.target.programs, hart)

    def _block(
        self, verdict: Verdict, failure: Failure, console: Sequence[Seen], machine: str, counters: list[str]
    ) -> str:
        context = Context(
            machine=machine,
            console=console,
            counters=counters,
            logs=[str(path.relative_to(self.root)) for path in self.session.run.logs],
            repeat=self.repeat,
            by_hand=self.session.by_hand,
        )
        return failure_block(verdict, failure, context)
