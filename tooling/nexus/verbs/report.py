"""The options --report and --trace of run and test-os, and the writing of what they ask for once a run is over, however it ended. What is
in the files lies in views/.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nexus.views.files import check_target, write_whole

if TYPE_CHECKING:
    from nexus.contract.load import Contract
    from nexus.machine.session import Session
    from nexus.machine.target import Target
    from nexus.machine.trial import Runner, Trial

FILE = click.Path(path_type=Path)


def report_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """For a verb that boots."""
    report = click.option(
        "--report",
        metavar="FILE",
        type=FILE,
        help="Write one HTML page about the run when it is over; replaces the file.",
    )
    trace = click.option(
        "--trace",
        metavar="FILE",
        type=FILE,
        help="Write its timeline as Trace Event JSON (ui.perfetto.dev); replaces the file.",
    )
    return report(trace(command))


@dataclass(frozen=True)
class Outputs:
    """What is to be written."""

    report: Path | None
    trace: Path | None

    def __post_init__(self) -> None:
        check_target(self.report, "--report")
        check_target(self.trace, "--trace")

    @property
    def wanted(self) -> bool:
        return self.report is not None or self.trace is not None

    @contextmanager
    def of_session(self, session: Session, target: Target, contract: Contract, repeat: str) -> Iterator[None]:
        """Around a session without a verdict: written when the block is left, by an error or Ctrl-C too."""
        try:
            yield
        finally:
            self._write(session, target, contract, repeat)

    def of_trial(self, runner: Runner, target: Target, contract: Contract, run: Callable[[], Trial]) -> Trial:
        """Around a judged one; somebody who ends it gets what there is."""
        done: list[Trial] = []
        try:
            done.append(run())
        finally:
            verdict, block = (done[0].verdict, done[0].block) if done else (runner.interrupted(), "")
            self._write(runner.session, target, contract, runner.repeat, verdict, block)
        return done[0]

    def _write(self, session: Session, target: Target, contract: Contract, repeat: str, *judged: Any) -> None:
        if not self.wanted:
            return
        from nexus.views.facts import gather

        facts = gather(session.root, session, target, contract, repeat, *judged)
        if self.report is not None:
            from nexus.views.report import to_html

            write_whole(self.report, to_html(facts))
            click.echo(f"report: {self.report}", err=True)
        if self.trace is not None:
            from nexus.views.trace import to_trace

            said = {"run": facts.run, "system": facts.system, "nonce": facts.nonce, "end": facts.end}
            write_whole(self.trace, json.dumps(to_trace(facts.timeline, said)) + "\n")
            click.echo(f"trace: {self.trace}", err=True)


def repeat_command(verb: str, **options: object) -> str:
    """As somebody types it."""
    words = ["./scripts/nexus", verb]
    for name, value in options.items():
        words += [f"--{name}", str(value)] if value else []
    return shlex.join(words)
