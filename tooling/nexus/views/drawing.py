"""The pictures of a report as SVG: a timeline in lanes, strips of memory, bars. Colours are classes of report.css. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10

from nexus.views.html import Html, join, tag
from nexus.views.timeline import Decision, Mark, Slice, Timeline

WIDTH, LEFT, RIGHT = 1000, 156, 12
LANE, BAR, TOP = 24, 14, 22
LABEL = 21  # letters of a name that there is room for
BIN = 4.0  # marks nearer to each other than this are one
TITLE_LINES = 12
RANK = ("fault", "deny", "marker", "ready", "boot", "allow", "line")  # what is shown of marks that are one


def timeline_svg(timeline: Timeline, start: float, end: float, name: str) -> Html:
    """That part of it; what lies outside is not drawn, and lanes in which nothing is are left out."""
    scale = _Scale(start, max(end, start + 1e-6))
    used = {one.lane for one in timeline.slices if scale.shows(one.start, one.end)}
    used |= {mark.lane for mark in timeline.marks if scale.shows(mark.at, mark.at)}
    lanes = {lane: TOP + LANE * row for row, lane in enumerate(lane for lane in timeline.lanes if lane in used)}
    height = TOP + LANE * len(lanes) + 4
    parts = [_axis(scale, height), *(_lane(lane, y) for lane, y in lanes.items())]
    parts += [_slice(one, scale, lanes[one.lane]) for one in timeline.slices if scale.shows(one.start, one.end)]
    parts += _decisions([one for one in timeline.decisions if scale.shows(one.at, one.at)], scale, lanes)
    parts += _marks([mark for mark in timeline.marks if scale.shows(mark.at, mark.at)], scale, lanes)
    return tag(
        "svg", *parts, viewBox=f"0 0 {WIDTH} {height}", class_="timeline", role="img", aria_label=name, width=WIDTH
    )


class _Scale:
    """Seconds to places."""

    def __init__(self, start: float, end: float) -> None:
        self.start, self.end = start, end

    def x(self, seconds: float) -> float:
        seconds = min(max(seconds, self.start), self.end)
        return LEFT + (WIDTH - LEFT - RIGHT) * (seconds - self.start) / (self.end - self.start)

    def shows(self, start: float, end: float) -> bool:
        return start <= self.end and end >= self.start

    @property
    def ticks(self) -> list[float]:
        """Some six round times."""
        raw = (self.end - self.start) / 6
        power: float = 10.0 ** floor(log10(raw))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
        first = floor(self.start / step) + 1
        return [number * step for number in range(first, floor(self.end / step) + 1)]


def _axis(scale: _Scale, height: int) -> Html:
    lines = [
        join(
            tag("line", x1=scale.x(at), x2=scale.x(at), y1=TOP - 4, y2=height, class_="grid"),
            tag("text", seconds(at), x=scale.x(at), y=12, class_="tick"),
        )
        for at in scale.ticks
    ]
    return tag("g", *lines)


def _lane(name: str, y: int) -> Html:
    return tag(
        "g",
        tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y + LANE / 2, y2=y + LANE / 2, class_="lane"),
        tag(
            "text",
            name if len(name) <= LABEL else f"{name[: LABEL - 1]}…",
            tag("title", name),
            x=LEFT - 8,
            y=y + LANE / 2 + 4,
            class_="label",
        ),
    )


def _slice(one: Slice, scale: _Scale, y: int) -> Html:
    left, right = scale.x(one.start), scale.x(one.end)
    width = max(1.5, right - left)
    title = tag("title", f"{one.lane}: {one.name}, {seconds(one.end - one.start)} from {seconds(one.start)} on")
    box = tag("rect", title, x=left, y=y + (LANE - BAR) / 2, width=width, height=BAR, rx=3, class_=f"s-{one.kind}")
    if one.kind != "phase" or width < 7 * len(one.name) + 8:
        return box
    return join(box, tag("text", one.name, x=left + 5, y=y + LANE / 2 + 4, class_="inside"))


def _marks(marks: Sequence[Mark], scale: _Scale, lanes: dict[str, int]) -> list[Html]:
    """Those that would cover each other are one dot that tells of all."""
    groups: dict[tuple[str, int], list[Mark]] = {}
    for mark in marks:
        groups.setdefault((mark.lane, round(scale.x(mark.at) / BIN)), []).append(mark)
    return [_dot(group, scale.x(group[0].at), lanes[lane] + LANE / 2) for (lane, _), group in groups.items()]


def _dot(group: Sequence[Mark], x: float, y: float) -> Html:
    kind = min((mark.kind for mark in group), key=RANK.index)
    told = [f"{seconds(mark.at)}  {mark.text}" for mark in group[:TITLE_LINES]]
    told += [f"and {len(group) - TITLE_LINES} more"] if len(group) > TITLE_LINES else []
    size = {"line": 2.0, "allow": 2.5}.get(kind, 4.0)
    return tag("circle", tag("title", "\n".join(told)), cx=x, cy=y, r=size, class_=f"m-{kind}")


def _decisions(decisions: Sequence[Decision], scale: _Scale, lanes: dict[str, int]) -> list[Html]:
    """A short stroke in the lane of whom each is about; of those in one place the worst."""
    places: dict[tuple[str, int], list[Decision]] = {}
    for one in decisions:
        if one.subject in lanes:
            places.setdefault((one.subject, round(scale.x(one.at) / BIN)), []).append(one)
    return [_stroke(group, scale.x(group[0].at), lanes[lane]) for (lane, _), group in places.items()]


def _stroke(group: Sequence[Decision], x: float, y: int) -> Html:
    kind = "allow" if all(one.verdict == "allow" for one in group) else "deny"
    told = [f"{seconds(one.at)}  policyd: {one.verdict} {one.text}" for one in group[:TITLE_LINES]]
    told += [f"and {len(group) - TITLE_LINES} more"] if len(group) > TITLE_LINES else []
    return tag("line", tag("title", "\n".join(told)), x1=x, x2=x, y1=y + LANE - 7, y2=y + LANE - 1, class_=f"d-{kind}")


def strip(parts: Sequence[tuple[int, str, str]], name: str) -> Html:
    """Bytes, class and title of each part, side by side over the whole width."""
    whole = sum(size for size, _, _ in parts) or 1
    boxes, at = [], 0.0
    for size, kind, title in parts:
        width = 1000 * size / whole
        boxes.append(tag("rect", tag("title", title), x=at, y=0, width=max(width, 0.4), height=28, class_=kind))
        at += width
    return tag(
        "svg", *boxes, viewBox="0 0 1000 28", preserveAspectRatio="none", class_="strip", role="img", aria_label=name
    )


def bar(part: float, kind: str = "b-use") -> Html:
    """A share of one."""
    width = 100 * min(max(part, 0.0), 1.0)
    return tag(
        "svg",
        tag("rect", x=0, y=0, width=100, height=8, rx=2, class_="b-all"),
        tag("rect", x=0, y=0, width=width, height=8, rx=2, class_=kind),
        viewBox="0 0 100 8",
        preserveAspectRatio="none",
        class_="bar",
        aria_hidden="true",
    )


def seconds(value: float) -> str:
    """Of a length that people read at a glance."""
    if abs(value) < 1:
        return f"{1000 * value:.0f} ms"
    return f"{value:.2f} s" if abs(value) < 100 else f"{value:.0f} s"


def bytes_text(value: int) -> str:
    if value < 1024:
        return f"{value} B"
    return f"{value / 1024:.1f} KiB" if value < 1 << 20 else f"{value / (1 << 20):.2f} MiB"
