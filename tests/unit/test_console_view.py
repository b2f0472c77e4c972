"""The parts of `nexus console` that are pure: how a screen is divided, what a key means, how a dialogue is judged."""

from __future__ import annotations

import os
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.errors import UsageError
from nexus.machine.consolekeys import Answer, Command, Keys, Mode, Typed, key_name, parse_key
from nexus.machine.consolelayout import Layout, Place
from nexus.machine.consoleview import TAIL_BYTES, LogLine, Page, View
from nexus.machine.dialogue import WINDOW_BYTES, Dialogue, Expect, Send, unescape
from nexus.machine.script import check_pattern

ESCAPE = 0x1D
SEQUENCE = re.compile(rb"\x1b\[[0-?]*[@-~]|\x1b[78]")


# ---- how a screen is divided -----------------------------------------------------------------------------------------


@given(st.integers(1, 200), st.integers(1, 300), st.sampled_from(Place), st.booleans())
def test_every_row_is_the_terminals_or_the_panes_or_the_status_line(
    rows: int, columns: int, place: Place, large: bool
) -> None:
    layout = Layout.of(rows, columns, place, large=large)
    terminal = list(range(layout.top, layout.bottom + 1))
    pane = list(range(layout.pane_top, layout.pane_top + layout.pane))
    status = [layout.status] if layout.status else []
    assert sorted(terminal + pane + status) == list(range(1, rows + 1))
    assert len(terminal) >= min(rows, 2)
    assert len(terminal) >= len(pane)


def test_log_goes_round_its_places() -> None:
    assert [place.next for place in Place] == [Place.ABOVE, Place.OFF, Place.BELOW]


def test_small_screen_has_no_log_until_asked_for() -> None:
    assert View(15, 80, "").layout.pane == 0
    assert View(16, 80, "").layout.pane > 0


# ---- what is drawn ---------------------------------------------------------------------------------------------------


def test_what_is_drawn_beside_ends_where_the_guest_was() -> None:
    view = View(24, 80, "status")
    view.log(["[    0.100] rngd: served"])
    for drawing in (view.refresh(), view.say("note"), view.toggle_times()):
        assert drawing.startswith(b"\x1b7")
        assert drawing.endswith(b"\x1b8\x1b[?25h")
        assert drawing.count(b"\x1b7") == drawing.count(b"\x1b8")
        assert b"\n" not in drawing  # which would scroll the guest's region


def test_flood_of_log_lines_is_drawn_once() -> None:
    view = View(24, 80, "")
    view.log([f"[    0.100] rngd: line {number}" for number in range(10_000)])
    assert len(view.refresh()) < 2000
    assert view.refresh() == b""


def test_guest_output_goes_through_unchanged_until_it_erases() -> None:
    view = View(24, 80, "status")
    assert view.guest(b"text\r\n\x1b[5A") == b"text\r\n\x1b[5A"
    assert b"status" in view.guest(b"\x1b[2Jx")


def test_what_is_kept_to_be_drawn_again_is_bounded() -> None:
    view = View(24, 80, "")
    for _ in range(100):
        view.guest(b"0123456789abcde\r\n" * 1000)
    assert len(view._tail) <= TAIL_BYTES


def test_new_size_draws_the_last_rows_of_the_terminal_again() -> None:
    view = View(24, 80, "", Place.OFF)
    view.guest(b"".join(b"line %d\r\n" % number for number in range(100)) + b"prompt> typ")
    drawn = view.resize(10, 80)
    assert b"line 99\r\nprompt> typ" in drawn
    assert b"line 92" in drawn
    assert b"line 91" not in drawn


def test_new_size_draws_nothing_from_before_the_guest_cleared_its_screen() -> None:
    view = View(24, 80, "", Place.OFF)
    view.guest(b"old\r\n\x1b[Hx\x1b[2Jnew")
    assert b"old" not in view.resize(20, 80)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200), st.integers(1, 100), st.booleans())
def test_log_line_takes_no_more_columns_than_there_are(text: str, columns: int, times: bool) -> None:
    drawn = SEQUENCE.sub(b"", LogLine.of(f"[    0.100] {text}").drawn(columns, times=times))
    assert len(drawn) <= columns
    assert drawn.isascii()


def test_log_of_one_service() -> None:
    view = View(24, 80, "")
    view.log(["[    0.100] rngd: served", "[    0.200] logd: served", "[    0.300] rngd| and more"])
    assert view.labels == ["logd", "rngd"]
    drawn = view.only("rngd")
    assert b"logd" not in drawn
    assert b"and more" in drawn
    assert b"log of rngd" in drawn


def test_page_takes_the_place_of_the_log_and_gives_it_back() -> None:
    view = View(24, 80, "", Place.OFF)
    drawn = view.page(Page("audit", [f"record {number}" for number in range(50)], newest=True))
    assert b"record 49" in drawn
    assert b"record 0" not in drawn
    assert view.page_title == "audit"
    assert b"record" not in view.close_page()


# ---- what a key means ------------------------------------------------------------------------------------------------


def test_every_byte_but_one_is_the_guests() -> None:
    others = bytes(byte for byte in range(256) if byte != ESCAPE)
    assert Keys(ESCAPE).feed(others, []) == [Typed(others)]


