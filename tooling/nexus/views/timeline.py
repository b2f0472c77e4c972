"""What happened when in a run, in lanes: one for the phases, one for the kernel, one for each process. Made of console lines, of the
session's events and of the audit trail; drawn by timelinesvg.py, written by trace.py.

Pure. Times are seconds of the console's clock, which begins when the machine is about to run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nexus.verdict.grammar import DECISION, KERNEL, POLICY, Line, Malformed, Seen, escape, parse

PHASES = "phases"
APP = "app:"
STRANGE = "unknown"  # of lines that no process of the image can have printed
FAULT = re.compile(r"fault label=(\S+) cause=(\S+)")


@dataclass(frozen=True)
class Slice:
    """Something that lasted."""

    lane: str
    name: str
    start: float
    end: float
    kind: str  # phase, start, up


@dataclass(frozen=True)
class Mark:
    """A console line, at the moment when it came."""

    lane: str
    at: float
    text: str
    kind: str  # boot, ready, marker, allow, deny, fault, line


@dataclass(frozen=True)
class Decision:
    """One record of the trail: about whom, who asked (an enforcer, or "" for the subject itself), and what came of it."""

    at: float
    subject: str
    asker: str
    verdict: str
    text: str


@dataclass(frozen=True)
class Timeline:
    lanes: tuple[str, ...]
    slices: tuple[Slice, ...]
    marks: tuple[Mark, ...]
    decisions: tuple[Decision, ...]
    end: float

    @property
    def booted(self) -> float:
        """When the last process of the bring-up was ready; where none was, the end."""
        return max((one.end for one in self.slices if one.kind == "start"), default=self.end)


@dataclass
class _Lane:
    """One process as its lines and the kernel's tell of it."""

    name: str
    slices: list[Slice] = field(default_factory=list)
    up_since: float | None = None
    down_since: float | None = None  # by a fault
    last: float = 0.0

    def says(self, mark: Mark, turn: float) -> None:
        """A line of its own, the first of which in a life may be that it is ready; `turn`: when it can have begun to start."""
        if self.up_since is None and mark.kind == "ready":
            began, what = (turn, "starts") if self.down_since is None else (self.down_since, "is started again")
            self.slices.append(Slice(self.name, what, min(began, mark.at), mark.at, "start"))
        self.up_since = mark.at if self.up_since is None else self.up_since
        self.last = mark.at

    def stops(self, at: float) -> None:
        if self.up_since is not None:
            self.slices.append(Slice(self.name, "is up", self.up_since, at, "up"))
        self.up_since = None


def timeline_of(
    seen: Sequence[Seen],
    labels: Sequence[str],
    *,
    phases: Sequence[tuple[str, float, float]] = (),
    markers: Iterable[str] = (),
    decisions: Sequence[Decision] = (),
    end: float = 0.0,
) -> Timeline:
    """`labels` in the order of lanes; `phases` with start and end; `markers` are the texts of lines that were waited for."""
    end = max([end, *(line.at for line in seen[-1:])])
    marks = _marks(seen, frozenset([KERNEL, *labels]), frozenset(markers))
    lanes = [PHASES, KERNEL, *labels]
    for name in [
        *(mark.lane for mark in marks),
        *(name for one in decisions for name in (one.subject, one.asker) if name),
    ]:
        if name not in lanes:
            lanes.append(name)
    bars = [Slice(PHASES, name, start, stop, "phase") for name, start, stop in phases]
    return Timeline(tuple(lanes), (*bars, *_lives(marks, end)), tuple(marks), tuple(decisions), end)


def _marks(seen: Sequence[Seen], labels: frozenset[str], markers: frozenset[str]) -> list[Mark]:
    found = []
    for one in seen:
        line = parse(one, labels)
        if isinstance(line, Malformed):
            found.append(Mark(STRANGE, one.at, escape(one.data), "line"))
        else:
            fault = FAULT.match(line.text) if line.label == KERNEL else None
            found.append(Mark(fault[1] if fault else line.label, one.at, str(line), _kind(line, markers)))
    return found


def _kind(line: Line, markers: frozenset[str]) -> str:
    if line.label == KERNEL:
        first = line.text.split(" ", 1)[0]
        return {"boot": "boot", "end": "boot", "fault": "fault", "panic": "fault"}.get(first, "line")
    if line.label == POLICY and DECISION.fullmatch(line.text):
        return line.text.split(" ", 1)[0]
    if line.text == "ready":
        return "ready"
    return "marker" if str(line) in markers else "line"


def _lives(marks: Sequence[Mark], end: float) -> list[Slice]:
    """Of each process, when it started and when it was up. init starts them one after the other, so each began when the one before was
    ready; after a fault, when that came.
    """
    lanes: dict[str, _Lane] = {}
    turn = 0.0
    for mark in marks:
        if mark.lane == KERNEL and mark.kind == "boot":
            _reboot(lanes, mark.at)
            turn = mark.at
        if mark.lane in (KERNEL, STRANGE):
            continue
        lane = lanes.setdefault(mark.lane, _Lane(mark.lane))
        if mark.kind == "fault":
            lane.stops(mark.at)
            lane.down_since = mark.at
            continue
        lane.says(mark, turn)
        turn = mark.at if mark.kind == "ready" else turn
    for lane in lanes.values():
        lane.stops(
            lane.last if lane.name.startswith(APP) else end
        )  # nothing on the console tells of an app that ended well
    return [one for lane in lanes.values() for one in lane.slices]


def _reboot(lanes: Mapping[str, _Lane], at: float) -> None:
    """Of the machine, or its end."""
    for lane in lanes.values():
        lane.stops(at)
        lane.down_since = None


# ---- the guest's own clock -------------------------------------------------------------------------------------------


class Clock:
    """Turns the machine's time into the console's: it stands whenever the machine does, which the session's events tell."""

    def __init__(self, events: Sequence[Mapping[str, Any]]) -> None:
        zero = next((float(row["t"]) for row in events if row.get("event") == "clock"), 0.0)
        self._runs: list[tuple[float, float]] = []  # from, on the console's clock; what the machine's showed then
        shown, since = 0.0, None
        for row in events:
            at = float(row.get("t", 0.0)) - zero
            if row.get("event") == "qmp" and row.get("name") == "RESUME" and since is None:
                since = at
                self._runs.append((at, shown))
            elif row.get("event") == "qmp" and row.get("name") == "STOP" and since is not None:
                shown, since = shown + at - since, None
            elif row.get("event") == "qmp" and row.get("name") == "RESET":
                shown = 0.0
                since = at if since is not None else None
                self._runs = [(at, 0.0)] if since is not None else []

    def at(self, seconds: float) -> float:
        """When the machine's clock showed that."""
        begun, shown = next(((at, shown) for at, shown in reversed(self._runs) if shown <= seconds), (0.0, 0.0))
        return begun + seconds - shown
