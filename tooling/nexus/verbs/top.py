"""The verb top. Loaded by cli.py when it is called; what a look at a machine is lies in views/."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count as numbers
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus import layout
from nexus.machine.terminal import key_presses

if TYPE_CHECKING:
    from nexus.machine.registry import Record
    from nexus.views.top import Row, Totals

    Show = Callable[[Totals, list[Row]], None]

QUIT = b"qQ"
PLAIN_COLUMNS = 120  # where nobody says how wide a line may be


@click.command()
@click.option("--machine", metavar="ID", help="Which live machine; default the only one.")
@click.option("--once", is_flag=True, help="One table, over all time since reset, then end.")
@click.option("--count", metavar="N", type=click.IntRange(min=1), help="End after so many tables.")
@click.option(
    "--interval",
    metavar="SECONDS",
    type=click.FloatRange(0.1, 3600),
    default=1.0,
    show_default=True,
    help="Between two looks.",
)
@click.option(
    "--json", "json_to", is_flag=False, flag_value="-", metavar="[FILE]", help="A line of JSON for each look."
)
def top(machine: str | None, once: bool, count: int | None, interval: float, json_to: str | None) -> None:
    """Show what the processes of a live machine do: CPU, heap, messages, restarts. The key q leaves."""
    from nexus.contract.load import load_contract
    from nexus.machine.registry import pick_machine
    from nexus.views.files import check_target
    from nexus.views.top import rows_of, totals_of
    from nexus.views.watch import Watch

    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # a machine that stands still for a look goes on all the same
    check_target(Path(json_to) if json_to not in (None, "-") else None, "--json")
    root = layout.find_root()
    contract = load_contract(layout.contract_dir(root))
    hz = contract.number("limit.tick_hz")
    record = pick_machine(root, machine)
    watch, before = Watch(root, record, contract), None
    with _json_lines(record, json_to) if json_to else _tables(record) as show, key_presses() as keyboard:
        for number in numbers(1):
            look = watch.look()
            show(totals_of(before, look, hz), rows_of(before, look.sample, hz))
            before = look.sample
            if once or number == count or _left(keyboard, interval):
                break


@contextmanager
def _json_lines(record: Record, to: str) -> Iterator[Show]:
    from nexus.views.top import to_json

    with click.open_file(to, "w", encoding="utf-8") as out:
        yield lambda totals, rows: print(
            json.dumps(to_json(record.id, record.system, totals, rows)), file=out, flush=True
        )


@contextmanager
def _tables(record: Record) -> Iterator[Show]:
    """On a terminal one that changes in its place, elsewhere one below the other without colours."""
    from rich.console import Console
    from rich.live import Live

    from nexus.views.top import table_of

    title = f"{record.system}, machine {record.id}"
    console = Console(width=None if sys.stdout.isatty() else PLAIN_COLUMNS)
    if not console.is_terminal:
        yield lambda totals, rows: console.print(table_of(title, totals, rows, console.width))
        return
    with Live(console=console, screen=True, auto_refresh=False) as live:
        yield lambda totals, rows: live.update(table_of(title, totals, rows, console.width, "q leaves"), refresh=True)


def _left(keyboard: int | None, seconds: float) -> bool:
    """Whether somebody leaves before that time is over."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([] if keyboard is None else [keyboard], [], [], left)
        if ready and set(os.read(ready[0], 64)) & set(QUIT):
            return True
    return False
