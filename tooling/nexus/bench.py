"""The figures of `nexus bench`: what is measured, how often, and what makes a figure exact.

Called by verbs/bench.py. Counts are guest instructions under `-icount shift=0,sleep=off`, where a figure repeats bit for bit
unless a device's answer or idle time lies inside. Judges nothing itself: budgets are rows of recipes/budgets.toml.
"""

from __future__ import annotations

import re
import socket
import statistics
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from nexus import layout
from nexus.contract.load import Contract, load_contract
from nexus.errors import DeadlineError, VerdictError
from nexus.image import manifest as manifests
from nexus.image.build import build_image
from nexus.machine.argv import Rng
from nexus.machine.session import Session
from nexus.machine.target import Target, launch_of, of_manifest
from nexus.recipe.check import load_system
from nexus.recipe.model import PAGE
from nexus.style import code_lines
from nexus.verdict.grammar import escape

Progress = Callable[[str], None]

ICOUNT = "shift=0,sleep=off"
RUNS = 3
WALL_RUNS = 7
RARE = 8
SECONDS = 120.0
ROW = re.compile(r"bench: row (\S+) ([0-9a-f]{16}) ([0-9a-f]{16})")
COST = re.compile(r"bench: cost (\w+)\.(\w+) ([0-9a-f]{16}) ([0-9a-f]{16})")
FLOODED = re.compile(r"honest: counts(?: [0-9a-f]{16}){4}")
CLOSED = re.compile(r"kernel: bring-up closed instructions=([0-9a-f]{16}) idle=([0-9a-f]{16})")
WAITS_ON_DEVICE = ("rngd.request.32", "boot.ready")
QEMU_LEAST_RAM = (
    17 << 20
)  # QEMU 7.2 puts the device tree at a multiple of 16 MiB below the end of RAM, over the image if it must
PRINTING = b"for _ in range(131072): print('x' * 78)\n\x04"  # and the end of the script, as the raw prompt takes it
BUDGETS = "recipes/budgets.toml"
BENCH, MEASURED, FLOOD = "bench", "default", "test-flood"


@dataclass(frozen=True)
class Figure:
    """One row. `exact`: three runs agreed and neither a device nor idle time lies inside."""

    value: float
    unit: str
    exact: bool


def measure(root: Path, progress: Progress) -> dict[str, Figure]:
    """All rows, by name, in the order in which they are shown."""
    contract = load_contract(layout.contract_dir(root))
    figures = _bench_rows(root, contract, progress)
    built = build_image(MEASURED, root, progress)
    target = of_manifest(built, root)
    progress("boot.ready")
    figures["boot.ready"] = _repeat("boot.ready", "instructions", lambda: _boot_instructions(root, target, contract))
    progress("wall.boot_ready")
    ready = re.compile(re.escape(_ready(contract)))
    wall = statistics.median(_milliseconds(root, target, contract, ready) for _ in range(WALL_RUNS))
    figures["wall.boot_ready"] = Figure(round(wall, 1), "ms", exact=False)
    progress("wall.flood")
    flooded = of_manifest(build_image(FLOOD, root, progress), root)
    figures["wall.flood"] = Figure(round(_milliseconds(root, flooded, contract, FLOODED), 1), "ms", exact=False)
    progress("wall.terminal_out")
    figures["wall.terminal_out"] = Figure(round(_printing(root, target, contract), 1), "ms", exact=False)
    figures["kernel.lines"] = Figure(kernel_lines(root), "lines", exact=True)
    figures["image.bytes"] = Figure(built.image.bytes, "bytes", exact=True)
    progress("ram.min")
    figures["ram.min"] = Figure(_least_ram(root, built, contract, progress), "bytes", exact=True)
    for row in built.processes:
        figures[f"memory.{row.name}"] = Figure(row.frames * PAGE, "bytes", exact=True)
    return figures


