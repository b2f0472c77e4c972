"""Bundles: one encoding for each manifest, none but that one is taken, and each wrong bundle is refused with its own reason."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from nxb import (
    CONTENTS,
    CONTENTS_FROM,
    CONTRACT,
    ENTROPY,
    FORM,
    GOOD,
    MANIFEST_END,
    PARTS,
    REQUESTS,
    VERIFY,
    row,
    signed,
    with_field,
    with_rows,
)
from nxb import OTHER as OTHER_KEY
from nxb import REASONS as REASON_NAMES
from nxb import SELFTEST as KEY

from nexus.bundle import decode, encode
from nexus.bundle.model import Bundle, BundleRefused, Manifest, Request, Version
from nexus.bundle.sign import check_key, sign, signed_bytes, verify
from nexus.ed25519 import SMALL_ORDER, L, P, verifies

PUBLIC = KEY.public_key().public_bytes_raw()
OTHER_PUBLIC = OTHER_KEY.public_key().public_bytes_raw()
HEADER = "<8sHHI8s32s32s32sIII32sHH"  # a second statement of [bundle_at], which the tests hold against the first
PLAIN = decode.bundle(FORM, GOOD).manifest


def manifest_of(**changed: object) -> Manifest:
    return replace(PLAIN, **changed)  # type: ignore[arg-type]  # the tests put in what belongs there and what does not


def refusal(data: bytes, publisher: bytes | None = None) -> str:
    """Why it is refused; "" when it is not."""
    try:
        verify(FORM, data, publisher)
    except BundleRefused as refused:
        return REASON_NAMES[refused.code]
    return ""


# ---- what is right ---------------------------------------------------------------------------------------------------

VERSIONS = st.builds(Version, *[st.integers(0, 2**32 - 1)] * 3)
IDS = st.text("abcxyz019.-", min_size=1, max_size=32)
ENTRIES = st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True)
REASONS = st.text([chr(byte) for byte in range(0x20, 0x7F)], min_size=1, max_size=FORM.reason_max)
ROWS = st.dictionaries(st.sampled_from(sorted(FORM.actions)), REASONS, max_size=FORM.requests_max).map(
    lambda asked: tuple(Request(action, asked[action]) for action in sorted(asked))
)
MANIFESTS = st.builds(
    Manifest,
    IDS,
    VERSIONS,
    st.just(PUBLIC),
    ENTRIES,
    st.integers(1, FORM.heap_max),
    ROWS,
    st.just(0),
    st.just(b""),
)


@given(MANIFESTS, st.binary(min_size=1, max_size=300))
def test_whatever_is_signed_comes_back(manifest: Manifest, contents: bytes) -> None:
    data = sign(FORM, manifest, contents, KEY)
    stated = replace(manifest, contents_bytes=len(contents), digest=hashlib.sha256(contents).digest())
    found = verify(FORM, data, PUBLIC)
    assert found == Bundle(stated, data[-len(contents) - 64 : -len(contents)], contents)
    assert decode.bundle(FORM, data) == found
    assert encode.bundle_bytes(FORM, found) == data


def test_bytes_are_those_that_the_contract_states() -> None:
    rows = row(ENTROPY, b"draws a dice") + row(VERIFY, b"checks what a friend signed")
    digest = hashlib.sha256(CONTENTS).digest()
    key_id = hashlib.sha256(PUBLIC).digest()[:8]
    names = (b"selftest.one", 1, 0, 0, b"main", 4, 2)
    head = struct.pack(HEADER, b"nexusnxb", 1, 168 + len(rows), len(CONTENTS), key_id, PUBLIC, digest, *names)
    signature = KEY.sign(b"nexus bundle 1" + head + rows + digest)
    assert head + rows + signature + CONTENTS == GOOD
    assert struct.calcsize(HEADER) == FORM.header_bytes


def test_no_tag_begins_another() -> None:
    other = str(CONTRACT.table("signed")["tag"]).encode()
    assert not FORM.tag.startswith(other)
    assert not other.startswith(FORM.tag)


def test_refusals_have_numbers_of_their_own_that_a_byte_holds() -> None:
    assert list(FORM.refusals.values()) == list(range(1, len(FORM.refusals) + 1))
    assert len(FORM.refusals) < 256
    with pytest.raises(BundleRefused, match="bundle: trailing: found ") as caught:
        verify(FORM, GOOD + b"x")
    assert (caught.value.reason, caught.value.code) == ("trailing", CONTRACT.number("bundle_refusal.trailing"))


def test_largest_bundle_is_taken() -> None:
    many = tuple(Request(action, "~" * FORM.reason_max) for action in sorted(FORM.actions)[: FORM.requests_max])
    contents = bytes(CONTRACT.number("limit.app_romfs_pages") * 4096)
    manifest = manifest_of(id="z" * 32, entry="z" * 32, heap_pages=FORM.heap_max, requests=many)
    found = verify(FORM, sign(FORM, manifest, contents, KEY))
    assert len(encode.manifest_bytes(FORM, found.manifest)) == FORM.manifest_max < 1 << 16
    assert found.contents == contents


def test_versions_are_ordered_by_number() -> None:
    assert Version(1, 10, 0) > Version(1, 9, 99) > Version(1, 9, 2) > Version(0, 2**32 - 1, 2**32 - 1)


def test_stated_publisher_is_the_one_that_signed() -> None:
    assert refusal(GOOD, PUBLIC) == ""
    assert refusal(GOOD, OTHER_PUBLIC) == "publisher"


# ---- bytes that were changed -----------------------------------------------------------------------------------------


def expected_of(at: int) -> set[str]:
    """Why a bundle with another byte there is refused."""
    if at >= CONTENTS_FROM:
        return {"digest"}
    if at >= MANIFEST_END:
        return {"signature", "signature_form"}
    if at >= FORM.header_bytes:
        return {"signature"}
    field = next(name for name, place in FORM.places.items() if place.start <= at < place.stop)
    lengths = {
        "manifest_bytes": {"length", "truncated", "trailing"},
        "contents_bytes": {"too_large", "length", "truncated", "trailing"},
        "public_key": {"key_id"},
    }
    named = {name: {name} for name in ("magic", "format", "key_id", "digest")}
    return (lengths | named).get(field, {"signature"})


@pytest.mark.parametrize("bit", range(8))
def test_every_flipped_bit_is_refused(bit: int) -> None:
    for at in range(len(GOOD)):
        changed = bytearray(GOOD)
        changed[at] ^= 1 << bit
        assert refusal(bytes(changed)) in expected_of(at), at


def test_bundle_that_is_cut_off_anywhere_is_refused() -> None:
    assert {refusal(GOOD[:length]) for length in range(len(GOOD))} == {"truncated"}


@pytest.mark.parametrize("more", [b"\0", b"\xff", bytes(16), GOOD])
def test_trailing_bytes_are_refused(more: bytes) -> None:
    assert refusal(GOOD + more) == "trailing"


def test_right_signature_on_other_contents_is_refused() -> None:
    other = CONTENTS[::-1]
    assert refusal(GOOD[:CONTENTS_FROM] + other) == "digest"
    digest = hashlib.sha256(other).digest()
    assert refusal(with_field("digest", digest) + PARTS.signature + other) == "signature"
    assert refusal(signed(PARTS.manifest, contents=other)) == "digest"


def test_signature_of_another_bundle_is_refused() -> None:
    other = decode.frame(FORM, sign(FORM, manifest_of(version=Version(1, 0, 1)), CONTENTS, KEY))
    assert refusal(PARTS.manifest + other.signature + CONTENTS) == "signature"


def test_signature_without_the_tag_or_with_anothers_is_refused() -> None:
    digest = hashlib.sha256(CONTENTS).digest()
    for tag in (b"", b"nexus bundle 2", str(CONTRACT.table("signed")["tag"]).encode()):
        signature = KEY.sign(tag + PARTS.manifest + digest)
        assert refusal(PARTS.manifest + signature + CONTENTS) == "signature"


def test_other_publisher_is_refused() -> None:
    assert refusal(signed(PARTS.manifest, OTHER_KEY)) == "signature"
    swapped = with_field("public_key", OTHER_PUBLIC)
    assert refusal(signed(swapped, OTHER_KEY)) == "key_id"
    swapped = with_field("key_id", hashlib.sha256(OTHER_PUBLIC).digest()[:8], swapped)
    assert refusal(swapped + PARTS.signature + CONTENTS) == "signature"
    assert refusal(signed(swapped, OTHER_KEY), PUBLIC) == "publisher"
    assert refusal(signed(swapped, OTHER_KEY), OTHER_PUBLIC) == ""


# ---- right signatures over what no bundle may say --------------------------------------------------------------------


def u16(value: int) -> bytes:
    return struct.pack("<H", value)


ROW, NEXT = row(ENTROPY, b"one"), row(VERIFY, b"two")
MANY = b"".join(row(action, b"x") for action in sorted(FORM.actions)[: FORM.requests_max + 1])
WRONG = {
    "empty id": (with_field("id", bytes(32)), "id"),
    "upper case": (with_field("id", b"org.Example".ljust(32, b"\0")), "id"),
    "slash": (with_field("id", b"org/example".ljust(32, b"\0")), "id"),
    "colon": (with_field("id", b"app:init".ljust(32, b"\0")), "id"),
    "bytes behind the id": (with_field("id", b"init\0x".ljust(32, b"\0")), "id"),
    "zero first": (with_field("id", b"\0init".ljust(32, b"\0")), "id"),
    "line end": (with_field("id", b"init\n".ljust(32, b"\0")), "id"),
    "other script": (with_field("id", "ïnit".encode("latin-1").ljust(32, b"\0")), "id"),
    "empty entry": (with_field("entry", bytes(32)), "entry"),
    "path as entry": (with_field("entry", b"../main".ljust(32, b"\0")), "entry"),
    "number as entry": (with_field("entry", b"1main".ljust(32, b"\0")), "entry"),
    "bytes behind the entry": (with_field("entry", b"main".ljust(31, b"\0") + b"x"), "entry"),
    "no heap": (with_field("heap_pages", u16(0)), "heap"),
    "too much heap": (with_field("heap_pages", u16(FORM.heap_max + 1)), "heap"),
    "most heap": (with_field("heap_pages", u16(0xFFFF)), "heap"),
    "action twice": (with_rows(ROW + ROW, 2), "actions"),
    "action twice, two reasons": (with_rows(ROW + row(ENTROPY, b"two"), 2), "actions"),
    "out of order": (with_rows(NEXT + ROW, 2), "actions"),
    "action 0": (with_rows(row(0, b"one"), 1), "actions"),
    "unknown action": (with_rows(row(max(FORM.actions) + 1, b"one"), 1), "actions"),
    "action beyond the mask": (with_rows(row(0xFFFF, b"one"), 1), "actions"),
    "more rows than stated": (with_rows(ROW + NEXT, 1), "actions"),
    "fewer rows than stated": (with_rows(ROW, 2), "actions"),
    "half a row": (with_rows(ROW + NEXT[:2], 2), "actions"),
    "byte behind the rows": (with_rows(ROW + b"\0", 1), "actions"),
    "too many rows": (with_rows(MANY, FORM.requests_max + 1), "actions"),
    "most rows": (with_rows(ROW, 0xFFFF), "actions"),
    "no reason": (with_rows(row(ENTROPY, b""), 1), "reason"),
    "reason too long": (with_rows(row(ENTROPY, b"x" * (FORM.reason_max + 1)), 1), "reason"),
    "reason beyond the manifest": (with_rows(row(ENTROPY, b"one", 4), 1), "reason"),
    "line end in a reason": (with_rows(row(ENTROPY, b"one\nkernel: end"), 1), "reason"),
    "escape in a reason": (with_rows(row(ENTROPY, b"\x1b[2J"), 1), "reason"),
    "zero in a reason": (with_rows(row(ENTROPY, b"one\0"), 1), "reason"),
    "other script in a reason": (with_rows(row(ENTROPY, "süß".encode()), 1), "reason"),
    "format 0": (with_field("format", u16(0)), "format"),
    "next format": (with_field("format", u16(FORM.format + 1)), "format"),
    "other magic": (with_field("magic", b"nexusnxc"), "magic"),
    "manifest of nothing": (with_field("manifest_bytes", u16(0)), "length"),
    "manifest below its header": (with_field("manifest_bytes", u16(FORM.header_bytes - 1)), "length"),
    "manifest beyond its limit": (with_field("manifest_bytes", u16(FORM.manifest_max + 1)), "length"),
    "no contents": (with_field("contents_bytes", bytes(4)), "length"),
    "contents beyond the limit": (with_field("contents_bytes", struct.pack("<I", FORM.contents_max + 1)), "too_large"),
    "most contents": (with_field("contents_bytes", b"\xff" * 4), "too_large"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_manifest_is_refused_though_its_signature_is_right(name: str) -> None:
    manifest, reason = WRONG[name]
    assert refusal(signed(manifest)) == reason


@pytest.mark.parametrize("name", WRONG)
def test_wrong_manifest_without_signature_is_none_of_a_parsers_business(name: str) -> None:
    """Fields are read only once the signature is known to be right."""
    manifest, reason = WRONG[name]
    before = FORM.refusals[reason] < FORM.refusals["signature"]
    assert refusal(manifest + PARTS.signature + CONTENTS) == (reason if before else "signature")


def test_contents_larger_than_the_limit_are_refused() -> None:
    contents = bytes(FORM.contents_max + 1)
    manifest = with_field("contents_bytes", struct.pack("<I", len(contents)))
    manifest = with_field("digest", hashlib.sha256(contents).digest(), manifest)
    assert refusal(signed(manifest, contents=contents)) == "too_large"


@given(st.integers(0, MANIFEST_END - 1), st.integers(1, 255))
def test_no_bundle_is_taken_that_is_not_encoded_in_the_one_way(at: int, change: int) -> None:
    """Any byte changed and all signed anew: what is taken is exactly what its manifest encodes to."""
    manifest = bytearray(PARTS.manifest)
    manifest[at] ^= change
    data = signed(bytes(manifest))
    if refusal(data) == "":
        assert encode.bundle_bytes(FORM, decode.bundle(FORM, data)) == data


@given(st.binary(max_size=400), st.sampled_from([b"", FORM.magic, GOOD[:10], GOOD[:16], GOOD[: FORM.header_bytes]]))
def test_any_bytes_are_refused_and_nothing_else_happens(data: bytes, opening: bytes) -> None:
    assert refusal(opening + data) != ""


@given(st.binary(max_size=120), st.integers(0, FORM.requests_max + 1))
def test_any_rows_are_taken_only_in_their_one_encoding(rows: bytes, count: int) -> None:
    data = signed(with_rows(rows, count))
    reason = refusal(data)
    assert reason in ("", "actions", "reason")
    if reason == "":
        assert encode.bundle_bytes(FORM, decode.bundle(FORM, data)) == data


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"id": ""}, "id"),
        ({"id": "x" * 33}, "id"),
        ({"id": "app:init"}, "id"),
        ({"id": "x\n"}, "id"),
        ({"entry": "x" * 33}, "entry"),
        ({"entry": "Main"}, "entry"),
        ({"version": Version(0, 0, 2**32)}, "length"),
        ({"version": Version(-1, 0, 0)}, "length"),
        ({"heap_pages": 0}, "heap"),
        ({"heap_pages": FORM.heap_max + 1}, "heap"),
        ({"requests": tuple(reversed(REQUESTS))}, "actions"),
        ({"requests": REQUESTS[:1] * 2}, "actions"),
        ({"requests": (Request(0, "x"),)}, "actions"),
        ({"requests": tuple(Request(n, "x") for n in range(1, FORM.requests_max + 2))}, "actions"),
        ({"requests": (Request(ENTROPY, ""),)}, "reason"),
        ({"requests": (Request(ENTROPY, "x" * (FORM.reason_max + 1)),)}, "reason"),
        ({"requests": (Request(ENTROPY, "ü"),)}, "reason"),
    ],
)
def test_what_would_be_refused_is_never_signed(changed: dict[str, object], reason: str) -> None:
    with pytest.raises(BundleRefused) as caught:
        sign(FORM, manifest_of(**changed), CONTENTS, KEY)
    assert caught.value.reason == reason


@pytest.mark.parametrize(("contents", "reason"), [(b"", "length"), (bytes(FORM.contents_max + 1), "too_large")])
def test_contents_that_would_be_refused_are_never_signed(contents: bytes, reason: str) -> None:
    with pytest.raises(BundleRefused) as caught:
        sign(FORM, manifest_of(), contents, KEY)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda bundle: replace(bundle, signature=bytes(63)), "length"),
        (lambda bundle: replace(bundle, contents=CONTENTS + b"x"), "length"),
        (lambda bundle: replace(bundle, manifest=manifest_of(digest=bytes(31))), "length"),
        (lambda bundle: replace(bundle, manifest=manifest_of(public_key=bytes(31))), "public_key"),
    ],
)
def test_parts_that_do_not_fit_are_not_put_together(change: Callable[[Bundle], Bundle], reason: str) -> None:
    with pytest.raises(BundleRefused) as caught:
        encode.bundle_bytes(FORM, change(decode.bundle(FORM, GOOD)))
    assert caught.value.reason == reason


# ---- keys and signatures with a second spelling ----------------------------------------------------------------------

D = -121665 * pow(121666, -1, P) % P
BASE = (4 * pow(5, -1, P) % P).to_bytes(32, "little")  # the generator, of which S times is what a signature holds


def doubled_y(y: int) -> int:
    """y of twice the point: on the curve x^2 = (y^2 - 1) / (d y^2 + 1), and y' = (y^2 + x^2) / (2 + x^2 - y^2)."""
    xx = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    return (y * y + xx) * pow(2 + xx - y * y, -1, P) % P


