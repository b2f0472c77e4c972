"""Upstream's run-perfbench.py in counted instructions: the same benchmarks in the system, bare, and bare as upstream compiles; how they compare.

Called by __main__.py. A count is what the benchmark's own clock shows where an instruction takes a nanosecond, so kernel and
other services are in it. Judges ratios of geometric means only: single benchmarks are shown, not judged.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from nexus.errors import VerdictError
from nexus.micropython import harness
from nexus.micropython.lists import Targets
from nexus.micropython.targets import Machine, prepare

Progress = Callable[[str], None]

TARGETS = ("system", "bare", "bare-size")
PARAMETERS = ("1", "100", "100")  # one run each: counts repeat; N and M as the peer's published figures have them

# Every benchmark ends before a period of the kernel's CPU shares does; this goes on for longer.
LONG = """
import time
begun = time.ticks_us()
x = 0
for i in range(200000):
    x = (x + i) * 3 & 0xFFFF
print("long", time.ticks_diff(time.ticks_us(), begun))
"""
LONG_RESULT = re.compile(r"long (\d+)$")

RESULT = re.compile(r"perf_bench/(\w+)\.py: ([\d.]+) [\d.]+ [\d.]+ [\d.]+$")
SKIPPED = re.compile(r"perf_bench/(\w+)\.py: SKIP$")


@dataclass(frozen=True)
class Row:
    """One benchmark in thousands of instructions, as its clock of microseconds gives them."""

    system: float
    bare: float
    size: float
    published: float


@dataclass(frozen=True)
class Table:
    """All benchmarks, and what their geometric means say."""

    rows: Mapping[str, Row]
    long_system: float
    long_bare: float

    @property
    def long_tax(self) -> float:
        """Isolation tax of a computation that is longer than any benchmark."""
        return self.long_system / self.long_bare

    @property
    def tax(self) -> float:
        """What isolation costs: the system for one of the same interpreter alone on the machine."""
        return geometric_mean([row.system / row.bare for row in self.rows.values()])

    @property
    def ratio(self) -> float:
        """The system for one of the same core compiled as upstream does."""
        return geometric_mean([row.system / row.size for row in self.rows.values()])

    @property
    def to_published(self) -> float:
        """The system for one of upstream's port as measured by others."""
        return geometric_mean([row.system / row.published for row in self.rows.values()])


def geometric_mean(values: Sequence[float]) -> float:
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def parse_results(lines: Sequence[str]) -> dict[str, float]:
    """Thousands of instructions by benchmark. One that neither ran nor skipped itself makes the whole worthless."""
    found: dict[str, float] = {}
    for line in lines:
        if row := RESULT.match(line.rstrip()):
            found[row[1]] = float(row[2])
        elif line.startswith("perf_bench/") and not SKIPPED.match(line.rstrip()):
            raise VerdictError(f"run-perfbench.py: {line.rstrip()}")
    return found


def compare(
    system: Mapping[str, float],
    bare: Mapping[str, float],
    size: Mapping[str, float],
    published: Mapping[str, float],
    long: Mapping[str, float],
) -> Table:
    """Of the same benchmarks everywhere, or none."""
    for name, counts in (("system", system), ("bare", bare), ("bare-size", size)):
        if other := sorted(set(counts) ^ set(published)):
            raise VerdictError(f"perfbench on {name}: {', '.join(other)}: ran there or with the peer only")
    rows = {name: Row(system[name], bare[name], size[name], published[name]) for name in sorted(published)}
    return Table(rows, long["system"], long["bare"])


def judge(table: Table, targets: Targets) -> list[str]:
    reached = (
        ("isolation tax", table.tax, targets.tax),
        ("isolation tax of a long loop", table.long_tax, targets.tax),
        ("ratio to -Os", table.ratio, targets.ratio),
    )
    return [f"{name}: {value:.4f}, expected at most {most}" for name, value, most in reached if value > most]


def measure(root: Path, targets: Targets, jobs: int, progress: Progress) -> Table:
    """Every target on a machine of its own."""
    machines = {name: prepare(name, root, progress) for name in TARGETS}
    with harness.checkout(root, progress) as tree, ThreadPoolExecutor(jobs) as pool:
        works = {name: pool.submit(_run, root, tree, name, machines[name], progress) for name in TARGETS}
        loops = {name: pool.submit(_run_long, root, tree, machines[name]) for name in ("system", "bare")}
        counts = {name: work.result() for name, work in works.items()}
        long = {name: work.result() for name, work in loops.items()}
    return compare(counts["system"], counts["bare"], counts["bare-size"], targets.published, long)


def _run(root: Path, tree: Path, name: str, machine: Machine, progress: Progress) -> dict[str, float]:
    progress(f"perfbench: {name}")
    folder = root / harness.RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    with machine(True) as device:
        words = ["-p", "-d", device, "-a", *PARAMETERS]
        errors = folder / f"perfbench-{name}.stderr"
        lines, exit_code = harness.run_script(tree, "run-perfbench.py", words, errors, lambda _line: None)
    (folder / f"perfbench-{name}.stdout").write_text("\n".join(lines), encoding="utf-8")
    if exit_code:
        raise VerdictError(f"run-perfbench.py on {name} ended with {exit_code}: {' | '.join(lines[-3:])}", str(errors))
    return parse_results(lines)


def _run_long(root: Path, tree: Path, machine: Machine) -> float:
    """By upstream's own script for one command."""
    with machine(True) as device:
        words = ["-d", device, "-c", LONG]
        lines, _ = harness.run_script(
            tree, "../tools/pyboard.py", words, root / harness.RESULTS / "long.stderr", lambda _line: None
        )
    for line in lines:
        if found := LONG_RESULT.match(line.rstrip()):
            return float(found[1])
    raise VerdictError(f"pyboard.py: the long loop printed {' | '.join(lines[-3:])!r}, expected its time")


def show(table: Table) -> list[str]:
    """As docs/micropython.md has it."""
    lines = [
        "| benchmark | system | bare | tax | bare, -Os | upstream 1.26.1, -Os |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, row in table.rows.items():
        tax = 100 * (row.system / row.bare - 1)
        lines.append(
            f"| `{name}` | {row.system:,.0f} | {row.bare:,.0f} | {tax:+.2f} % | {row.size:,.0f} | {row.published:,.0f} |"
        )
    return [
        *lines,
        f"| a loop of 200,000 | {table.long_system:,.0f} | {table.long_bare:,.0f} | {100 * (table.long_tax - 1):+.2f} % | | |",
        f"| geometric mean, system for one | 1 | {table.tax:.4f} | {100 * (table.tax - 1):+.2f} % | {table.ratio:.4f} | {table.to_published:.4f} |",
    ]