def over_budget(figures: Mapping[str, Figure], budgets: Mapping[str, float]) -> list[str]:
    """One sentence for each figure above its budget, and for each budget without a figure."""
    found = [f"{name}: not measured" for name in budgets if name not in figures]
    rows = ((name, figures[name], budget) for name, budget in budgets.items() if name in figures)
    return found + [
        f"{name}: {row.value:,.10g} {row.unit}, budget {budget:,.10g}"
        for name, row, budget in rows
        if row.value > budget
    ]


def load_budgets(root: Path) -> dict[str, float]:
    rows = tomllib.loads((root / BUDGETS).read_text(encoding="utf-8"))
    return {name: float(row["budget"]) for name, row in rows.items()}


def kernel_lines(root: Path) -> int:
    """Non-blank, non-comment lines of the kernel's C and assembly."""
    folder = root / "firmware" / "kernel"
    return sum(code_lines(path.suffix, path.read_text(encoding="utf-8")) for path in folder.glob("*.[chS]"))


def parse_rows(lines: Iterable[str]) -> dict[str, float]:
    """Instructions of one round of each row that the bench system printed."""
    found = (ROW.fullmatch(line) for line in lines)
    return {row[1]: int(row[2], 16) / int(row[3], 16) for row in found if row}


def parse_costs(lines: Iterable[str]) -> dict[str, dict[str, Counter[int]]]:
    """Of each operation that was refused, by class of refusal: how often the request took so many instructions."""
    costs: dict[str, dict[str, Counter[int]]] = {}
    for line in lines:
        if row := COST.fullmatch(line):
            counts = costs.setdefault(row[1], {}).setdefault(row[2], Counter())
            counts[int(row[3], 16)] += int(row[4], 16)
    return costs


def true_costs(counts: Mapping[int, int]) -> frozenset[int]:
    """The costs of one class. When its own event loop interrupts the processor, QEMU may count an instruction twice: once in some
    thousand requests (seen), at the end of a measurement or before its begin. So a cost that is one off another, and far rarer,
    is that other one.
    """
    return frozenset(
        cost for cost, times in counts.items() if max(counts.get(cost - 1, 0), counts.get(cost + 1, 0)) < RARE * times
    )


def refusal_rows(lines: Iterable[str]) -> dict[str, float]:
    """How many different sets of costs the classes of a refused operation have: 1 if none can be told from the others."""
    sets = {name: set(map(true_costs, classes.values())) for name, classes in parse_costs(lines).items()}
    return {f"refusal.{name}.sets": float(len(found)) for name, found in sets.items()}


def agree(name: str, values: list[float], unit: str) -> Figure:
    """The median of some runs, and whether it can be called exact."""
    exact = len(set(values)) == 1 and name not in WAITS_ON_DEVICE
    return Figure(round(statistics.median(values), 3), unit, exact)


def _repeat(name: str, unit: str, once: Callable[[], float]) -> Figure:
    return agree(name, [once() for _ in range(RUNS)], unit)


def _bench_rows(root: Path, contract: Contract, progress: Progress) -> dict[str, Figure]:
    target = of_manifest(build_image(BENCH, root, progress), root)
    progress(f"{BENCH}: {RUNS} runs")
    runs = [_bench_run(root, target, contract) for _ in range(RUNS)]
    return {name: agree(name, [run[name] for run in runs], _unit(name)) for name in runs[0]}


def _unit(name: str) -> str:
    return "sets" if name.startswith("refusal.") else "instructions"


def _bench_run(root: Path, target: Target, contract: Contract) -> dict[str, float]:
    launch = replace(launch_of(target, contract, rng=Rng()), icount=ICOUNT)
    with Session(root, BENCH, launch) as session:
        lines = _lines_to_end(session)
        ended = session.wait(SECONDS)
    if ended is None or ended.code != contract.number("exit.ok"):
        raise VerdictError(
            f"system {BENCH} ended with {ended}, expected exit code {contract.number('exit.ok')}", lines[-1]
        )
    return parse_rows(lines) | refusal_rows(lines)