def spellings(y: int) -> list[bytes]:
    """Every 32 bytes that some reader takes for a point with that y."""
    return [(one | sign << 255).to_bytes(32, "little") for one in (y, y + P) if one < 1 << 255 for sign in (0, 1)]


SPELLED = [point for y in sorted(SMALL_ORDER) for point in spellings(y)]


def with_key(public_key: bytes, signature: bytes) -> bytes:
    manifest = with_field("public_key", public_key)
    return with_field("key_id", hashlib.sha256(public_key).digest()[:8], manifest) + signature + CONTENTS


def test_points_of_small_order_are_those_that_double_to_nothing() -> None:
    assert len(SMALL_ORDER) == 5
    for y in SMALL_ORDER:
        assert doubled_y(doubled_y(doubled_y(y))) == 1
    assert doubled_y(doubled_y(doubled_y(int.from_bytes(BASE, "little")))) != 1


@pytest.mark.parametrize("point", SPELLED, ids=[point.hex()[:8] + point.hex()[-2:] for point in SPELLED])
def test_key_of_small_order_is_refused(point: bytes) -> None:
    assert refusal(with_key(point, PARTS.signature)) == "public_key"
    with pytest.raises(BundleRefused):
        check_key(FORM, point)


@pytest.mark.parametrize("point", spellings(1), ids=["1", "1, sign", "p+1", "p+1, sign"])
def test_forgery_that_the_library_takes_is_refused(point: bytes) -> None:
    """With the neutral point as key, R = S times the base is a signature of anything."""
    forged = with_key(point, BASE + (1).to_bytes(32, "little"))
    parts = decode.frame(FORM, forged)
    signed = signed_bytes(FORM, parts.manifest, parts.digest)
    Ed25519PublicKey.from_public_bytes(point).verify(parts.signature, signed)  # raises nothing
    assert not verifies(point, parts.signature, signed)
    assert refusal(forged) == "public_key"


