"""The shell's line editor: each key does to the line what it says, the screen shows that line, and no bytes can do anything else.

The line and the screen are worked out a second time here, in other ways.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shims.typist import EDITOR, KEYS, Typed

ENTER = b"\r"
LEFT, RIGHT, UP, DOWN = (b"\x1b[" + letter for letter in (b"D", b"C", b"A", b"B"))


def typed(data: bytes) -> str:
    """The line that these keys make."""
    return str(Typed().type(data).line.text)


# ---- keys ------------------------------------------------------------------------------------------------------------

EDITS = [
    (b"abc", "abc"),
    (b"abc" + LEFT + b"x", "abxc"),
    (b"abc" + LEFT * 5 + b"x", "xabc"),
    (b"abc" + LEFT + RIGHT * 5 + b"x", "abcx"),
    (b"abc\x7f", "ab"),
    (b"abc\x08", "ab"),
    (b"\x7f", ""),
    (b"abc\x1b[Hx", "xabc"),
    (b"abc\x01x", "xabc"),
    (b"abc\x1b[1~x\x1b[Fy", "xabcy"),
    (b"abc\x01x\x05y", "xabcy"),
    (b"abc\x1bOHx\x1bOFy", "xabcy"),
    (b"abc\x01\x1b[3~", "bc"),
    (b"abc\x01\x04", "bc"),
    (b"abc\x02\x02\x06x", "abxc"),
    (b"one two\x01\x0b", ""),
    (b"one two" + LEFT * 3 + b"\x0b", "one "),
    (b"one two" + LEFT * 3 + b"\x15", "two"),
    (b"one two \x17", "one "),
    (b"one two\x1b\x7f", "one "),
    (b"one two\x17\x19\x19", "one twotwo"),
    (b"one two\x1bbx", "one xtwo"),
    (b"one two\x1b[1;5Dx", "one xtwo"),
    (b"one two\x01\x1bfx", "onex two"),
    (b"one two\x01\x1b[1;5Cx", "onex two"),
    (b"one two\x01\x1bd", " two"),
    ("süß\x1b[D\x7f".encode(), "sß"),
    ("世界😀\x7f!".encode(), "世界!"),
    (b"pol\t", "policy "),
    (b"pol x" + LEFT * 2 + b"\t", "policy x"),
    (b"p\t", "p"),
    (b"pr\t", "prompt "),
    (b"zz\t", "zz"),
]


@pytest.mark.parametrize(("keys", "line"), EDITS)
def test_each_key_does_what_it_says(keys: bytes, line: str) -> None:
    assert typed(keys) == line


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_a_line_ends_once(end: bytes) -> None:
    run = Typed().type(b"one" + end + b"two" + end)
    assert run.lines == ["one", "two"]
    assert run.events == ["line", "line"]
    assert run.screen.text == "nexus> one\nnexus> two\nnexus>"


def test_interrupt_forgets_the_line() -> None:
    run = Typed().type(b"one\x03two\r")
    assert (run.events, run.lines) == (["interrupt", "line"], ["two"])
    assert run.screen.text == "nexus> one^C\nnexus> two\nnexus>"


@pytest.mark.parametrize(("key", "event"), [(b"\x01", "raw"), (b"\x04", "reset")])
def test_only_an_empty_line_is_left(key: bytes, event: str) -> None:
    assert Typed().type(key).events == [event]
    assert Typed().type(b"x" + key + b"\x7f\x7f").events == []


@pytest.mark.parametrize(
    "junk",
    [
        b"\x1b[99Z",
        b"\x1b[1;1;1;1;1;1;1R",
        b"\x1bZ",
        b"\x1b\x1b[Z",
        b"\xff\xfe",
        b"\xc0\x80",
        b"\xc2\x9b",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        "\u202e\ufeff\u200b".encode(),
        b"\x80\xbf",
        b"\x00\x1c",
    ],
)
def test_what_is_no_key_changes_nothing(junk: bytes) -> None:
    assert typed(b"a" + junk + b"b") == "ab"


def test_a_character_has_one_spelling() -> None:
    assert [typed(longer + b"b") for longer in (b"\xc1\xa1", b"\xe0\x80\xaf", b"\xf0\x82\x82\xac")] == ["b"] * 3


def test_interrupt_works_within_a_sequence() -> None:
    assert Typed().type(b"\x1b[1;\x03").events == ["interrupt"]
    assert Typed().type(b"\xe4\xb8\x03").events == ["interrupt"]


def test_a_line_has_an_end() -> None:
    run = Typed().type(b"x" * (EDITOR.LONGEST + 50))
    assert len(run.line.text) == EDITOR.LONGEST
    assert run.screen.bells == 50


def test_long_lines_scroll_in_their_row() -> None:
    run = Typed().type("".join(chr(ord("a") + n % 26) for n in range(200)).encode())
    assert run.screen.line.endswith("pqr")
    run.type(b"\x1b[H")
    assert run.screen.line.startswith("nexus> abc")
    assert run.screen.row == 0
    assert len(run.screen.rows) == 1


@pytest.mark.parametrize("length", range(60, 90))
def test_interrupt_of_any_line_stays_in_its_row(length: int) -> None:
    run = Typed().type(b"x" * length + b"\x03")
    assert run.screen.rows[0][-2:] == ["^", "C"]
    assert len(run.screen.rows) == 2


def test_a_key_at_the_end_of_a_short_line_costs_one_character() -> None:
    assert Typed().type(b"ps").most == 1


def test_completions_are_listed_below_and_the_line_stays() -> None:
    run = Typed().type(b"x p\t")
    assert run.screen.text == "nexus> x p\npolicy  prompt  ps\nnexus> x p"


def test_many_completions_fit_the_screen() -> None:
    run = Typed()
    run.line.complete = lambda _text: (0, [f"word{number:03}" for number in range(500)])
    run.type(b"\t\t")
    assert len(run.screen.rows) < 24
    assert "and 440 more" in run.screen.text


def test_completions_that_are_no_plain_words_are_none() -> None:
    run = Typed()
    run.line.complete = lambda _text: (0, ["\x1b]0;x", "ü"])
    assert run.type(b"\t").line.text == ""


@pytest.mark.parametrize("character", ["a", "é", "Ω", "ж", "א", "क", "→", "─", "あ", "世", "한", "ｆ", "😀", "́"])
def test_widths_are_those_of_unicode(character: str) -> None:
    wide = unicodedata.east_asian_width(character) in "WF"
    assert KEYS.width(character) == (0 if unicodedata.combining(character) else 2 if wide else 1)


def test_nothing_that_a_terminal_acts_on_is_a_character() -> None:
    bad = [point for point in range(0x110000) if unicodedata.category(chr(point)) in ("Cc", "Cs", "Co", "Zl", "Zp")]
    assert [point for point in bad if KEYS.width(chr(point)) >= 0] == []
    turning = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    assert [one for one in turning if KEYS.width(one) >= 0] == []


# ---- history ---------------------------------------------------------------------------------------------------------


def test_history_goes_back_and_forth() -> None:
    run = Typed().type(b"one\rtwo\rthr")
    assert run.type(UP).line.text == "two"
    assert run.type(UP).line.text == "one"
    assert run.type(UP).line.text == "one"
    assert run.screen.bells == 1
    assert run.type(DOWN).line.text == "two"
    assert run.type(DOWN).line.text == "thr"
    assert run.type(DOWN).line.text == "thr"


def test_history_outlives_the_editor() -> None:
    kept = bytearray(2048)
    Typed(kept).type("ps\rpolicy check route süß\r".encode())
    assert Typed(kept).type(UP).line.text == "policy check route süß"
    assert Typed(kept).type(UP + UP).line.text == "ps"


def test_history_holds_no_line_twice_in_a_row_and_none_that_is_empty() -> None:
    run = Typed().type(b"one\rone\r\rtwo\rone\r")
    assert run.history.lines == ["one", "two", "one"]


def test_oldest_lines_make_room() -> None:
    kept = bytearray(64)
    run = Typed(kept)
    for number in range(100):
        run.type(f"line {number}\r".encode())
    assert run.history.lines == Typed(kept).history.lines
    assert run.history.lines[-1] == "line 99"
    assert sum(len(line) + 1 for line in run.history.lines) in range(64 - 2 - 8, 64 - 2 + 1)
    run.type(b"x" * 200 + b"\r")
    assert run.history.lines[-1] == "line 99"


@pytest.mark.parametrize("line", ["\x1b[2J", "\x9b2J", "a\u202eb", "\x07"])
def test_kept_line_that_nobody_can_have_typed_is_none(line: str) -> None:
    data = f"{line}\nps\n".encode()
    assert Typed(bytearray([len(data), 0, *data, *bytes(20)])).history.lines == ["ps"]


@given(st.binary(min_size=16, max_size=200))
@settings(max_examples=60, deadline=None)
def test_whatever_is_kept_can_be_recalled_and_shown(kept: bytes) -> None:
    run = Typed(bytearray(kept))
    run.type((UP + b"x\x7f") * 5 + ENTER)
    assert all(KEYS.width(character) >= 0 for line in run.lines for character in line)


# ---- any keys --------------------------------------------------------------------------------------------------------

Line = tuple[list[str], int]
Operation = Callable[[list[str], int], Line]


def _word_left(text: list[str], at: int) -> int:
    return len(re.sub(r"[^ ]* *$", "", "".join(text[:at])))


def _word_right(text: list[str], at: int) -> int:
    found = re.match(r" *[^ ]*", "".join(text[at:]))
    assert found is not None
    return at + found.end()


OPERATIONS: dict[bytes, Operation] = {
    LEFT: lambda text, at: (text, max(0, at - 1)),
    RIGHT: lambda text, at: (text, min(len(text), at + 1)),
    b"\x1b[H": lambda text, _: (text, 0),
    b"\x05": lambda text, _: (text, len(text)),
    b"\x7f": lambda text, at: (text[: max(0, at - 1)] + text[at:], max(0, at - 1)),
    b"\x1b[3~": lambda text, at: (text[:at] + text[at + 1 :], at),
    b"\x0b": lambda text, at: (text[:at], at),
    b"\x15": lambda text, at: (text[at:], 0),
    b"\x17": lambda text, at: (text[: _word_left(text, at)] + text[at:], _word_left(text, at)),
    b"\x1bd": lambda text, at: (text[:at] + text[_word_right(text, at) :], at),
    b"\x1bb": lambda text, at: (text, _word_left(text, at)),
    b"\x1bf": lambda text, at: (text, _word_right(text, at)),
    b"\x0c": lambda text, at: (text, at),
}


def inserted(character: str) -> Operation:
    return lambda text, at: ([*text[:at], character, *text[at:]], at + 1) if len(text) < 256 else (text, at)


KEY = st.one_of(st.sampled_from(sorted(OPERATIONS)), st.sampled_from("ab  xé世😀\u0301").map(str.encode))


@given(st.lists(st.one_of(KEY, st.just(b"word and more "), st.just("世界".encode() * 12)), max_size=60))
@settings(max_examples=60, deadline=None)
def test_line_is_what_the_keys_make_of_it(keys: list[bytes]) -> None:
    text: list[str] = []
    at = 0
    for key in keys:
        if key in OPERATIONS:
            text, at = OPERATIONS[key](text, at)
        else:
            for character in key.decode():
                text, at = inserted(character)(text, at)
    run = Typed().type(b"".join(keys))
    assert (run.line.text, run.line.at) == ("".join(text), at)


@given(
    st.lists(st.one_of(st.binary(max_size=12), KEY, st.sampled_from([UP, DOWN, b"\t", b"\r", b"\x19"])), max_size=50)
)
@settings(max_examples=100, deadline=None)
def test_any_bytes_leave_a_line_that_the_screen_shows(pieces: list[bytes]) -> None:
    run = Typed().type(b"".join(pieces))
    assert run.most < 2000
    assert all(KEYS.width(character) >= 0 for line in run.lines for character in line)