def test_escape_key_twice_types_it() -> None:
    keys = Keys(ESCAPE)
    assert keys.feed(b"a\x1d\x1db", []) == [Typed(b"a"), Typed(b"\x1d"), Typed(b"b")]


def test_command_is_one_letter_in_any_piece() -> None:
    keys = Keys(ESCAPE)
    assert keys.feed(b"\x1d", []) == []
    assert keys.mode is Mode.MENU
    assert keys.feed(b"Px", []) == [Command("p")]
    assert keys.rest == b"x"


def test_unknown_command_is_none_and_typed_nowhere() -> None:
    assert Keys(ESCAPE).feed(b"\x1dz", []) == []


def test_label_is_asked_for_and_completed() -> None:
    keys = Keys(ESCAPE)
    keys.feed(b"\x1df", [])
    keys.ask()
    assert keys.feed(b"k\t", ["keystored", "kernel", "logd"]) == []
    assert keys.answer == "ke"
    assert keys.feed(b"x\x7fy\t\r", ["keystored", "kernel"]) == [Answer("keystored")]
    assert keys.mode is Mode.TYPING


@pytest.mark.parametrize("key", [b"\x1b[A", b"\x03", b"\x1d"])
def test_question_can_be_left(key: bytes) -> None:
    keys = Keys(ESCAPE)
    keys.ask()
    assert keys.feed(b"rng" + key, []) == [Answer(None)]


@pytest.mark.parametrize(("text", "key"), [("ctrl-]", 0x1D), ("Ctrl-A", 1), ("^t", 0x14), ("c-_", 0x1F), ("ctrl-@", 0)])
def test_escape_key_by_name(text: str, key: int) -> None:
    assert parse_key(text) == key
    assert parse_key(key_name(key)) == key


@pytest.mark.parametrize("text", ["x", "ctrl-", "ctrl-1", "alt-x", "ctrl-m", "ctrl-[", "ctrl-i", "ctrl-h", ""])
def test_key_that_is_needed_or_unknown_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--escape"):
        parse_key(text)


# ---- a dialogue ------------------------------------------------------------------------------------------------------


def expect(text: str) -> Expect:
    return Expect(re.compile(text.encode(), re.DOTALL), text)


@given(st.lists(st.integers(0, 40), max_size=6))
def test_dialogue_is_the_same_in_any_pieces(cuts: list[int]) -> None:
    text = b"boot> one two; and then three> bye"
    dialogue = Dialogue(
        [expect("> "), Send(b"a"), Send(b"b"), expect("two;"), expect(r"e> "), Send(b"c")], [expect("xx")]
    )
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    sent = dialogue.take() + b"".join(dialogue.take(text[a:b]) for a, b in pairwise(places))
    assert sent == b"abc"
    assert dialogue.done


def test_what_was_matched_is_not_matched_again() -> None:
    dialogue = Dialogue([expect("> "), expect("> ")])
    dialogue.take(b"one> ")
    assert not dialogue.done
    dialogue.take(b"two> ")
    assert dialogue.done


def test_forbidden_text_behind_the_last_match_is_nothing_to_it() -> None:
    dialogue = Dialogue([expect("end")], [expect("bad")])
    dialogue.take(b"the end bad")
    assert dialogue.done


def test_forbidden_text_counts_while_nothing_has_come_yet() -> None:
    dialogue = Dialogue([expect("end"), Send(b"x")], [expect("bad")])
    assert dialogue.take(b"a bad ") == b""
    assert dialogue.failure is not None
    assert dialogue.take(b"end") == b""
    assert dialogue.over


@pytest.mark.parametrize(("between", "done"), [(WINDOW_BYTES - 5, True), (WINDOW_BYTES, False)])
def test_match_begins_no_further_back_than_the_window(between: int, done: bool) -> None:
    dialogue = Dialogue([expect("begin.*end")])
    dialogue.take(b"begin" + b"x" * between)
    dialogue.take(b"end")
    assert dialogue.done is done


@pytest.mark.parametrize("before", [b"", b"x" * WINDOW_BYTES])
def test_forbidden_text_is_found_across_two_pieces(before: bytes) -> None:
    dialogue = Dialogue([expect("end")], [expect("bad")])
    dialogue.take(before + b"b")
    dialogue.take(b"ad end")
    assert dialogue.failure is not None


def test_search_looks_at_no_more_than_the_window_and_what_is_new() -> None:
    """Else a pattern like `\\w+!` takes a guest's endless line for ever longer."""
    searched: list[int] = []

    class Never:
        def search(self, came: bytes) -> None:
            searched.append(len(came))

    pattern: Any = Never()
    dialogue = Dialogue([Expect(pattern, "never")])
    for _ in range(20):
        dialogue.take(b"x" * 1000)
    assert max(searched) == WINDOW_BYTES + 1000


def test_escapes_of_text_to_send() -> None:
    assert unescape(r"a\r\n\t\e\x00\xff\\ä\0") == b"a\r\n\t\x1b\x00\xff\\\xc3\xa4\x00"


@pytest.mark.parametrize("text", ["a\u00e9", "a\udcff"], ids=["utf-8", "bytes"])
def test_pattern_of_any_bytes_finds_them(text: str) -> None:
    assert check_pattern(text).fullmatch(os.fsencode(text))


@pytest.mark.parametrize("text", ["\\", r"\q", r"\x1", r"\xgg"])
def test_escape_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no escape"):
        unescape(text)
