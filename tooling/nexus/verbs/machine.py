"""The verbs that boot: run, test-os, test-kernel. Loaded by cli.py when one of them is called.

Only parses, calls and prints; what a boot is lies in machine/, what it proves in verdict/.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus import errors
from nexus.contract.load import Contract, load_contract
from nexus.layout import contract_dir, find_root
from nexus.machine import registry
from nexus.verbs.image import json_option_for
from nexus.verbs.install import lay_down
from nexus.verbs.report import Outputs, repeat_command, report_options
from nexus.verbs.shared import (
    UNTIL_SECONDS,
    attach_uart,
    duration_of,
    end_on_signals,
    ended_before,
    explain_end,
    progress,
    status_line,
    watch,
)
from nexus.views.files import check_option

if TYPE_CHECKING:
    from nexus.machine.drop import Drop
    from nexus.machine.session import Session
    from nexus.machine.trial import Trial
    from nexus.verdict.grammar import Seen
    from nexus.verdict.ladder import Ladder

RNG_HELP = "Entropy source: builtin, random, none, legacy, silent, file=PATH, fifo=PATH; max-bytes=N and period=MS after a comma."
system_option = click.option("--system", default="default", show_default=True, help="The recipe in recipes/systems.")
rng_option = click.option("--rng", default="", metavar="SPEC", help=RNG_HELP)
json_option = json_option_for("The verdict as JSON.")


@click.command()
@system_option
@click.option("--detach", is_flag=True, help="Leave the machine running in the background.")
@click.option("--until", metavar="TEXT", help="End when a console line contains this text.")
@click.option(
    "--timeout", metavar="TIME", help="End after this time with exit code 7; with --detach the machine's lifetime."
)
@json_option_for("With --detach: the machine as JSON.")
@click.option(
    "--app",
    metavar="FILE_OR_FOLDER",
    type=click.Path(exists=True, path_type=Path),
    help="Start this app in it (a bundle, an app's folder or .py file) and end with it: 0 if it ended well, else 1.",
)
@rng_option
@report_options
def run(
    system: str,
    detach: bool,
    until: str | None,
    timeout: str | None,
    json_to: str | None,
    app: Path | None,
    rng: str,
    report: Path | None,
    trace: Path | None,
) -> int:
    """Build what changed, boot the system and show its log."""
    from nexus.machine.argv import has_disk, parse_rng
    from nexus.machine.drop import disk_of
    from nexus.machine.follow import Follow
    from nexus.machine.target import launch_of, prepare

    begun = time.monotonic()
    end_on_signals()
    root = find_root()
    seconds = duration_of(timeout, "--timeout")
    source = parse_rng(rng)
    outputs = Outputs(report, trace)
    if outputs.wanted and detach:
        raise errors.UsageError(
            "found --report or --trace with --detach, expected a run that this command sees the end of"
        )
    contract = load_contract(contract_dir(root))
    drop = _drop(app, root, contract)
    target = prepare(root, system, build=True, progress=progress)
    if drop and not has_disk(target.devices):
        raise errors.UsageError(f"system {system} takes no apps: it has no drop disk", "the default system has one")
    if detach:
        return _run_detached(root, system, rng, until, seconds, json_to, drop)
    from nexus.machine.session import Session

    launch = launch_of(target, contract, rng=source, disk=disk_of(contract, drop) if drop else None)
    follow = Follow(contract, drop.number) if drop else None
    session = Session(root, target.system, launch, keep_memory=outputs.wanted)
    repeat = repeat_command("run", system=system, rng=rng, app=app, until=until, timeout=timeout)
    with outputs.of_session(session, target, contract, repeat), session:
        shell = "shell: ./scripts/nexus console | " if session.terminal else ""
        after = f"{shell}next: edit guest/, run again; ./scripts/just test-os | machine {session.run.id}"
        bar = status_line("Ctrl-] ends it", after, begun, _ready_line(contract))
        seconds = seconds or (UNTIL_SECONDS if until else None)
        code = watch(session.console.view(), bar, until, seconds, follow=follow)
        if code is None:
            code = explain_end(session.wait(5.0), session.qemu_words(), root, session.run.id)
            if until is not None:
                raise ended_before(f"`{until}` came", root, session.run.id)
            if follow is not None and not follow.over():
                raise ended_before("the app was over", root, session.run.id)
        return code


@click.command("test-os")
@click.option("--system", default="selftest", show_default=True, help="The recipe in recipes/systems.")
@click.option("--phase", envvar="RUN_PHASE", help="Stop after this phase of markers.toml.  [RUN_PHASE]")
@click.option("--timeout", envvar="RUN_TIMEOUT", metavar="TIME", help="190s, 3m or 190.  [RUN_TIMEOUT; 60s]")
@json_option
@click.option(
    "--junit",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=check_option,
    help="The verdict as JUnit XML.",
)
@click.option("--no-build", is_flag=True, help="Boot the image that is there; a stale one is refused.")
@rng_option
@report_options
def test_os(
    system: str,
    phase: str | None,
    timeout: str | None,
    json_to: str | None,
    junit: Path | None,
    no_build: bool,
    rng: str,
    report: Path | None,
    trace: Path | None,
) -> int:
    """Boot the selftest system and judge its console. RUN_UNTIL_MARKER=0 keeps the machine up after the verdict."""
    from nexus.machine import trial
    from nexus.machine.argv import parse_rng
    from nexus.machine.target import prepare

    end_on_signals()
    root = find_root()
    contract = load_contract(contract_dir(root))
    phase = phase or None
    trial.check_phase(contract, phase)
    seconds = duration_of(timeout, "RUN_TIMEOUT") or trial.DEFAULT_SECONDS
    keep = _keep()
    parse_rng(rng)  # refused before anything is built
    outputs = Outputs(report, trace)
    say = _speaker(json_to)
    target = prepare(root, system, build=not no_build, progress=progress)
    runner = trial.Runner(
        root,
        target,
        contract,
        system=system,
        phase=phase,
        keep=keep,
        seconds=seconds,
        rng=rng,
        keep_memory=outputs.wanted,
    )
    result = outputs.of_trial(
        runner, target, contract, lambda: runner.run(_marker_printer(say), _stay_up(say, seconds))
    )
    _report(result, say, json_to, junit, system)
    return result.verdict.failure.exit_code if result.verdict.failure else errors.EXIT_OK


@click.command("test-kernel")
@json_option
@click.option(
    "--junit",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    callback=check_option,
    help="The results as JUnit XML.",
)
@click.option("--timeout", metavar="TIME", help="How long the whole proof may take; default 120 s.")
@click.option("--no-build", is_flag=True, help="Refuse a stale image instead of building.")
def test_kernel(json_to: str | None, junit: Path | None, timeout: str | None, no_build: bool) -> int:
    """Boot the kernel proof image and judge every attack on the kernel."""
    from nexus.machine import proof
    from nexus.machine.target import prepare
    from nexus.verdict import proofreport

    end_on_signals()
    root = find_root()
    contract = load_contract(contract_dir(root))
    say = _speaker(json_to)
    target = prepare(root, proof.SYSTEM, build=not no_build, progress=progress)
    runner = proof.Runner(root, target, contract, duration_of(timeout, "--timeout") or proof.DEFAULT_SECONDS)
    done = runner.run(lambda name, passed: None if passed else say(f"  {name}: not refused as it has to be"))
    outcome = done.outcome
    say(done.block or proofreport.pass_line(outcome))
    if json_to is not None:
        _write(json.dumps(proofreport.to_json(outcome), indent=2) + "\n", json_to)
    if junit is not None:
        junit.write_text(proofreport.to_junit(outcome, done.block), encoding="utf-8")
    return proofreport.exit_code(outcome.failure) if outcome.failure else errors.EXIT_OK


def _drop(app: Path | None, root: Path, contract: Contract) -> Drop | None:
    """The app, built, as it is to be dropped into the machine."""
    if app is None:
        return None
    from nexus.bundle.make import bundle_of
    from nexus.machine.drop import Drop

    return Drop.of(contract, bundle_of(app, root, contract, progress), start=True)


def _ready_line(contract: Contract) -> str:
    """The line after which a system is live: the last marker of its bring-up."""
    rows = [row for row in contract.markers if row.phase == contract.phases[0]]
    return f"{rows[-1].label}: {rows[-1].text}"


def _run_detached(
    root: Path,
    system: str,
    rng: str,
    until: str | None,
    seconds: float | None,
    json_to: str | None,
    drop: Drop | None,
) -> int:
    from nexus.machine.keeper import Request, launch_detached

    run_id = launch_detached(Request(str(root), system, rng, seconds))
    say = _speaker(json_to)
    say(f"machine {run_id} is up")
    say(f"  attach: ./scripts/nexus console --machine {run_id}")
    say(f"  end:    ./scripts/nexus console --machine {run_id} --stop")
    record = registry.pick_machine(root, run_id)
    if drop is not None:
        lay_down(root, load_contract(contract_dir(root)), record, drop)
    if json_to is not None:
        _write(json.dumps(asdict(record), indent=2) + "\n", json_to)
    if until is None:
        return errors.EXIT_OK
    bar = status_line("Ctrl-] leaves, the machine stays up", run_id)
    code = watch(attach_uart(record), bar, until, seconds or UNTIL_SECONDS, quiet=json_to == "-")
    if code is None:
        raise ended_before(f"`{until}` came", root, run_id)
    return code


def _keep() -> bool:
    value = os.environ.get("RUN_UNTIL_MARKER") or "1"
    if value not in ("0", "1"):
        raise errors.UsageError(f"RUN_UNTIL_MARKER: found `{value}`, expected 0 or 1")
    return value == "0"


def _speaker(json_to: str | None) -> Callable[[str], None]:
    """People's words go to stderr when stdout carries JSON."""
    return lambda text: click.echo(text, err=json_to == "-")


