"""What becomes of two samples: a row for each process, the machine's totals, and both as a table, as text or as JSON. Called by `nexus top`.

Pure. Labels of apps are their publishers' words: they are shown as text, never as markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from nexus.views.heap import Use
from nexus.views.sample import Process, Sample
from nexus.views.watch import Look

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

BAR = 8
NEAR_FULL = 85  # per cent
STATE_STYLES = {"ready": "bold green", "stopped": "bold red", "loading": "yellow", "suspended": "dim"}
WIDE, MEDIUM = 104, 88  # columns from which on there are bars, and all heads
LEAST = ("cpu all", "frames")
HEADS = ("process", "state", "cpu", "cpu all", "heap", "stack", "msg/s", "restarts", "caps", "frames")


@dataclass(frozen=True)
class Row:
    """One process over an interval. Rates are None where no time has passed."""

    label: str
    state: str
    fault: str
    cpu: float | None  # per cent of the interval
    cpu_total: float | None  # of all time since reset
    heap: Use | None
    stack: Use | None
    messages: float | None  # a second
    messages_total: int
    restarts: int
    capabilities: int
    frames: int


@dataclass(frozen=True)
class Totals:
    seconds: float  # of the machine's own time, since reset
    interval: float
    idle: float | None  # per cent of the interval
    free_frames: int
    frames: int
    lost_lines: int
    still: float  # seconds that the machine stood still for this look


def totals_of(before: Sample | None, look: Look, hz: int) -> Totals:
    now = look.sample
    before = _same_boot(before, now)
    ticks = now.ticks - (before.ticks if before else 0)
    idle = now.idle_ticks - (before.idle_ticks if before else 0)
    return Totals(
        now.ticks / hz, ticks / hz, _percent(idle, ticks), now.free_frames, now.frames, now.lost_lines, look.still
    )


def rows_of(before: Sample | None, now: Sample, hz: int) -> list[Row]:
    """Without a sample before, the interval is all time since reset."""
    before = _same_boot(before, now)
    earlier = {(one.index, one.life): one for one in before.processes} if before else {}
    ticks = now.ticks - (before.ticks if before else 0)
    return [_row(one, earlier.get((one.index, one.life)), ticks, now.ticks, hz) for one in now.processes]


def _same_boot(before: Sample | None, now: Sample) -> Sample | None:
    """After a reset what was before counts for nothing."""
    return before if before is not None and before.ticks <= now.ticks else None


def _row(now: Process, before: Process | None, ticks: int, total: int, hz: int) -> Row:
    messages = now.messages - (before.messages if before else 0)
    return Row(
        label=now.label,
        state=now.state,
        fault=now.fault,
        cpu=_percent(now.cpu_ticks - (before.cpu_ticks if before else 0), ticks),
        cpu_total=_percent(now.cpu_ticks, total),
        heap=now.heap,
        stack=now.stack,
        messages=messages * hz / ticks if ticks > 0 else None,
        messages_total=now.messages,
        restarts=now.restarts,
        capabilities=now.capabilities,
        frames=now.frames,
    )


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole > 0 else None


def to_json(machine: str, system: str, totals: Totals, rows: Sequence[Row]) -> dict[str, Any]:
    """One look; per cents and rates as they are, sizes in bytes."""
    return {"machine": machine, "system": system, **asdict(totals), "processes": [asdict(row) for row in rows]}


# ---- as a table ------------------------------------------------------------------------------------------------------


def table_of(title: str, totals: Totals, rows: Sequence[Row], width: int, hint: str = "") -> Table:
    """For that many columns: what there is no room for is left out, least needed first."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(title, "bold"),
        caption=Text(caption_of(totals, hint)),
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        title_justify="left",
        caption_justify="left",
    )
    heads = [head for head in HEADS if width >= MEDIUM or head not in LEAST]
    for head in heads:
        table.add_column(head, justify="left" if head in ("process", "state") else "right", no_wrap=True)
    for row in rows:
        cells = cells_of(row, bars=width >= WIDE)
        table.add_row(*(cells[head] for head in heads))
    return table


def cells_of(row: Row, bars: bool) -> dict[str, Text]:
    """By head."""
    from rich.text import Text

    state = f"{row.state} ({row.fault})" if row.state == "stopped" else row.state
    busy = "bold" if row.cpu is not None and row.cpu >= 1 else "dim"
    cells = (
        Text(row.label, "cyan"),
        Text(state, STATE_STYLES.get(row.state, "")),
        Text(_decimal(row.cpu, "%"), busy),
        Text(_decimal(row.cpu_total, "%"), "dim"),
        _use(row.heap, bars),
        _use(row.stack, bars),
        Text(_decimal(row.messages)),
        Text(str(row.restarts), "bold yellow" if row.restarts else "dim"),
        Text(str(row.capabilities)),
        Text(str(row.frames)),
    )
    return dict(zip(HEADS, cells, strict=True))


def _use(use: Use | None, bars: bool) -> Text:
    from rich.text import Text

    if use is None or use.total == 0:
        return Text("-", "dim")
    style = "red" if 100 * use.used >= NEAR_FULL * use.total else "green"
    numbers = f"{use.used / 1024:.0f}/{use.total / 1024:.0f}K"
    if not bars:
        return Text(numbers, style if style == "red" else "")
    filled = round(BAR * use.used / use.total)
    return Text.assemble(f"{numbers} ", ("█" * filled, style), ("░" * (BAR - filled), "dim"))


def _decimal(value: float | None, unit: str = "") -> str:
    return "-" if value is None else f"{value:.1f}{unit}"


def caption_of(totals: Totals, hint: str) -> str:
    """The machine in two lines."""
    since = "since reset" if totals.interval == totals.seconds else f"over {totals.interval:.1f} s"
    lost = f", {totals.lost_lines} console lines lost" if totals.lost_lines else ""
    machine = (
        f"{_decimal(totals.idle, '%')} idle {since}, up {totals.seconds:.1f} s, "
        f"{totals.free_frames} of {totals.frames} frames free{lost}"
    )
    cost = f"stood still {1000 * totals.still:.0f} ms for this look, its clock too"
    return f"{machine}\n{cost}{f' | {hint}' if hint else ''}"
