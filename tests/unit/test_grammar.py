"""What is a console line of this image and what is not; nothing a guest prints may reach a terminal unescaped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.verdict.grammar import COUNTER, MAX_LINE_BYTES, Line, Malformed, Seen, escape, parse, phase_pattern

LABELS = frozenset({"kernel", "logd", "rngd", "SELFTEST", "selftest-peer"})


def line(text: str) -> Line | Malformed:
    return parse(Seen(0.0, text.encode("latin-1")), LABELS)


@pytest.mark.parametrize(
    ("text", "label", "rest", "continued"),
    [
        ("logd: hello", "logd", "hello", False),
        ("logd: ", "logd", "", False),
        ("logd| more", "logd", "more", True),
        ("SELFTEST: x: y", "SELFTEST", "x: y", False),
        ("selftest-peer: ok", "selftest-peer", "ok", False),
        ("rngd: logd: hello", "rngd", "logd: hello", False),
        ("app:weather: hi", "app:weather", "hi", False),
        (r"logd: \x07\\", "logd", r"\x07\\", False),
    ],
)
def test_line_of_a_label(text: str, label: str, rest: str, continued: bool) -> None:
    assert line(text) == Line(label, rest, continued)
    assert str(line(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "logd:hello",
        "logd hello",
        " logd: hello",
        "Logd: hello",
        "policyd: x",
        "app:UPPER: x",
        "app:: x",
        "log: x",
    ],
)
def test_line_without_a_label_is_malformed(text: str) -> None:
    assert isinstance(line(text), Malformed)


@pytest.mark.parametrize("byte", ["\x00", "\x1b", "\x07", "\t", "\r", "\x7f", "\x80", "\xff"])
def test_raw_byte_is_malformed(byte: str) -> None:
    assert isinstance(line(f"logd: a{byte}b"), Malformed)
    assert isinstance(line("logd: ab"), Line)


def test_cut_line_is_malformed() -> None:
    assert isinstance(parse(Seen(0.0, b"logd: x" * MAX_LINE_BYTES, whole=False), LABELS), Malformed)


@given(st.binary(max_size=200))
def test_escaped_text_is_one_printable_line(data: bytes) -> None:
    shown = escape(data)
    assert shown.isascii()
    assert shown.isprintable() or shown == ""


@given(st.binary(max_size=200))
def test_any_bytes_parse(data: bytes) -> None:
    found = parse(Seen(0.0, data), LABELS)
    assert isinstance(found, Malformed) or str(found).encode() == data


def test_escape_names_the_byte() -> None:
    assert escape(b"a\x1b[31mb\xff\n") == r"a\x1b[31mb\xff\x0a"


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("phase mmio decisions=0", ("mmio", "0")),
        ("phase bring-up decisions=12", ("bring-up", "12")),
        ("phase mmio decisions=", None),
        ("phase mmio decisions=-1", None),
        ("phase  decisions=1", None),
        ("phase mmio decisions=1 ", None),
    ],
)
def test_phase_line(text: str, groups: tuple[str, str] | None) -> None:
    found = phase_pattern("phase ", " decisions=").fullmatch(text)
    assert (found.groups() if found else None) == groups


@pytest.mark.parametrize("text", ["pc=0x80001234 x", "panic pc=0000000080001234 address=0"])
def test_program_counter_is_found(text: str) -> None:
    found = COUNTER.search(text)
    assert found
    assert int(found[1], 16) == 0x80001234