@pytest.mark.parametrize("y", range(P, 2**255))
def test_key_with_y_from_p_on_is_refused(y: int) -> None:
    assert refusal(with_key(y.to_bytes(32, "little"), PARTS.signature)) == "public_key"


@pytest.mark.parametrize("y", range(P, 2**255))
def test_signature_point_with_y_from_p_on_is_refused(y: int) -> None:
    assert refusal(PARTS.manifest + y.to_bytes(32, "little") + PARTS.signature[32:] + CONTENTS) == "signature_form"


def test_key_that_is_no_point_has_no_signatures() -> None:
    """x^2 has no root for y = 2: the library says so of each signature, and raises nothing else."""
    xx = 3 * pow(4 * D + 1, -1, P) % P
    assert pow(xx, (P - 1) // 2, P) == P - 1
    assert refusal(with_key((2).to_bytes(32, "little"), PARTS.signature)) == "signature"


def test_scalar_beyond_the_order_is_refused() -> None:
    scalar = int.from_bytes(PARTS.signature[32:], "little")
    for beyond in range(scalar + L, 1 << 256, L):
        signature = PARTS.signature[:32] + beyond.to_bytes(32, "little")
        assert refusal(PARTS.manifest + signature + CONTENTS) == "signature_form"
    for edge, reason in ((L - 1, "signature"), (L, "signature_form"), (2**256 - 1, "signature_form")):
        signature = PARTS.signature[:32] + edge.to_bytes(32, "little")
        assert refusal(PARTS.manifest + signature + CONTENTS) == reason


@pytest.mark.parametrize("point", SPELLED, ids=[point.hex()[:8] + point.hex()[-2:] for point in SPELLED])
def test_signature_point_of_small_order_is_refused(point: bytes) -> None:
    assert refusal(PARTS.manifest + point + PARTS.signature[32:] + CONTENTS) == "signature_form"