def _boot_instructions(root: Path, target: Target, contract: Contract) -> float:
    """From reset until init closes bring-up, right after `init: ready`; idle time is taken off."""
    facts = {"flags": str(contract.number("flag.count"))}
    launch = replace(launch_of(target, contract, rng=Rng(), facts=facts), icount=ICOUNT)
    with Session(root, MEASURED, launch) as session:
        found = _line(session, CLOSED)
    return int(found[1], 16) - int(found[2], 16)


def _milliseconds(root: Path, target: Target, contract: Contract, wanted: re.Pattern[str]) -> float:
    """From before QEMU is started until the line that is wanted has been read."""
    begun = time.monotonic()
    with Session(root, target.system, launch_of(target, contract, rng=Rng())) as session:
        _line(session, wanted)
        return (time.monotonic() - begun) * 1000


def _printing(root: Path, target: Target, contract: Contract) -> float:
    """10 MiB that a script prints on the terminal, in lines of 80 bytes: until the last of them has been read."""
    with Session(root, target.system, launch_of(target, contract, rng=Rng())) as session:
        if session.terminal is None:
            raise VerdictError(f"system {target.system} has no terminal to print on")
        with session.terminal.client(history=True) as stream:
            stream.settimeout(SECONDS)
            _until(stream, b"nexus>\x1b[0m ")
            stream.sendall(b"\x01")
            _until(stream, b"\r\n>")
            stream.sendall(PRINTING)
            begun = time.monotonic()
            _until(stream, b"\x04\x04>")
            return (time.monotonic() - begun) * 1000


def _until(stream: socket.socket, end: bytes) -> None:
    """Read until this is the last that has come."""
    last = b""
    while not last.endswith(end):
        data = stream.recv(1 << 16)
        if not data:
            raise VerdictError(f"the terminal ended before it said {end!r}")
        last = (last + data)[-len(end) :]


def _ready(contract: Contract) -> str:
    marker = next(row for row in contract.markers if row.name == "init_ready")
    return f"{marker.label}: {marker.text}"


def _line(session: Session, wanted: re.Pattern[str]) -> re.Match[str]:
    """The first console line that is wanted."""
    deadline, index = time.monotonic() + SECONDS, 0
    while (left := deadline - time.monotonic()) > 0:
        seen = session.console.line(index, left)
        if seen is None:
            break
        if found := wanted.fullmatch(escape(seen.data)):
            return found
        index += 1
    raise DeadlineError(f"no console line matched {wanted.pattern} in {SECONDS:g} s", str(session.run.console))


def _lines_to_end(session: Session) -> list[str]:
    """The whole console, once the machine has closed it."""
    deadline, index = time.monotonic() + SECONDS, 0
    while session.console.line(index, max(0.0, deadline - time.monotonic())) is not None:
        index += 1
    return [escape(seen.data) for seen in session.console.lines()]


def _least_ram(root: Path, built: manifests.Manifest, contract: Contract, progress: Progress) -> int:
    """What the system takes, proven by booting an image that is told to have no more, whatever QEMU itself needs."""
    needed = built.image_end - layout.RAM_BASE + sum(row.frames for row in built.processes) * PAGE
    devices = load_system(MEASURED, root, contract).devices
    needed += sum(device.queue_count for device in devices) * PAGE  # the rings of each queue are the kernel's
    recipe = root / "build" / "ram-min.toml"
    recipe.write_text(f'base = "{MEASURED}"\nmemory = "{needed >> 10} KiB"\n', encoding="utf-8")
    target = of_manifest(build_image(str(recipe), root, progress), root)
    launch = launch_of(target, contract, rng=Rng())
    with Session(root, "ram-min", replace(launch, ram_bytes=max(needed, QEMU_LEAST_RAM))) as session:
        _line(session, re.compile(re.escape(_ready(contract))))
    return needed
