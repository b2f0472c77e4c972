"""By whom a bundle may be: unknown, revoked and foreign publishers are refused, each check in its place among the others.

What a bundle is at all is test_bundle.py's; guest/services/bundlemgrd does the same checks in the machine and is held against these.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from nexus.bundle.model import BundleRefused, Form, Manifest, Request, Version
from nexus.bundle.sign import sign, verify, verify_trusted
from nexus.bundle.trust import Publisher, known_key, load_all
from nexus.contract.load import load_contract
from nexus.layout import contract_dir, find_root

CONTRACT = load_contract(contract_dir(find_root()))
FORM = Form(CONTRACT)
ALL = load_all(find_root(), CONTRACT)
BY_NAME = {one.name: one for one in ALL}
TRUSTED = tuple(one for one in ALL if one.name != "test-other")
CONTENTS = b"\xd2\xcd\x31\x00"
ROUTE, ENTROPY = CONTRACT.number("action.route"), CONTRACT.number("action.rng_entropy")
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NEUTRAL = (1).to_bytes(32, "little")  # as a key, one for which anybody can sign
FIRST_OF_THE_MACHINE = CONTRACT.number("bundle_refusal.name")
REASONS_BY_CODE = {number: name for name, number in FORM.refusals.items()}


def key_of(name: str) -> Ed25519PrivateKey:
    key = known_key(BY_NAME[name])
    assert key is not None
    return key


def manifest_of(**changed: object) -> Manifest:
    plain = Manifest("dev.dice", Version(1, 2, 3), b"", "main", 4, (Request(ROUTE, "a"), Request(ENTROPY, "b")), 0, b"")
    return replace(plain, **changed)  # type: ignore[arg-type]  # the tests put in what belongs there and what does not


def bundle_of(key: Ed25519PrivateKey, **changed: object) -> bytes:
    return sign(FORM, manifest_of(**changed), CONTENTS, key)


GOOD = bundle_of(key_of("dev"))
MANIFEST_END = len(GOOD) - len(CONTENTS) - FORM.signature_bytes


def refusal(data: bytes, publishers: tuple[Publisher, ...] = TRUSTED) -> str:
    """Why it is refused; "" when it is not."""
    try:
        verify_trusted(FORM, data, publishers)
    except BundleRefused as refused:
        return REASONS_BY_CODE[refused.code]
    return ""


def signed_anew(manifest: bytes, key: Ed25519PrivateKey = key_of("dev"), contents: bytes = CONTENTS) -> bytes:  # noqa: B008 - a constant
    """A right signature over whatever manifest."""
    return manifest + key.sign(FORM.tag + manifest + hashlib.sha256(contents).digest()) + contents


def with_field(name: str, value: bytes, data: bytes = GOOD) -> bytes:
    """Another value in the header; the signature stays what it was."""
    place = FORM.places[name]
    return data[: place.start] + value.ljust(place.stop - place.start, b"\0") + data[place.stop :]


def resigned(name: str, value: bytes) -> bytes:
    return signed_anew(with_field(name, value)[:MANIFEST_END])


def with_rows(rows: bytes, count: int) -> bytes:
    head = with_field("actions", struct.pack("<H", count))[: FORM.header_bytes]
    return signed_anew(with_field("manifest_bytes", struct.pack("<H", len(head + rows)), head) + rows)


def with_key(public_key: bytes) -> bytes:
    stated = with_field("public_key", public_key)
    return with_field("key_id", FORM.key_id(public_key), stated)


# ---- each refusal that the host can tell has a case ------------------------------------------------------------------

CASES = {
    "magic": with_field("magic", b"nexusnxc"),
    "truncated": GOOD[:-1],
    "format": with_field("format", b"\x02"),
    "too_large": with_field("contents_bytes", struct.pack("<I", FORM.contents_max + 1)),
    "length": with_field("manifest_bytes", b"\x01"),
    "trailing": GOOD + b"\0",
    "key_id": with_field("key_id", b"somebody"),
    "digest": GOOD[:-1] + b"\x01",
    "unknown": bundle_of(STRANGER),
    "revoked": bundle_of(key_of("test-revoked"), id="gone.dice"),
    "signature_form": GOOD[: MANIFEST_END + 32] + b"\xff" * 32 + CONTENTS,
    "signature": with_field("minor", b"\x09"),
    "id": resigned("id", b"dev.DICE"),
    "entry": resigned("entry", b"9"),
    "heap": resigned("heap_pages", b""),
    "actions": with_rows(struct.pack("<HB", 0, 1) + b"x", 1),
    "reason": with_rows(struct.pack("<HB", ENTROPY, 0), 1),
    "prefix": bundle_of(key_of("dev"), id="selftest.dice"),
}
ELSEWHERE = {"publisher", "public_key"}  # verify() alone says these: an unsound key is nobody's here


@pytest.mark.parametrize("reason", CASES)
def test_wrong_bundle_is_refused_for_what_is_wrong(reason: str) -> None:
    assert refusal(CASES[reason]) == reason


def test_every_refusal_has_a_case() -> None:
    """But those of the one who keeps bundles, which tests of bundlemgrd have."""
    of_the_machine = {name for name, number in FORM.refusals.items() if number >= FIRST_OF_THE_MACHINE}
    assert set(CASES) | ELSEWHERE | of_the_machine == set(FORM.refusals)


# ---- whose it is -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "bundle_id"), [("dev", "dev.dice"), ("selftest", "selftest.dice")])
def test_publisher_signs_what_is_its_own(name: str, bundle_id: str) -> None:
    found = verify_trusted(FORM, bundle_of(key_of(name), id=bundle_id), TRUSTED)
    assert (found.manifest.id, found.manifest.public_key) == (bundle_id, BY_NAME[name].public_key)


@pytest.mark.parametrize("signer", ["dev", "selftest"])
@pytest.mark.parametrize("owner", ["dev", "selftest", "test-other", "test-revoked"])
def test_id_belongs_to_one_publisher(signer: str, owner: str) -> None:
    data = bundle_of(key_of(signer), id=f"{BY_NAME[owner].prefixes[0]}dice")
    assert refusal(data) == ("" if signer == owner else "prefix")


@pytest.mark.parametrize("bundle_id", ["dev", "de.v", "xdev.dice", "dev-dice", "d", ".dev.dice", "devdice"])
def test_prefix_is_the_whole_of_what_an_id_begins_with(bundle_id: str) -> None:
    assert refusal(bundle_of(key_of("dev"), id=bundle_id)) == "prefix"


def test_several_prefixes_are_all_its_own() -> None:
    publisher = replace(BY_NAME["dev"], prefixes=("a.", "b."))
    assert [refusal(bundle_of(key_of("dev"), id=f"{name}.x"), (publisher,)) for name in "abc"] == ["", "", "prefix"]


def test_publisher_that_an_image_does_not_name_is_unknown_to_it() -> None:
    data = bundle_of(key_of("test-other"), id="other.dice")
    assert refusal(data) == "unknown"
    assert refusal(data, ALL) == ""
    assert refusal(GOOD, ()) == "unknown"


def test_revoked_publisher_is_refused_whatever_it_signed() -> None:
    for bundle_id in ("gone.dice", "dev.dice"):
        assert refusal(bundle_of(key_of("test-revoked"), id=bundle_id)) == "revoked"
    assert refusal(GOOD, (replace(BY_NAME["dev"], revoked="stolen"),)) == "revoked"


def test_revoked_publisher_that_comes_first_does_not_hide_the_one_who_has_its_prefix_now() -> None:
    old = replace(BY_NAME["test-revoked"], prefixes=("dev.",))
    assert refusal(GOOD, (old, BY_NAME["dev"])) == ""


def test_unsound_key_is_nobodys() -> None:
    """Though the library would take such a signature: see test_bundle.py."""
    base = (4 * pow(5, -1, 2**255 - 19) % (2**255 - 19)).to_bytes(32, "little")
    data = with_key(NEUTRAL)
    forged = data[:MANIFEST_END] + base + NEUTRAL + CONTENTS
    assert refusal(forged) == "unknown"
    with pytest.raises(BundleRefused) as caught:
        verify(FORM, forged)
    assert caught.value.reason == "public_key"


def test_even_a_trusted_neutral_key_signs_nothing() -> None:
    base = (4 * pow(5, -1, 2**255 - 19) % (2**255 - 19)).to_bytes(32, "little")
    everybody = Publisher("everybody", NEUTRAL, ("dev.",), None, None)
    forged = with_key(NEUTRAL)[:MANIFEST_END] + base + NEUTRAL + CONTENTS
    assert refusal(forged, (everybody,)) == "signature"


# ---- the order of the checks -----------------------------------------------------------------------------------------


def test_stranger_is_told_nothing_about_the_rest() -> None:
    """Nothing but the frame is read of what an unknown key has signed, or not signed."""
    for wrong in (b"", b"9"):
        data = bundle_of(STRANGER)
        assert refusal(with_field("entry", wrong, data)) == "unknown"
        assert refusal(data[:MANIFEST_END] + bytes(64) + CONTENTS) == "unknown"


def test_revoked_comes_before_the_signature() -> None:
    data = bundle_of(key_of("test-revoked"), id="gone.dice")
    assert refusal(data[:MANIFEST_END] + bytes(64) + CONTENTS) == "revoked"


def test_other_publishers_signature_is_none_of_the_stated_key() -> None:
    """The manifest names dev, selftest has signed it."""
    assert refusal(signed_anew(GOOD[:MANIFEST_END], key_of("selftest"))) == "signature"


def test_signature_comes_before_every_field() -> None:
    for name in ("id", "entry", "heap_pages"):
        assert refusal(with_field(name, b"\xff")) == "signature"


def test_signature_over_other_contents_is_wrong_though_the_digest_is_stated_right() -> None:
    other = CONTENTS + b"more"
    manifest = with_field("contents_bytes", struct.pack("<I", len(other)))[:MANIFEST_END]
    manifest = with_field("digest", hashlib.sha256(other).digest(), manifest)
    old = key_of("dev").sign(FORM.tag + manifest + hashlib.sha256(CONTENTS).digest())
    assert refusal(manifest + old + other) == "signature"
    assert refusal(signed_anew(manifest, contents=other)) == ""


@pytest.mark.parametrize("tag", [b"", b"nexus signature 1", FORM.tag + b"\0"])
def test_signature_of_another_domain_is_wrong(tag: bytes) -> None:
    manifest = GOOD[:MANIFEST_END]
    signature = key_of("dev").sign(tag + manifest + hashlib.sha256(CONTENTS).digest())
    assert refusal(manifest + signature + CONTENTS) == "signature"


def test_fields_are_refused_in_their_order() -> None:
    wrong = [("id", b"DEV"), ("entry", b"9"), ("heap_pages", b"\0\0"), ("actions", b"\xff\xff")]
    for first in range(len(wrong)):
        manifest = GOOD[:MANIFEST_END]
        for name, value in wrong[first:]:
            manifest = with_field(name, value, manifest)
        assert refusal(signed_anew(manifest)) == wrong[first][0].removesuffix("_pages")


def test_rows_are_refused_in_their_order() -> None:
    """Each its action before its reason, and all of it before the next one."""
    bad_reason, bad_action = struct.pack("<HB", ROUTE, 1) + b"\n", struct.pack("<HB", 0, 1) + b"x"
    assert refusal(with_rows(bad_reason + bad_action, 2)) == "reason"
    assert refusal(with_rows(bad_action + bad_reason, 2)) == "actions"
    assert refusal(with_rows(struct.pack("<HB", 0, 0), 1)) == "actions"


def test_prefix_comes_after_the_fields() -> None:
    assert refusal(resigned("id", b"SELFTEST.dice")) == "id"
    manifest = with_field("id", b"selftest.dice", with_field("entry", b"9"))[:MANIFEST_END]
    assert refusal(signed_anew(manifest)) == "entry"


# ---- whatever comes --------------------------------------------------------------------------------------------------

IDS = st.text("abcdev019.-", min_size=1, max_size=28)


@given(IDS, st.sampled_from(sorted(BY_NAME)), st.sets(st.sampled_from(sorted(BY_NAME))))
def test_taken_only_of_a_trusted_publisher_with_its_own_id(tail: str, signer: str, trusted: set[str]) -> None:
    for prefix in (*(one.prefixes[0] for one in ALL), ""):
        bundle_id = (prefix + tail)[:32]
        publishers = tuple(BY_NAME[name] for name in sorted(trusted))
        taken = refusal(bundle_of(key_of(signer), id=bundle_id), publishers) == ""
        one = BY_NAME[signer]
        assert taken == (one in publishers and not one.revoked and bundle_id.startswith(one.prefixes[0]))


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_any_byte_changed_is_refused(at: int, change: int) -> None:
    data = bytearray(GOOD)
    data[at] ^= change
    assert refusal(bytes(data)) != ""


@pytest.mark.parametrize("length", [*range(0, len(GOOD), 16), len(GOOD) - 1])
def test_truncated_anywhere_is_refused(length: int) -> None:
    assert refusal(GOOD[:length]) == "truncated"


@given(st.binary(max_size=300), st.sampled_from([b"", FORM.magic, GOOD[: FORM.header_bytes]]))
def test_any_bytes_are_refused(data: bytes, opening: bytes) -> None:
    assert refusal(opening + data) != ""
