"""Whatever is done to a trail that logd wrote, the host's rules find it: in the store and in an export, with the head that was told."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shims.store import APPS, CLASSES, FORM, NAMES, Guest, draft

from nexus.audit.export import Export, from_lines, to_lines
from nexus.audit.trail import Head, Trail, check_head, from_store, verify
from nexus.errors import UsageError

CASES = st.tuples(
    st.sampled_from([0, 1, 2, *APPS]),
    st.integers(1, 3),
    st.sampled_from(["allow", "deny", "malformed"]),
    st.sampled_from(["decision", "decision", "decision", "undelivered"]),
)
TRACES = st.lists(CASES, min_size=1, max_size=50)
Make = Callable[[int, list[Any]], Guest]


@pytest.fixture(scope="session")
def played(contract: SimpleNamespace) -> Make:
    """played(room, trace) -> a trail after that."""

    def play(room: int, trace: list[Any]) -> Guest:
        guest = Guest(contract, room)
        for who, action, verdict, kind in trace:
            guest.append(draft(who, action, verdict, kind))
        return guest

    return play


def refused(trail: Trail, told: Head) -> bool:
    return bool(verify(trail)) or check_head(trail, told, "head") is not None


# ---- the store -------------------------------------------------------------------------------------------------------


@settings(max_examples=400, deadline=None)
@given(trace=TRACES, room=st.integers(3, 6), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_bit_that_is_turned_is_found_or_belongs_to_no_record(
    played: Make, trace: list[Any], room: int, place: float, bit: int
) -> None:
    guest = played(room, trace)
    before = guest.sound()
    data = bytearray(guest.memory.data)
    at = int(place * len(data))
    is_free = data[at // FORM.bytes * FORM.bytes] == 0
    data[at] ^= 1 << bit
    after = from_store(FORM, NAMES, bytes(data), guest.slots)
    if is_free and at % FORM.bytes:
        assert after == before
    else:
        assert refused(after, before.head())


@settings(max_examples=200, deadline=None)
@given(
    trace=TRACES, room=st.integers(3, 6), slots=st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)), how=st.integers(0, 2)
)
def test_slots_that_are_emptied_copied_or_changed_round_are_found(
    played: Make, trace: list[Any], room: int, slots: tuple[float, float], how: int
) -> None:
    guest = played(room, trace)
    before = guest.sound()
    data = bytearray(guest.memory.data)
    one, two = (slice(int(at * guest.slots) * FORM.bytes, int(at * guest.slots + 1) * FORM.bytes) for at in slots)
    first, second = bytes(data[one]), bytes(data[two])
    data[one] = second if how else bytes(FORM.bytes)
    if how == 2:
        data[two] = first
    after = from_store(FORM, NAMES, bytes(data), guest.slots)
    assert after == before or refused(after, before.head())  # empty slots that changed places are the same trail


@settings(max_examples=100, deadline=None)
@given(trace=TRACES, more=TRACES, room=st.integers(3, 6))
def test_a_head_that_was_told_earlier_excludes_every_shorter_trail(
    played: Make, trace: list[Any], more: list[Any], room: int
) -> None:
    short, long = played(room, trace).sound(), played(room, trace + more).sound()
    told = long.head()
    assert check_head(long, told, "head") is None
    assert (check_head(short, told, "head") is None) == (short == long)


# ---- an export -------------------------------------------------------------------------------------------------------


def exported(trail: Trail) -> str:
    return to_lines(Export(trail, "system", "00", "11", trail.head()))


def refuses(text: str) -> bool:
    """Whether a file is no trail, or one that does not verify."""
    try:
        found = from_lines(text, FORM, "file")
    except UsageError:
        return True
    return refused(found.trail, found.head)


@settings(max_examples=100, deadline=None)
@given(trace=TRACES, room=st.integers(3, 6))
def test_an_export_is_the_whole_trail(played: Make, trace: list[Any], room: int) -> None:
    trail = played(room, trace).sound()
    found = from_lines(exported(trail), FORM, "file")
    assert (found.trail, found.head, verify(found.trail)) == (trail, trail.head(), [])


@settings(max_examples=150, deadline=None)
@given(trace=TRACES, room=st.integers(3, 6), data=st.data())
def test_lines_that_are_lost_doubled_or_cut_off_are_found(played: Make, trace: list[Any], room: int, data: Any) -> None:
    trail = played(room, trace).sound()
    lines = exported(trail).splitlines(keepends=True)
    at = data.draw(st.integers(1, len(lines) - 1))
    for text in (lines[:at] + lines[at + 1 :], lines[: at + 1] + lines[at:], lines[:at], lines[1:]):
        assert refuses("".join(text))


@settings(max_examples=150, deadline=None)
@given(trace=TRACES, room=st.integers(3, 6), data=st.data())
def test_lines_that_changed_places_are_found_or_the_same_trail(
    played: Make, trace: list[Any], room: int, data: Any
) -> None:
    trail = played(room, trace).sound()
    lines = exported(trail).splitlines(keepends=True)
    if len(lines) <= 2:
        return
    one, two = data.draw(st.lists(st.integers(1, len(lines) - 1), min_size=2, max_size=2, unique=True))
    same_class = lines[one].split('"')[3] == lines[two].split('"')[3]
    is_gap = '"kind": "gap"' in lines[one] + lines[two]
    lines[one], lines[two] = lines[two], lines[one]
    if same_class and not is_gap:
        assert refuses("".join(lines))


@settings(max_examples=300, deadline=None)
@given(trace=TRACES, room=st.integers(3, 6), data=st.data())
def test_any_character_that_is_changed_is_found_or_changes_nothing(
    played: Make, trace: list[Any], room: int, data: Any
) -> None:
    trail = played(room, trace).sound()
    text = exported(trail)
    start = text.index("\n") + 1
    at = data.draw(st.integers(start, len(text) - 1))
    other = data.draw(st.sampled_from('0123456789abcdefx-"\\ {},\n'))
    changed = text[:at] + other + text[at + 1 :]
    try:
        found = from_lines(changed, FORM, "file")
    except UsageError:
        return
    assert found.trail == trail or refused(found.trail, found.head)


def test_every_class_can_be_found_wanting(played: Make) -> None:
    """The last record of each class, which no successor confirms, is confirmed by the head alone."""
    trace = [
        (who, action, verdict, "decision") for who in (0, 1, 2, 3) for verdict in ("allow", "deny") for action in (1, 2)
    ]
    guest = played(5, trace)
    told = guest.sound().head()
    for ring in range(CLASSES):
        data = bytearray(guest.memory.data)
        data[guest.trail.slot(ring, 1) * FORM.bytes + 48] ^= 2
        after = from_store(FORM, NAMES, bytes(data), guest.slots)
        assert verify(after) == []
        assert check_head(after, told, "head") is not None
