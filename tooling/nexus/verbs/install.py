"""The verb install: hand an app to a running machine. Loaded by cli.py when it is called. The machine judges what it is given; this
only carries it there and tells the answer.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus import errors
from nexus.contract.load import Contract, load_contract
from nexus.layout import contract_dir, find_root
from nexus.machine import registry

if TYPE_CHECKING:
    from nexus.machine.drop import Drop

SECONDS = 30.0


@click.command()
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option("--start", is_flag=True, help="Have it started too.")
@click.option("--machine", metavar="ID", help="Which live machine; default the only one.")
@click.option("--timeout", metavar="TIME", help="How long to wait for the machine's answer; default 30 s.")
def install(file: Path, start: bool, machine: str | None, timeout: str | None) -> int:
    """Install an app in a live machine. FILE is a bundle (.nxb), or an app's folder or .py file, which is built first."""
    from nexus.bundle.make import bundle_of
    from nexus.duration import parse_duration
    from nexus.machine.drop import Drop, bundle_id
    from nexus.verdict.grammar import escape

    root = find_root()
    contract = load_contract(contract_dir(root))
    seconds = parse_duration(timeout, "--timeout") if timeout else SECONDS
    record = registry.pick_machine(root, machine)
    data = bundle_of(file, root, contract, lambda text: click.echo(text, err=True))
    drop = Drop.of(contract, data, start=start)
    name = escape(bundle_id(contract, data))
    child = hand_over(root, contract, record, drop, seconds)
    click.echo(f"installed {name} in machine {record.id}" + ("" if child is None else f", started as child {child:x}"))
    return errors.EXIT_OK


def hand_over(root: Path, contract: Contract, record: registry.Record, drop: Drop, seconds: float) -> int | None:
    """Drop it there and wait for the answer; the number of the child if it was to be started. A refusal is an error."""
    from nexus.machine.follow import Follow, wait_in_log

    run = registry.RunDir(registry.runs_dir(root) / record.id)
    follow = Follow(contract, drop.number)
    begin = run.console.stat().st_size
    lay_down(root, contract, record, drop)
    wait_in_log(run.console, begin, follow, lambda: follow.settled(start=drop.start), lambda: record.alive, seconds)
    follow.check_taken()
    return follow.child


def lay_down(root: Path, contract: Contract, record: registry.Record, drop: Drop) -> None:
    """Put it on the machine's disk."""
    from nexus.machine.control import connected
    from nexus.machine.drop import disk_of, put

    disk = registry.RunDir(registry.runs_dir(root) / record.id).disk
    if not disk.is_file():
        raise errors.UsageError(
            f"machine {record.id} has no drop disk: its system {record.system} has no device for one",
            "the default system has one",
        )
    data = disk_of(contract, drop)
    with connected(record) as qmp:
        put(qmp, disk, data)
