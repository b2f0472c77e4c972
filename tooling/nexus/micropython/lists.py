"""The committed lists of tests/micropython: which tests are skipped and why, how the peer differs, what has to be reached.

Called by suite.py and perf.py. A list that contradicts itself or names no reason is refused; nothing is compared here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nexus.errors import RecipeError

FOLDER = Path("tests", "micropython")
ENDS = ("pass", "skip", "fail", "absent")


@dataclass(frozen=True)
class Difference:
    """Tests whose end is another than with the peer."""

    reason: str
    here: str
    there: str
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Peer:
    """Upstream's own port: totals of its run, and each test that differs."""

    passed: int
    failed: int
    skipped: int
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Targets:
    """What has to be reached, and the figures that others have published."""

    least_passed: int
    tax: float  # instructions in the system for one of the bare build
    ratio: float  # instructions for one of the same core built with -Os
    published: Mapping[str, float]  # thousands of instructions of each benchmark with the peer


def load_skips(root: Path) -> dict[str, str]:
    """The reason of each skip, by test."""
    path = root / FOLDER / "skips.toml"
    reasons: dict[str, str] = {}
    for group in _read(path)["skip"]:
        for test in _tests(path, group):
            if test in reasons:
                raise RecipeError(f"{path}: {test} is listed twice")
            reasons[test] = group["reason"]
    return reasons


def load_peer(root: Path) -> Peer:
    path = root / FOLDER / "peer.toml"
    table = _read(path)
    differences = [
        Difference(group["reason"], _end(path, group, "here"), _end(path, group, "there"), _tests(path, group))
        for group in table["difference"]
    ]
    return Peer(table["passed"], table["failed"], table["skipped"], tuple(differences))


def load_targets(root: Path) -> Targets:
    table = _read(root / FOLDER / "targets.toml")
    return Targets(table["least_passed"], table["tax"], table["ratio"], table["published"])


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _tests(path: Path, group: dict[str, Any]) -> tuple[str, ...]:
    tests = tuple(group["tests"])
    if not group.get("reason", "").strip() or not tests:
        raise RecipeError(f"{path}: a group without a reason or without tests")
    return tests


def _end(path: Path, group: dict[str, Any], key: str) -> str:
    end = str(group[key])
    if end not in ENDS:
        raise RecipeError(f"{path}: {key}: found {end!r}, expected one of {', '.join(ENDS)}")
    return end
