"""What happened when, out of console lines, events and decisions; and the same as Trace Event JSON, against the rules of that format."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest

from nexus.verdict.grammar import KERNEL, Seen
from nexus.views.timeline import PHASES, STRANGE, Clock, Decision, Slice, Timeline, timeline_of
from nexus.views.trace import to_trace

PROOF = "SELFTEST: a proof that has been made"


def ready(label: str) -> str:
    return f"{label}: ready"


LABELS = ("init", "logd", "policyd", "rngd")
BOOT = f"kernel: boot run={'0' * 32} contract={'1' * 64} policy={'2' * 64}"
SAID = [
    (0.010, BOOT),
    (0.040, ready("logd")),
    (0.060, ready("policyd")),
    (0.090, ready("rngd")),
    (0.091, ready("init")),
    (0.200, "policyd: allow (subject=rngd action=rng.entropy)"),
    (0.210, "policyd: deny (subject=app action=key.sign)"),
    (0.300, "kernel: fault label=rngd cause=memory value=0000000000000000 pc=0000000000010000"),
    (0.400, ready("rngd")),
    (0.500, "app:dev.x: </script><script>alert(1)"),
    (0.600, "who: knows"),
]
DECISIONS = (
    Decision(0.150, "rngd", "", "allow", "rng.entropy"),
    Decision(0.150, "app:dev.x", "rngd", "deny", "rng.entropy"),
    Decision(0.150, "policyd", "", "allow", "audit.append"),
)


def seen(*said: tuple[float, str]) -> list[Seen]:
    return [Seen(at, text.encode()) for at, text in said]


@pytest.fixture
def timeline() -> Timeline:
    return timeline_of(
        seen(*SAID),
        LABELS,
        phases=[("bring-up", 0.0, 0.091)],
        markers=[ready("rngd"), ready("init")],
        decisions=DECISIONS,
        end=0.7,
    )


def slices(timeline: Timeline, lane: str) -> list[tuple[str, float, float]]:
    return [(one.name, one.start, one.end) for one in timeline.slices if one.lane == lane]


# ---- lanes -----------------------------------------------------------------------------------------------------------


def test_lanes_are_phases_kernel_processes_and_then_whoever_comes(timeline: Timeline) -> None:
    assert timeline.lanes == (PHASES, KERNEL, *LABELS, "app:dev.x", STRANGE)


def test_start_begins_when_the_one_before_was_ready(timeline: Timeline) -> None:
    assert slices(timeline, "logd") == [("starts", 0.010, 0.040), ("is up", 0.040, 0.7)]
    assert slices(timeline, "policyd")[0] == ("starts", 0.040, 0.060)


def test_fault_ends_a_life_and_ready_begins_the_next(timeline: Timeline) -> None:
    assert slices(timeline, "rngd") == [
        ("starts", 0.060, 0.090),
        ("is up", 0.090, 0.300),
        ("is started again", 0.300, 0.400),
        ("is up", 0.400, 0.7),
    ]


def test_app_is_shown_up_as_long_as_it_says_something(timeline: Timeline) -> None:
    assert slices(timeline, "app:dev.x") == [("is up", 0.5, 0.5)]


def test_phases_have_a_lane(timeline: Timeline) -> None:
    assert slices(timeline, PHASES) == [("bring-up", 0.0, 0.091)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (BOOT, "boot"),
        (ready("init"), "ready"),
        ("policyd: allow (subject=rngd action=rng.entropy)", "allow"),
        ("policyd: deny (subject=app action=key.sign)", "deny"),
        ("rngd: allow (subject=rngd action=rng.entropy)", "line"),
        ("kernel: fault label=rngd cause=memory", "fault"),
        (PROOF, "marker"),
        ("init: something", "line"),
    ],
)
def test_line_is_what_its_own_label_may_say(text: str, kind: str) -> None:
    found = timeline_of(seen((0.1, text)), (*LABELS, "SELFTEST"), markers=[PROOF])
    assert [mark.kind for mark in found.marks] == [kind]


def test_fault_is_told_in_the_lane_of_whom_it_hit(timeline: Timeline) -> None:
    assert [mark.at for mark in timeline.marks if mark.lane == "rngd" and mark.kind == "fault"] == [0.300]


def test_line_of_nobody_has_a_lane_of_its_own(timeline: Timeline) -> None:
    assert [mark.text for mark in timeline.marks if mark.lane == STRANGE] == ["who: knows"]


def test_reboot_begins_all_lives_anew() -> None:
    found = timeline_of(seen((0.1, BOOT), (0.2, ready("logd")), (0.5, BOOT), (0.6, ready("logd"))), LABELS, end=0.9)
    assert slices(found, "logd") == [
        ("starts", 0.1, 0.2),
        ("is up", 0.2, 0.5),
        ("starts", 0.5, 0.6),
        ("is up", 0.6, 0.9),
    ]


def test_boot_is_over_when_the_last_start_is() -> None:
    assert timeline_of(seen(*SAID[:5]), LABELS, end=9.0).booted == 0.091
    assert timeline_of([], LABELS, end=9.0).booted == 9.0


# ---- the machine's clock ---------------------------------------------------------------------------------------------


def qmp(at: float, name: str) -> dict[str, Any]:
    return {"t": at, "event": "qmp", "name": name, "data": {}}


def test_machines_clock_stands_while_the_machine_does() -> None:
    clock = Clock([{"t": 1.0, "event": "clock"}, qmp(1.5, "RESUME"), qmp(2.0, "STOP"), qmp(4.0, "RESUME")])
    assert clock.at(0.0) == pytest.approx(0.5)
    assert clock.at(0.4) == pytest.approx(0.9)
    assert clock.at(0.6) == pytest.approx(3.1)


def test_machines_clock_begins_anew_with_a_reset() -> None:
    clock = Clock([{"t": 1.0, "event": "clock"}, qmp(1.0, "RESUME"), qmp(3.0, "RESET")])
    assert clock.at(0.25) == pytest.approx(2.25)


def test_without_events_both_clocks_are_one() -> None:
    assert Clock([]).at(1.25) == 1.25


# ---- the file --------------------------------------------------------------------------------------------------------


@pytest.fixture
def events(timeline: Timeline) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(json.dumps(to_trace(timeline, {"run": "x"})))["traceEvents"]
    return found


def test_every_event_has_what_its_phase_needs(events: list[dict[str, Any]]) -> None:
    needed = {
        "M": {"args"},
        "X": {"dur", "cat"},
        "i": {"s", "cat"},
        "s": {"id", "cat"},
        "t": {"id", "cat"},
        "f": {"id", "cat", "bp"},
    }
    assert {event["ph"] for event in events} == needed.keys()
    for event in events:
        assert {"name", "ph", "pid", "tid", "ts"} | needed[event["ph"]] <= event.keys()
        assert all(isinstance(event[key], int) and event[key] >= 0 for key in ("pid", "tid", "ts"))
        assert event.get("dur", 1) >= 1
        assert event.get("s", "t") == "t"


def test_every_lane_is_named_and_in_its_order(events: list[dict[str, Any]], timeline: Timeline) -> None:
    said = [event for event in events if event["ph"] == "M"]
    names = {event["pid"]: event["args"]["name"] for event in said if event["name"] == "process_name"}
    orders = {event["pid"]: event["args"]["sort_index"] for event in said if event["name"] == "process_sort_index"}
    threads = {(event["pid"], event["tid"]) for event in said if event["name"] == "thread_name"}
    assert [names[pid] for pid in sorted(names, key=lambda pid: orders[pid])] == list(timeline.lanes)
    assert {(event["pid"], event["tid"]) for event in events if event["ph"] != "M"} <= threads


def test_events_come_in_the_order_of_time(events: list[dict[str, Any]]) -> None:
    times = [event["ts"] for event in events if event["ph"] != "M"]
    assert times == sorted(times)


def test_slices_of_one_thread_do_not_overlap(events: list[dict[str, Any]]) -> None:
    ends: dict[tuple[int, int], int] = defaultdict(int)
    for event in events:
        if event["ph"] == "X":
            thread = (event["pid"], event["tid"])
            assert event["ts"] >= ends[thread], event
            ends[thread] = event["ts"] + event["dur"]


def test_flow_begins_and_ends_once_and_within_slices(events: list[dict[str, Any]]) -> None:
    flows: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        if event["ph"] in "stf":
            flows[event["id"]].append(event)
    names = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    ways = sorted(tuple((one["ph"], names[one["pid"]]) for one in flow) for flow in flows.values())
    assert ways == [(("s", "app:dev.x"), ("t", "rngd"), ("f", "policyd")), (("s", "rngd"), ("f", "policyd"))]
    within = [(one["pid"], one["tid"], one["ts"], one["ts"] + one["dur"]) for one in events if one["ph"] == "X"]
    for event in (one for flow in flows.values() for one in flow):
        assert any((pid, tid) == (event["pid"], event["tid"]) and a <= event["ts"] <= b for pid, tid, a, b in within)


def test_phases_lines_and_decisions_are_all_there(events: list[dict[str, Any]], timeline: Timeline) -> None:
    assert [event["name"] for event in events if event.get("cat") == "phase"] == ["bring-up"]
    assert [event["name"] for event in events if event["ph"] == "i"] == [mark.text for mark in timeline.marks]
    verdicts = [event["name"] for event in events if event["ph"] == "X" and event["cat"] == "decision"]
    assert {"allow rng.entropy", "deny rng.entropy", "allow audit.append"} <= set(verdicts)


def test_slice_of_no_length_is_still_one() -> None:
    alone = Timeline(("a",), (Slice("a", "x", 0.5, 0.5, "up"),), (), (), 1.0)
    assert [event["dur"] for event in to_trace(alone, {})["traceEvents"] if event["ph"] == "X"] == [1]
