"""A timeline as Trace Event JSON, which Perfetto (and Chromium's about:tracing) loads. Called by the verbs run and test-os.

Pure. One process of the trace for each lane, so that each has its name and place; times are whole microseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nexus.verdict.grammar import POLICY
from nexus.views.timeline import Decision, Timeline

MICROSECONDS = 1_000_000
STEP = (
    10  # the least time between a question, who passes it on, and its answer: a flow needs slices to begin and end in
)
DECIDED = 1000  # threads of decisions are numbered from here on
Event = dict[str, Any]


def to_trace(timeline: Timeline, facts: Mapping[str, str]) -> dict[str, Any]:
    """The whole file; `facts` say of which run it is."""
    lanes = {name: number for number, name in enumerate(timeline.lanes, 1)}
    events = [event for name, lane in lanes.items() for event in _names(name, lane)]
    timed = [*_slices(timeline, lanes), *_instants(timeline, lanes), *_decisions(timeline, lanes)]
    events += sorted(timed, key=lambda event: int(event["ts"]))
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": dict(facts)}


def _names(name: str, lane: int) -> Iterator[Event]:
    """Of the process, and of its two threads: what it says, and what is decided about it."""
    for kind, thread, arguments in (
        ("process_name", lane, {"name": name}),
        ("process_sort_index", lane, {"sort_index": lane}),
        ("thread_name", lane, {"name": name}),
        ("thread_name", lane + DECIDED, {"name": f"{name}: decisions"}),
    ):
        yield {"ph": "M", "name": kind, "pid": lane, "tid": thread, "ts": 0, "args": arguments}


def _event(phase: str, name: str, category: str, lane: int, at: float, **more: Any) -> Event:
    ts = max(0, round(at * MICROSECONDS))
    return {"ph": phase, "name": name, "cat": category, "pid": lane, "tid": lane, "ts": ts, **more}


def _slices(timeline: Timeline, lanes: Mapping[str, int]) -> Iterator[Event]:
    for one in timeline.slices:
        length = round(one.end * MICROSECONDS) - round(one.start * MICROSECONDS)
        yield _event("X", one.name, one.kind, lanes[one.lane], one.start, dur=max(1, length))


def _instants(timeline: Timeline, lanes: Mapping[str, int]) -> Iterator[Event]:
    for mark in timeline.marks:
        yield _event("i", mark.text, mark.kind, lanes[mark.lane], mark.at, s="t")


def _decisions(timeline: Timeline, lanes: Mapping[str, int]) -> Iterator[Event]:
    """Their slices are made not to overlap in any lane, which the format forbids: a record may stand for several at its time."""
    free = dict.fromkeys(lanes, 0)
    for number, one in enumerate(sorted(timeline.decisions, key=lambda one: one.at), 1):
        yield from _flow(one, lanes, number, free)


def _flow(one: Decision, lanes: Mapping[str, int], number: int, free: dict[str, int]) -> Iterator[Event]:
    """An arrow from whom it is about, by way of who enforces it, to who decides: each a short slice of its own."""
    way = [name for name in (one.subject, one.asker, POLICY) if name in lanes]
    stops = [name for place, name in enumerate(way) if place == 0 or name != way[place - 1]]
    at = max(0, round(one.at * MICROSECONDS))
    for place, name in enumerate(stops):
        at = free[name] = max(at, free[name]) + STEP
        last = place == len(stops) - 1
        said = f"{one.verdict} {one.text}" if last else one.text
        here = {"cat": "decision", "pid": lanes[name], "tid": lanes[name] + DECIDED, "ts": at - STEP}
        arguments = {"subject": one.subject, "verdict": one.verdict}
        yield {"ph": "X", "name": said, "dur": STEP, "args": arguments, **here}
        if len(stops) > 1:
            ends = {"ph": "f", "bp": "e"} if last else {"ph": "t" if place else "s"}
            yield {"name": "decision", "id": number, **ends, **here}
