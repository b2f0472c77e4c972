"""The trail's store: classes, merging, gaps, chains, head, pages; and that logd may be stopped at any store of any of them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shims.store import APPS, CLASSES, FORM, KINDS, NAMES, Guest, Killed, draft

from nexus.audit.record import Record
from nexus.audit.trail import Trail

ROOM = 5  # slots of a class: a gap and four records
RING = ROOM - 1
CASES = st.tuples(
    st.sampled_from([0, 1, 2, *APPS]),
    st.integers(1, 3),
    st.sampled_from(["allow", "deny", "malformed"]),
    st.sampled_from(["decision", "decision", "decision", "undelivered"]),
)
TRACES = st.lists(CASES, max_size=60)


@pytest.fixture(scope="session")
def make(contract: SimpleNamespace) -> Callable[..., Guest]:
    """make(room) -> a trail on memory that was never used."""
    return lambda room=ROOM: Guest(contract, room)


Make = Callable[..., Guest]


def told(trail: Trail, name: str) -> list[Record]:
    return list(next(chain.records for chain in trail.chains if chain.name == name))


def fill(guest: Guest, count: int, **rest: Any) -> None:
    """So many different decisions."""
    for number in range(count):
        guest.append(draft(action=1 + number, **rest))


# ---- what is kept ----------------------------------------------------------------------------------------------------


def test_a_record_is_what_was_said_and_what_logd_adds(make: Make) -> None:
    guest = make()
    data = draft(2, 7, "deny", target=b"vault", nonce=9)
    guest.append(data)
    (row,) = told(guest.sound(), "shell refused")
    assert FORM.to_bytes(row)[:8] == data[:8]
    assert (row.seq, row.time, row.count, row.dropped, row.last) == (1, 10, 1, 0, 0)
    assert (row.target, row.nonce, row.previous) == (b"vault".ljust(32, b"\0"), 9, bytes(32))


def test_what_the_payload_says_of_number_time_and_counts_is_not_believed(make: Make) -> None:
    guest = make()
    lies = bytearray(draft())
    lies[8:24] = lies[48:64] = b"\xff" * 16
    guest.append(bytes(lies))
    (row,) = told(guest.sound(), "init allowed")
    assert (row.seq, row.time, row.count, row.dropped, row.last) == (1, 10, 1, 0, 0)


def test_each_subject_and_refusal_has_a_class_of_its_own(make: Make) -> None:
    guest = make()
    for who in (0, 1, 2, *APPS):
        for verdict in ("allow", "deny", "malformed"):
            guest.append(draft(who, verdict=verdict))
    found = {chain.name: len(chain.records) for chain in guest.sound().chains}
    assert found == {f"{who} {what}": 1 + (what == "refused") for who in NAMES for what in ("allowed", "refused")} | {
        "apps allowed": 2,
        "apps refused": 4,
    }


def test_a_flood_of_one_subject_leaves_the_others_records(make: Make) -> None:
    guest = make()
    guest.append(draft(0, 19))
    guest.append(draft(2, 19, "deny"))
    guest.append(draft(3, 19))
    fill(guest, 50, who=2)
    trail = guest.sound()
    assert [row.action for row in told(trail, "init allowed") + told(trail, "shell refused")] == [19, 19]
    assert [row.action for row in told(trail, "apps allowed")] == [19]
    assert len(told(trail, "shell allowed")) == RING


# ---- identical decisions ---------------------------------------------------------------------------------------------


def test_identical_decisions_are_one_record_with_the_first_time_and_nonce(make: Make) -> None:
    guest = make()
    for nonce in range(5):
        guest.append(draft(nonce=nonce))
    (row,) = told(guest.sound(), "init allowed")
    assert (row.seq, row.count, row.time, row.nonce) == (1, 5, 10, 0)
    assert (guest.trail.seq, guest.trail.decisions) == (1, 5)


def test_only_the_newest_record_counts_what_comes_again(make: Make) -> None:
    guest = make()
    for action in (1, 2, 1):
        guest.append(draft(action=action))
    assert [(row.action, row.count) for row in told(guest.sound(), "init allowed")] == [(1, 1), (2, 1), (1, 1)]


@pytest.mark.parametrize(
    ("first", "last"), [(1, 2), (2, 3), (3, 4), (4, 6), (6, 8), (24, 32), (32, 40), (42, 44), (64, 65), (95, 96)]
)
def test_decisions_that_differ_in_anything_are_two_records(make: Make, first: int, last: int) -> None:
    for place in range(first, last):
        guest = make()
        guest.append(draft(3))
        other = bytearray(draft(3))
        other[place] ^= 2 if place == 1 else 1
        guest.append(bytes(other))
        assert guest.trail.seq == 2, place


def test_what_is_no_decision_is_never_counted_together(make: Make) -> None:
    guest = make()
    for kind in ("undelivered", "undelivered", "decision", "undelivered", "decision"):
        guest.append(draft(kind=kind))
    assert [row.count for row in told(guest.sound(), "init allowed")] == [1, 1, 1, 1][:RING]
    assert (guest.trail.seq, guest.trail.decisions) == (5, 2)


def test_a_count_at_its_end_goes_on_in_another_record(make: Make) -> None:
    guest = make()
    guest.append(draft())
    at = guest.trail.slot(0, 0) * FORM.bytes
    guest.memory.data[at + 48 : at + 52] = b"\xff" * 4
    guest.append(draft())
    assert [row.count for row in told(guest.image(), "init allowed")] == [0xFFFF_FFFF, 1]


# ---- gaps ------------------------------------------------------------------------------------------------------------


def test_a_full_class_drops_its_oldest_and_tells_of_it(make: Make) -> None:
    guest = make()
    guest.append(draft(2, 18))
    guest.append(draft(2, 18))
    guest.append(draft(2, 18, kind="undelivered"))
    fill(guest, RING, who=2)
    trail = guest.sound()
    gap = trail.chains[4].gap
    assert gap is not None
    assert (gap.kind, gap.seq, gap.last, gap.dropped, gap.count, gap.time) == (KINDS["gap"], 1, 2, 2, 2, 10)
    assert [row.action for row in told(trail, "shell allowed")] == [1, 2, 3, 4]
    assert guest.trail.decisions == 2 + RING


def test_decisions_of_dropped_records_still_count(make: Make) -> None:
    guest = make()
    for number in range(100):
        guest.append(draft(number % 4, 1 + number // 7 % 3, ("allow", "deny")[number // 3 % 2]))
    assert guest.sound().decisions == 100
    assert any(chain.gap for chain in guest.image().chains)


def test_a_gap_of_apps_names_none_of_them(make: Make) -> None:
    guest = make()
    for number in range(12):
        guest.append(draft(3 + number % 2, 1 + number))
    gap = guest.sound().chains[6].gap
    assert gap is not None
    assert (gap.subject, gap.subject_ix, gap.dropped) == (0, FORM.app | FORM.nobody, 12 - RING)


def test_a_gap_that_can_count_no_further_stays_at_its_most(make: Make) -> None:
    guest = make()
    fill(guest, ROOM + 1)
    guest.memory.data[48:52] = b"\xfe\xff\xff\xff"
    guest.memory.data[32:36] = b"\xfe\xff\xff\xff"
    guest.start()
    for action in (60, 61, 62):
        guest.append(draft(action=action))
    assert guest.image().chains[0].gap.count == 0xFFFF_FFFF  # type: ignore[union-attr]
    assert guest.image().decisions == guest.trail.decisions
    guest.start()
    assert guest.image().decisions == guest.trail.decisions


# ---- any trace -------------------------------------------------------------------------------------------------------


def play(guest: Guest, trace: list[Any]) -> None:
    for who, action, verdict, kind in trace:
        guest.append(draft(who, action, verdict, kind))


@settings(max_examples=150, deadline=None)
@given(trace=TRACES, room=st.integers(3, 8))
def test_any_trace_verifies_and_counts_every_decision(make: Make, trace: list[Any], room: int) -> None:
    guest = make(room)
    play(guest, trace)
    assert guest.sound().decisions == sum(kind == "decision" for *_, kind in trace)


@settings(max_examples=100, deadline=None)
@given(trace=TRACES, more=TRACES, room=st.integers(3, 6))
def test_a_restart_changes_nothing(make: Make, trace: list[Any], more: list[Any], room: int) -> None:
    guest, other = make(room), make(room)
    play(guest, trace)
    play(other, trace)
    guest.start()
    assert guest.sound() == other.sound()
    play(guest, more)
    play(other, more)
    assert guest.sound() == other.sound()


# ---- stopped between two stores --------------------------------------------------------------------------------------

SITUATIONS: dict[str, tuple[int, bytes]] = {
    "append": (2, draft(action=40)),
    "first append": (0, draft(action=40)),
    "merge": (2, draft(action=2)),
    "first gap": (RING, draft(action=40)),
    "first gap, not of decisions": (RING, draft(action=40, kind="undelivered")),
    "drop": (RING + 1, draft(action=40)),
    "drop after many": (3 * RING + 2, draft(action=40)),
    "drop at the end of the ring": (2 * RING, draft(action=40)),
}


def prepared(make: Make, before: int) -> Guest:
    guest = make()
    guest.append(draft(2, 33, "deny"))
    for number in range(before):
        guest.append(draft(action=1 + number))
        guest.append(draft(action=1 + number))
    return guest


def lived(trail: Trail) -> list[tuple[int, int, int]]:
    """Records that are there, and decisions of each."""
    return [(row.seq, row.action, row.count) for _, row in trail.records if row.kind != KINDS["gap"]]


@pytest.mark.parametrize("name", SITUATIONS)
def test_stopped_at_any_store_the_trail_is_as_before_or_after(make: Make, name: str) -> None:
    before, last = SITUATIONS[name]
    guest = prepared(make, before)
    old, decisions = lived(guest.sound()), guest.trail.decisions
    start = bytes(guest.memory.data)
    guest.memory.stores = 0
    guest.append(last)
    new, stores = lived(guest.sound()), guest.memory.stores
    ends = []
    for count in range(stores + 1):
        guest.memory.data[:], guest.memory.left = start, None
        guest.start()
        guest.memory.left = count
        try:
            guest.append(last)
        except Killed:
            assert count < stores
        guest.memory.left = None
        guest.start()
        ends.append(lived(guest.sound()))
        counted = decisions + (ends[-1] == new and last[0] == KINDS["decision"])
        assert guest.trail.decisions == counted, count
    # A record that made room may be gone before the new one is there; what is left and what the gap says are a whole trail.
    between = [row for row in old if row in new]
    assert all(end in (old, between, new) for end in ends)
    assert (ends[0], ends[-1]) == (old, new)


@pytest.mark.parametrize("name", SITUATIONS)
def test_stopped_again_while_it_recovers_it_still_recovers(make: Make, name: str) -> None:
    before, last = SITUATIONS[name]
    guest = prepared(make, before)
    start = bytes(guest.memory.data)
    guest.memory.stores = 0
    guest.append(last)
    for count in range(guest.memory.stores):
        guest.memory.data[:], guest.memory.left = start, None
        guest.start()
        guest.memory.left = count
        with pytest.raises(Killed):
            guest.append(last)
        torn = bytes(guest.memory.data)
        for again in range(guest.memory.stores):
            guest.memory.data[:], guest.memory.left = torn, again
            try:
                guest.start()
            except Killed:
                continue
            break
        guest.memory.left = None
        guest.start()
        guest.append(last)
        guest.sound()


def test_kind_is_the_last_store_of_a_record(make: Make) -> None:
    guest = make()
    guest.memory.left = 0
    seen: list[int] = []
    while not seen or seen[-1] == 0:
        guest.memory.left = len(seen)
        try:
            guest.append(draft())
        except Killed:
            seen.append(guest.memory.data[FORM.bytes])
            continue
        break
    assert set(seen) == {0}
    assert guest.memory.data[FORM.bytes] == KINDS["decision"]


def test_what_fails_between_two_stores_and_lives_on_goes_on_rightly(make: Make) -> None:
    """An exception, as for want of heap, instead of a death."""
    for before in (RING, RING + 1):
        start = prepared(make, before)
        start.memory.stores = 0
        probe = copy.deepcopy(start.memory)
        start.append(draft(action=40))
        for count in range(start.memory.stores):
            guest = Guest(start.contract, ROOM, copy.deepcopy(probe))
            guest.now, guest.memory.left = start.now, count
            with pytest.raises(Killed):
                guest.append(draft(action=40))
            guest.memory.left = None
            guest.append(draft(action=40))
            assert guest.sound().decisions == 2 * before + 2, count


# ---- what does not verify --------------------------------------------------------------------------------------------


def damaged(make: Make, count: int, at: int, number: int = 0, ring: int = 0) -> Guest:
    """A trail with one bit turned in one of its records."""
    guest = make()
    fill(guest, count)
    guest.memory.data[guest.trail.slot(ring, number) * FORM.bytes + at] ^= 1
    return guest


@pytest.mark.parametrize("count", [RING, RING + 3])
def test_a_record_that_was_changed_is_found_at_the_restart(make: Make, count: int) -> None:
    for number in range(RING - 1):
        for at in range(FORM.bytes):
            guest = damaged(make, count, at, number)
            with pytest.raises(guest.broken):
                guest.start()


def test_a_newest_record_whose_link_was_changed_is_found_at_the_restart(make: Make) -> None:
    for at in range(96, 128):
        guest = damaged(make, RING + 3, at, RING - 1)
        with pytest.raises(guest.broken):
            guest.start()


@pytest.mark.parametrize("count", [2, RING, RING + 3])
def test_a_record_that_was_taken_away_is_found_at_the_restart(make: Make, count: int) -> None:
    for number in range(min(count, RING)):
        guest = make()
        fill(guest, count)
        guest.append(draft(2))
        guest.memory.data[guest.trail.slot(0, number) * FORM.bytes] = 0
        with pytest.raises(guest.broken):
            guest.start()


def test_records_that_changed_places_are_found_at_the_restart(make: Make) -> None:
    for count in (RING, RING + 3):
        for one in range(RING):
            for other in range(one):
                guest = make()
                fill(guest, count)
                first, second = (guest.trail.slot(0, place) * FORM.bytes for place in (one, other))
                data = guest.memory.data
                data[first : first + 128], data[second : second + 128] = (
                    bytes(data[second : second + 128]),
                    bytes(data[first : first + 128]),
                )
                with pytest.raises(guest.broken):
                    guest.start()


@pytest.mark.parametrize("at", [0, 52, 53, 56, 57, 96, 127])
def test_a_gap_that_was_changed_is_found_at_the_restart(make: Make, at: int) -> None:
    """Its kind, how many it has, where it ends, the hash."""
    guest = make()
    fill(guest, RING + 3)
    guest.memory.data[at] ^= 8
    with pytest.raises(guest.broken):
        guest.start()


def test_damage_is_left_as_it_is(make: Make) -> None:
    guest = damaged(make, RING + 3, 70)
    before = bytes(guest.memory.data)
    with pytest.raises(guest.broken):
        guest.start()
    assert bytes(guest.memory.data) == before


def test_a_drop_that_the_next_record_does_not_confirm_is_not_finished(make: Make) -> None:
    guest = make()
    fill(guest, RING + 3)
    start = bytes(guest.memory.data)
    guest.memory.data[:] = start
    oldest = guest.trail.slot(0, 0) * FORM.bytes
    guest.memory.data[56:64] = start[oldest + 8 : oldest + 16]
    guest.memory.data[oldest + 70] ^= 1
    torn = bytes(guest.memory.data)
    with pytest.raises(guest.broken):
        guest.start()
    assert bytes(guest.memory.data) == torn


def test_a_slot_that_should_be_free_is_not_written_over(make: Make) -> None:
    guest = make()
    fill(guest, 2)
    guest.memory.data[guest.trail.slot(0, 2) * FORM.bytes] = 1
    before = bytes(guest.memory.data)
    with pytest.raises(guest.broken):
        guest.append(draft(action=40))
    assert bytes(guest.memory.data) == before


# ---- pages -----------------------------------------------------------------------------------------------------------


def read(guest: Guest, since: int = 0, rings: Any = None, own: Any = None) -> list[Record]:
    """All pages, as a reader gets them."""
    found: list[Record] = []
    while True:
        following, page = guest.page(since, rings or range(CLASSES), own)
        assert len(page) <= 3
        found += [FORM.parse(data) for data in page]
        if not page and following <= since:
            return found
        assert following > since
        since = following


@settings(max_examples=60, deadline=None)
@given(trace=TRACES, since=st.integers(0, 70), room=st.integers(3, 6))
def test_pages_are_all_records_in_the_order_of_their_numbers(
    make: Make, trace: list[Any], since: int, room: int
) -> None:
    guest = make(room)
    play(guest, trace)
    expected = [row for _, row in guest.sound().records if row.seq >= since]
    assert read(guest, since) == expected


@settings(max_examples=40, deadline=None)
@given(trace=TRACES)
def test_pages_about_one_app_are_of_that_app_alone(make: Make, trace: list[Any]) -> None:
    guest = make(40)
    play(guest, trace)
    mine = FORM.parse(draft(3) + bytes(32))
    own = (mine.subject.to_bytes(8, "little"), mine.subject_ix.to_bytes(2, "little"))
    records = [row for _, row in guest.sound().records]
    assert read(guest, 0, (6, 7), own) == [row for row in records if row.subject == mine.subject]
    other = (own[0], (mine.subject_ix + 1).to_bytes(2, "little"))
    assert read(guest, 0, (6, 7), other) == []


def test_an_answer_looks_at_a_bounded_number_of_records(make: Make, contract: SimpleNamespace) -> None:
    guest = make(400)
    fill(guest, 300, who=4)
    guest.append(draft(3))
    own = (draft(3)[24:32], draft(3)[40:42])
    assert guest.page(0, (6, 7), own) == (contract.LIMIT_AUDIT_CHECKED + 1, [])
    assert len(read(guest, 0, (6, 7), own)) == 1


def test_finding_a_page_looks_at_few_slots(make: Make) -> None:
    guest = make(1000)
    fill(guest, 900)
    longs, seen = guest.trail.longs, []

    class Watched:
        def __getitem__(self, key: int) -> int:
            seen.append(key)
            return int(longs[key])

    guest.trail.longs = Watched()
    guest.page(500, range(CLASSES), None)
    assert len(seen) < 30
