"""One audit record: bytes and JSON lose nothing, whatever is in it; where it lies is the contract's word."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus import layout
from nexus.audit.record import Form, show_target
from nexus.contract.load import load_contract
from nexus.errors import UsageError

FORM = Form(load_contract(layout.contract_dir(layout.find_root())))
RAW = st.binary(min_size=FORM.bytes, max_size=FORM.bytes)
BLANK = FORM.parse(bytes(FORM.bytes))


@given(RAW)
def test_any_bytes_come_back_from_a_record(raw: bytes) -> None:
    assert FORM.to_bytes(FORM.parse(raw)) == raw


@given(RAW)
def test_any_record_comes_back_from_json(raw: bytes) -> None:
    row = json.loads(json.dumps(FORM.to_json(FORM.parse(raw))))
    assert FORM.to_bytes(FORM.from_json(row, "file:2")) == raw


def test_fields_lie_where_the_contract_says() -> None:
    raw = bytearray(FORM.bytes)
    raw[4:6], raw[8:16], raw[42:44], raw[56:64] = b"\x06\x00", b"\x01" * 8, b"\xff\x7f", b"\x02" + bytes(7)
    row = FORM.parse(bytes(raw))
    assert (row.action, row.seq, row.via_ix, row.last) == (6, 0x0101010101010101, FORM.nobody, 2)


def test_json_has_names_where_there_are_some_and_numbers_where_not() -> None:
    row = replace(BLANK, kind=FORM.kinds["decision"], verdict=FORM.verdicts["deny"], action=FORM.actions["rng.entropy"])
    shown = FORM.to_json(replace(row, subject=0x52C6C4A34FFB3F69))
    found = (shown["kind"], shown["verdict"], shown["action"], shown["subject"])
    assert found == ("decision", "deny", "rng.entropy", "0x52c6c4a34ffb3f69")
    strange = FORM.to_json(replace(BLANK, kind=99, verdict=98, action=9999))
    assert (strange["kind"], strange["verdict"], strange["action"]) == (99, 98, 9999)
    assert list(shown) == list(FORM.places)


def test_json_names_the_reason_of_a_bundle_and_of_nothing_else() -> None:
    row = replace(BLANK, kind=FORM.kinds["bundle"], reason=FORM.refusals["signature"])
    assert FORM.to_json(row)["reason"] == "signature"
    assert FORM.from_json(FORM.to_json(row), "file:1") == row
    assert FORM.to_json(replace(row, reason=0))["reason"] == 0
    assert FORM.to_json(replace(row, kind=FORM.kinds["restart"]))["reason"] == row.reason


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"logd:query", "logd:query"),
        (b"", ""),
        (b"a\\x41", "a\\x5cx41"),
        (b"\x1b[2J\n", "\\x1b[2J\\x0a"),
        (b"a\0b", "a\\x00b"),
    ],
)
def test_target_is_shown_as_printable_text(raw: bytes, text: str) -> None:
    assert show_target(raw.ljust(32, b"\0")) == text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "grant"), ("kind", 256), ("kind", None), ("verdict", True), ("reason", "none"), ("seq", -1), ("seq", 1 << 64), ("seq", "1"),
        ("subject", 7), ("subject", "0x7"), ("subject", "52c6c4a34ffb3f69"), ("count", 1 << 32), ("count", 1.0),
        ("target", "x" * 33), ("target", "\\x4"), ("target", "\\"), ("target", "é"), ("target", 1),
        ("previous", "00"), ("previous", "g" * 64), ("previous", 0),
    ],
)  # fmt: skip
def test_json_that_is_no_record_is_refused_with_its_place(field: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"^file:7: {field}: found"):
        FORM.from_json(FORM.to_json(BLANK) | {field: value}, "file:7")


def test_json_without_a_field_is_refused_with_its_place() -> None:
    row = FORM.to_json(BLANK)
    del row["nonce"]
    with pytest.raises(UsageError, match=r"^file:7: nonce: found nothing"):
        FORM.from_json(row, "file:7")
