"""What the verbs that boot or watch a machine share: how long, how a console is shown, how an end is told. Called by verbs/machine.py and
verbs/console.py. Holds no option and no verb.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from nexus import errors
from nexus.contract.load import load_contract
from nexus.duration import parse_duration
from nexus.layout import contract_dir
from nexus.machine import registry

if TYPE_CHECKING:
    from nexus.machine.follow import Follow
    from nexus.verdict.ladder import Exit

UNTIL_SECONDS = 60.0
PAUSE_SECONDS = 0.02


def duration_of(text: str | None, name: str) -> float | None:
    return parse_duration(text, name) if text else None


def progress(text: str) -> None:
    click.echo(text, err=True)


def end_on_signals() -> None:
    """A nexus that is told to end, or whose terminal is gone, takes its machine with it."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


def attach_uart(record: registry.Record) -> socket.socket:
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        stream.connect(record.console)
    except OSError as error:
        stream.close()
        raise errors.MachineError(f"machine {record.id} has just ended") from error
    return stream


def status_line(leave: str, after: str, begun: float = 0.0, ready: str | None = None) -> Callable[[str], str]:
    """The status line: first how to leave, since a narrow terminal cuts the end; then when it became live, and more."""
    live: list[str] = []

    def bar(line: str) -> str:
        if line == ready and not live:
            live.append(f"live after {time.monotonic() - begun:.2f} s | ")
        return f" {leave} | {''.join(live)}{after} "

    return bar


def watch(
    stream: socket.socket,
    bar: Callable[[str], str],
    until: str | None,
    seconds: float | None,
    quiet: bool = False,
    follow: Follow | None = None,
) -> int | None:
    """Show a console until that text comes or that drop is over; the exit code, or None when the machine ended by itself."""
    from nexus.machine.terminal import Outcome, View

    def ends(line: str) -> bool:
        if follow is not None:
            follow.take(line)
        return (until is not None and until in line) or (follow is not None and follow.over())

    with stream:
        outcome = View(stream, bar, ends, sys.stderr if quiet else sys.stdout).show(seconds)
    if outcome is Outcome.LATE:
        what = f"`{until}` did not come" if until else f"the {'app' if follow else 'machine'} was still up"
        raise errors.DeadlineError(f"{what} after {seconds:g} s")
    if outcome is Outcome.SEEN and follow is not None:
        follow.check()
    return None if outcome is Outcome.ENDED else errors.EXIT_OK


def explain_end(exit: Exit | None, words: str, root: Path, run_id: str) -> int:
    """The machine ended by itself: its own code says whether that was wanted. `words` are QEMU's."""
    exits = {code: name for name, code in load_contract(contract_dir(root)).table("exit").items()}
    name = exits.get(exit.code) if exit and exit.code is not None else None
    if name == "ok":
        return errors.EXIT_OK
    meaning = f": {name.replace('_', ' ')}" if name else f"; QEMU's words: {words}"
    raise errors.MachineError(f"the machine ended with {exit or 'no word'}{meaning}", log_hint(root, run_id))


def exit_of(run: registry.RunDir, seconds: float) -> Exit | None:
    """How a machine ended, once its owner, another nexus, has written it; None if that does not happen in this time."""
    from nexus.verdict.ladder import Exit

    deadline = time.monotonic() + seconds
    while True:
        for line in run.events.read_text(encoding="utf-8").splitlines()[-3:]:
            row = json.loads(line) if line.endswith("}") else {}
            if row.get("event") == "exit":
                return Exit(row["code"], row["signal"], row["why"])
        if time.monotonic() > deadline:
            return None
        time.sleep(PAUSE_SECONDS)


def ended_before(what: str, root: Path, run_id: str) -> errors.MachineError:
    """The machine ended, however well, and what it was watched for is still missing."""
    return errors.MachineError(f"machine {run_id} ended before {what}", log_hint(root, run_id))


def log_hint(root: Path, run_id: str) -> str:
    return f"its logs: {registry.runs_dir(root).relative_to(root) / run_id}/"