def _marker_printer(say: Callable[[str], None]) -> Callable[[Seen, Ladder], None]:
    """Say each marker as it is reached."""
    said = 0

    def on_line(_seen: Seen, ladder: Ladder) -> None:
        nonlocal said
        for marker in ladder.reached[said:]:
            say(f"  {marker.ms / 1000:7.3f}  {marker.phase:<9} {marker.text}")
        said = len(ladder.reached)

    return on_line


def _stay_up(say: Callable[[str], None], seconds: float) -> Callable[[Session, Ladder], None]:
    def stay(session: Session, _ladder: Ladder) -> None:
        say(f"the verdict stands; machine {session.run.id} stays up for {seconds:g} s, Ctrl-C ends it")
        say(f"  attach: ./scripts/nexus console --machine {session.run.id}")
        try:
            session.wait(seconds)
        except KeyboardInterrupt:
            say("ended")

    return stay


def _report(result: Trial, say: Callable[[str], None], json_to: str | None, junit: Path | None, system: str) -> None:
    from nexus.verdict import report

    say(result.block or report.pass_line(result.verdict, result.seconds))
    if json_to is not None:
        _write(json.dumps(report.to_json(result.verdict), indent=2) + "\n", json_to)
    if junit is not None:
        junit.write_text(report.to_junit(result.verdict, system, result.block), encoding="utf-8")


def _write(text: str, to: str) -> None:
    if to == "-":
        sys.stdout.write(text)
    else:
        Path(to).write_text(text, encoding="utf-8")
