"""Look at this computer and the clone and say what is fit, what is not, and what to do about it. Called by `nexus doctor`.

Only looks: repairs are ./scripts/nexus (set-up) or the person's. A check that could not be made counts as not passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nexus.setup import host, tools
from nexus.setup.finding import Computer, Finding, Status

Check = Callable[[Computer], Finding]

# Group, name, check, in the order of the report. Names and groups are keys of the JSON: add, never rename.
CHECKS: tuple[tuple[str, str, Check], ...] = (
    ("clone", "python", host.check_python),
    ("clone", "set-up", host.check_stamp),
    ("clone", "packages", host.check_packages),
    ("clone", "writable", host.check_writable),
    ("computer", "room", host.check_room),
    ("computer", "sockets", host.check_sockets),
    ("computer", "cache", host.check_cache),
    ("tools", "make", tools.check_make),
    ("tools", "compiler", tools.check_compiler),
    ("tools", "c-library", tools.check_c_library),
    ("tools", "mpy-cross", tools.check_mpy_cross),
    ("tools", "host-compiler", tools.check_host_compiler),
    ("tools", "tmux", tools.check_tmux),
    ("sources", "micropython", tools.check_micropython),
    ("sources", "sodium", tools.check_sodium),
    ("machine", "qemu", tools.check_qemu),
    ("machine", "boot", tools.check_boot),
)

HEALTHY, UNHEALTHY, MISSING = 0, 1, 3


@dataclass(frozen=True)
class Row:
    group: str
    name: str
    finding: Finding


def examine(computer: Computer, checks: Iterable[tuple[str, str, Check]] = CHECKS) -> list[Row]:
    return [Row(group, name, check(computer)) for group, name, check in checks]


def exit_code(rows: Iterable[Row]) -> int:
    """3 if something is not installed or set up, else 1 if something is wrong; a check not made is wrong too."""
    findings = [row.finding for row in rows]
    if any(finding.missing for finding in findings):
        return MISSING
    bad = (Status.FAIL, Status.SKIPPED)
    return UNHEALTHY if any(finding.status in bad for finding in findings) else HEALTHY


def as_text(rows: list[Row]) -> str:
    lines: list[str] = []
    group = ""
    for row in rows:
        if row.group != group:
            lines.append(row.group)
            group = row.group
        lines.append(f"  {row.finding.status:<8} {row.name:<14} {row.finding.detail}")
        if row.finding.hint:
            lines.append(f"  {'':<8} {'':<14} -> {row.finding.hint}")
    counts = {status: sum(row.finding.status is status for row in rows) for status in Status}
    return "\n".join([*lines, ", ".join(f"{count} {status}" for status, count in counts.items())])


def as_json(rows: list[Row]) -> dict[str, object]:
    code = exit_code(rows)
    checks = [
        {
            "group": row.group,
            "name": row.name,
            "status": str(row.finding.status),
            "detail": row.finding.detail,
            "hint": row.finding.hint,
        }
        for row in rows
    ]
    return {"healthy": code == HEALTHY, "exit_code": code, "checks": checks}
