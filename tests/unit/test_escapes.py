"""What of a guest's output reaches a person's terminal: by a list of what may, in whatever pieces it comes."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.machine.escapes import INTERMEDIATE_BYTES, PARAMETER_BYTES, STRING_BYTES, Filter

# What a terminal may be sent, said a second time and in another way: after the removal of these nothing may be left.
PASSED = re.compile(
    r"[\x20-\x7e\r\n\t\x08\x07]|\x1b\[(?:\d{0,4}(?:;\d{0,4}){0,15})m|\x1b\[\d{0,4}[A-GdJK]|\x1b\[\d{0,4}(?:;\d{0,4})?[Hf]|[^\x00-\x9f]"
)
PIECES = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(
        [b"\x1b", b"\x1b[", b"\x1b]0;", b"\x1bP", b"\x07", b"\x1b\\", b"\x18", b"\x9b", b"\xc2\x9b", b"\n", b"x"]
    ),
    st.from_regex(rb"\A\x1b\[[0-?]{0,6}[ -/]{0,2}[@-~]\Z"),
    st.text(max_size=4).map(lambda text: text.encode("utf-8", "surrogatepass")),
)
STREAMS = st.lists(PIECES, max_size=20).map(b"".join)


def passed(data: bytes) -> bytes:
    return Filter().feed(data)


@pytest.mark.parametrize(
    "data",
    [
        "plain text, \ttabs\r\nand bells\a\b",
        "\x1b[m\x1b[0;1;31mred\x1b[38;5;208morange\x1b[48;2;1;2;255m",
        "\x1b[A\x1b[3B\x1b[999C\x1b[D\x1b[E\x1b[F\x1b[7G\x1b[4d",
        "\x1b[H\x1b[5;10H\x1b[;5f\x1b[J\x1b[2J\x1b[1K\x1b[K",
        "grüße 漢字 ☃ 🦊 \u00a0é",
    ],
)
def test_text_colours_and_cursor_pass(data: str) -> None:
    assert passed(data.encode()) == data.encode()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("title", b"\x1b]0;owned\x07"),
        ("title, other end", b"\x1b]2;owned\x1b\\"),
        ("clipboard", b"\x1b]52;c;cm0gLXJm\x07"),
        ("link", b"\x1b]8;;http://x\x07"),
        ("device control", b'\x1bP$q"p\x1b\\'),
        ("sixel", b"\x1bPq#0;2;0;0;0\x1b\\"),
        ("application", b"\x1b_Gf=32\x1b\\"),
        ("privacy", b"\x1b^x\x1b\\"),
        ("start of string", b"\x1bXx\x1b\\"),
        ("where is the cursor", b"\x1b[6n"),
        ("who are you", b"\x1b[c\x1b[>c\x1b[=c\x1bZ"),
        ("answer back", b"\x05"),
        ("other screen", b"\x1b[?1049h"),
        ("hidden cursor", b"\x1b[?25l"),
        ("mouse", b"\x1b[?1003h"),
        ("pasted text in brackets", b"\x1b[?2004h"),
        ("insert mode", b"\x1b[4h"),
        ("scroll region", b"\x1b[2;5r"),
        ("save and restore", b"\x1b7\x1b8\x1b[s\x1b[u"),
        ("reset", b"\x1bc\x1b[!p"),
        ("repeat", b"x\x1b[99999b"[1:]),
        ("window", b"\x1b[3t\x1b[21t"),
        ("what was scrolled away", b"\x1b[3J"),
        ("character sets", b"\x0e\x0f\x1b(0\x1bN"),
        ("private colour", b"\x1b[>4;2m\x1b[?4m"),
        ("intermediate", b"\x1b[1 q\x1b[1$m"),
        ("too far", b"\x1b[1000A\x1b[99999H"),
        ("too many", b"\x1b[" + b"1;" * 16 + b"1m"),
        ("broken off", b"\x1b[12\x1b[3;\xc3\xa4"[:-2] + b"\x1b[1;2;3\x7f"),
        ("single bytes of C1", b"\x9b\x9d\x90\x85"),
        ("characters of C1", "\x9b\x85\x90".encode()),
        ("text that runs backwards", "\u202e\u2066\u200f".encode()),
        ("nothing to see", "\u200b\ufeff\u00ad".encode()),
        ("no characters", b"\xff\xfe\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80"),
        ("vertical tab and delete", b"\x0b\x0c\x7f\x00"),
    ],
)
def test_all_else_is_dropped(name: str, data: bytes) -> None:
    assert passed(b"<" + data + b">") == b"<>", name


@given(STREAMS)
def test_only_what_is_on_the_list_comes_out(data: bytes) -> None:
    assert PASSED.sub("", passed(data).decode("utf-8")) == ""


@given(STREAMS, st.lists(st.integers(0, 200), max_size=8))
def test_pieces_make_no_difference(data: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    one = Filter()
    pieces = [one.feed(data[begin:end]) for begin, end in pairwise(places)]
    whole = Filter()
    assert b"".join(pieces) == whole.feed(data)
    assert one._pending == whole._pending


@given(STREAMS)
def test_what_passed_passes_again(data: bytes) -> None:
    once = passed(data)
    assert passed(once) == once


@given(STREAMS)
def test_no_more_is_held_back_than_the_beginning_of_one_sequence(data: bytes) -> None:
    one = Filter()
    one.feed(data)
    assert len(one._pending) <= 2 + PARAMETER_BYTES + INTERMEDIATE_BYTES


def test_string_without_end_swallows_no_more_than_a_line() -> None:
    assert passed(b"\x1b]0;title\r\nnext") == b"\r\nnext"
    data = b"\x1bP" + b"x" * (STRING_BYTES + 10) + b"after"
    assert passed(data) == b"x" * 10 + b"after"


def test_plain_megabytes_are_passed_at_once() -> None:
    data = b"0123456789abcde\n" * 65536
    assert passed(data) is data
