"""The guest's judge of bundles and the host's agree on every file, whatever is wrong with it and in whatever pieces it came."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nxb import (
    CONTENTS,
    CONTENTS_FROM,
    CONTRACT,
    FORM,
    GOOD,
    MANIFEST_END,
    OTHER,
    PAGE,
    PUBLISHERS,
    REASONS,
    REVOKED,
    SELFTEST,
    STRANGER,
    cut,
    flipped,
    made,
    signed,
    with_field,
    with_rows,
    with_signature,
    wrong,
)
from shims import micropython
from shims.crypto import Crypto
from shims.loader import Loader
from shims.store import ROOT

from nexus import ed25519
from nexus.bundle.model import BundleRefused
from nexus.bundle.sign import verify_trusted

REGION = PAGE * (1 + CONTRACT.number("limit.app_romfs_pages"))
KNOWN = CONTRACT.constants
WRONG = {name: (reason, data) for name, reason, data in wrong()}


def load(name: str) -> Any:
    """A module of bundlemgrd that needs no kernel."""
    constants = SimpleNamespace(**KNOWN)
    given = {"contract": constants, "micropython": micropython, "crypto": Crypto(bytearray(), constants)}
    return Loader([ROOT / "guest/services/bundlemgrd", ROOT / "guest/lib"], given, {}).load(name)


STAGING, MANIFEST, SOUND = load("staging"), load("manifest"), load("sound")
TRUST = tuple(
    (one.public_key, tuple(prefix.encode() for prefix in one.prefixes), one.revoked is not None) for one in PUBLISHERS
)


def staged(data: bytes, pieces: Iterable[bytes] | None = None) -> bytes:
    """The region that these bytes come to lie in."""
    region = bytearray(REGION)
    session = STAGING.Session(None, 0, memoryview(region), len(data), None, 0, 0)
    for piece in pieces or [data]:
        session.put(piece, 0)
    assert session.is_complete()
    return bytes(region)


def guests(data: bytes) -> str:
    """Why the guest refuses it; "" when it does not."""
    reason = MANIFEST.judge(memoryview(staged(data)), len(data), TRUST)
    return REASONS[reason] if reason else ""


def hosts(data: bytes) -> str:
    try:
        verify_trusted(FORM, data, PUBLISHERS)
    except BundleRefused as refused:
        return refused.reason
    return ""


def agreed(data: bytes) -> str:
    """What both say."""
    found = guests(data)
    assert found == hosts(data)
    return found


def test_right_bundles_are_taken() -> None:
    assert agreed(GOOD) == ""
    assert agreed(made(OTHER, id="other.one")) == ""
    assert agreed(made(requests=())) == ""


def test_largest_bundle_is_taken_and_read_as_it_is() -> None:
    largest = signed(with_rows(b"".join(row(n) for n in sorted(FORM.actions)[: FORM.requests_max]), FORM.requests_max))
    head, contents = largest[: -len(CONTENTS)], bytes(range(256)) * (FORM.contents_max // 256)
    manifest = head[: -FORM.signature_bytes]
    stated = struct.pack("<I", len(contents)), hashlib.sha256(contents).digest()
    manifest = with_field("digest", stated[1], with_field("contents_bytes", stated[0], manifest))
    data = signed(manifest, contents=contents)
    assert len(data) == MANIFEST.FILE_MOST
    assert agreed(data) == ""
    region = staged(data)
    assert region[PAGE:] == contents
    assert bytes(MANIFEST.name_of(region)) == b"selftest.one"


def row(action: int) -> bytes:
    return struct.pack("<HB", action, FORM.reason_max) + b"~" * FORM.reason_max


@pytest.mark.parametrize("name", WRONG)
def test_reject_for_the_same_reason(name: str) -> None:
    reason, data = WRONG[name]
    assert agreed(data) == reason


def test_reject_every_byte_of_manifest_and_signature_flipped() -> None:
    reasons = [agreed(data) for data in flipped()]
    assert len(reasons) == CONTENTS_FROM
    assert "" not in reasons
    assert {"magic", "format", "length", "key_id", "digest", "signature", "signature_form"} <= set(reasons)


def test_reject_every_byte_of_contents_flipped() -> None:
    for at in range(CONTENTS_FROM, len(GOOD)):
        assert agreed(GOOD[:at] + bytes([GOOD[at] ^ 0x10]) + GOOD[at + 1 :]) == "digest"


def test_reject_truncated_at_every_16_bytes() -> None:
    files = list(cut())
    assert len(files) == -(-len(GOOD) // 16)
    assert {agreed(data) for data in files} == {"truncated"}


def test_reject_trailing_bytes() -> None:
    assert {agreed(GOOD + bytes(size)) for size in (1, 15, 16, PAGE)} == {"trailing"}


def test_more_contents_than_a_region_holds_are_counted_and_kept_nowhere() -> None:
    data = GOOD[:CONTENTS_FROM] + bytes(MANIFEST.FILE_MOST - CONTENTS_FROM)
    assert len(data) - CONTENTS_FROM > REGION - PAGE
    assert agreed(data) == "trailing"


# ---- any file --------------------------------------------------------------------------------------------------------

KEYS = st.sampled_from([SELFTEST, OTHER, REVOKED, STRANGER])
NUMBERS = st.sampled_from(sorted(FORM.places))


@given(KEYS, st.lists(st.tuples(NUMBERS, st.binary(min_size=32, max_size=32)), max_size=2))
def test_judges_agree_on_whatever_is_signed(key: Any, fields: list[tuple[str, bytes]]) -> None:
    manifest = made(key)[:MANIFEST_END]
    for name, value in fields:
        manifest = with_field(name, value[: FORM.width(name)], manifest)
    agreed(signed(manifest, key))


ROW = st.tuples(st.integers(0, 22), st.binary(max_size=6), st.none() | st.integers(0, 255)).map(
    lambda one: struct.pack("<HB", one[0], len(one[1]) if one[2] is None else one[2]) + one[1]
)


@given(st.lists(ROW, max_size=5).map(b"".join), st.integers(0, 6))
def test_judges_agree_on_whatever_rows_are_signed(rows: bytes, count: int) -> None:
    agreed(signed(with_rows(rows, count)))


@given(st.binary(max_size=64), st.integers(0, len(GOOD)), st.integers(0, 40))
def test_judges_agree_on_whatever_is_put_in_or_cut_out(piece: bytes, at: int, out: int) -> None:
    agreed(GOOD[:at] + piece + GOOD[at + out :])


@given(st.binary(max_size=400))
def test_judges_agree_on_any_bytes(data: bytes) -> None:
    agreed(data)
    agreed(GOOD[:10] + data)


S_OF = (
    st.integers(0, 2**256 - 1) | st.integers(ed25519.L - 2, ed25519.L + 2) | st.sampled_from([0, 2**252, 2**255 - 19])
)
Y_OF = st.integers(0, 2**256 - 1) | st.sampled_from(sorted(ed25519.SMALL_ORDER)) | st.integers(2**255 - 20, 2**255 + 2)


@given(Y_OF, S_OF)
def test_judges_agree_on_any_signature(r: int, s: int) -> None:
    signature = r.to_bytes(32, "little") + s.to_bytes(32, "little")
    assert SOUND.is_signature(signature) == ed25519.is_sound_signature(signature)
    assert agreed(with_signature(signature)) in ("signature", "signature_form")


@given(st.lists(st.integers(1, len(GOOD)), max_size=6))
def test_pieces_in_which_a_file_comes_make_no_difference(cuts: list[int]) -> None:
    ends = sorted({*cuts, len(GOOD)})
    pieces = [GOOD[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    assert staged(GOOD, pieces) == staged(GOOD)


def test_curve_of_the_contract_is_that_of_the_standard() -> None:
    assert ed25519.P == 2**255 - 19
    assert ed25519.L == 2**252 + 27742317777372353535851937790883648493
    d = -121665 * pow(121666, -1, ed25519.P)
    y = ed25519.Y_OF_ORDER_8
    xx = (y * y - 1) * pow(d * y * y + 1, -1, ed25519.P) % ed25519.P
    x = pow(xx, (ed25519.P + 3) // 8, ed25519.P)
    if x * x % ed25519.P != xx:
        x = x * pow(2, (ed25519.P - 1) // 4, ed25519.P) % ed25519.P
    assert x * x % ed25519.P == xx
    point = (x, y)
    for _ in range(2):
        point = doubled(*point, d)
    assert point == (0, ed25519.P - 1)


def doubled(x: int, y: int, d: int) -> tuple[int, int]:
    """Twice a point of the curve (RFC 8032, 5.1.4), the slow way."""
    p = ed25519.P
    product = d * x * x * y * y
    return 2 * x * y * pow(1 + product, -1, p) % p, (y * y + x * x) * pow(1 - product, -1, p) % p
