"""Bundles as tests make them: right ones, and each wrong one with the reason for which it is refused. Shared by tests of the format, of
bundlemgrd on the simulated machine and of the booted system.

Publishers are those of recipes/trust, whose secrets everybody knows; and a stranger.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from nexus import ed25519, layout
from nexus.bundle import decode
from nexus.bundle import sign as signing
from nexus.bundle.model import Form, Manifest, Request, Version
from nexus.bundle.trust import Publisher, known_key, load_trust
from nexus.contract.load import load_contract

ROOT = layout.find_root()
CONTRACT = load_contract(layout.contract_dir(ROOT))
FORM = Form(CONTRACT)
OP, STATUS, REASON = CONTRACT.table("op.bundlemgrd"), CONTRACT.table("status"), CONTRACT.table("bundle_refusal")
ACTION = CONTRACT.table("action")
REASONS = {number: name for name, number in REASON.items()}
PUT = CONTRACT.number("limit.bundle_put")
STALE, SESSION = CONTRACT.number("limit.bundle_stage_ticks"), CONTRACT.number("limit.bundle_session_ticks")
PAGE = CONTRACT.number("bundle.page_bytes")
PUBLISHERS = load_trust(("dev", "selftest", "test-other", "test-revoked"), ROOT, CONTRACT)
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
CONTENTS = b"no ROMFS: bundlemgrd looks into none"
OTHER_CONTENTS = CONTENTS.replace(b"no", b"No")
ENTROPY, VERIFY = ACTION["rng_entropy"], ACTION["crypto_verify"]
REQUESTS = (Request(ENTROPY, "draws a dice"), Request(VERIFY, "checks what a friend signed"))


def publisher(name: str) -> Publisher:
    return next(one for one in PUBLISHERS if one.name == name)


def key_of(name: str) -> Ed25519PrivateKey:
    key = known_key(publisher(name))
    assert key is not None
    return key


SELFTEST, OTHER, REVOKED = key_of("selftest"), key_of("test-other"), key_of("test-revoked")


def manifest_of(**changed: Any) -> Manifest:
    """Of the bundle that every test begins with, but for what is named."""
    version = changed.pop("version", (1, 0, 0))
    plain = Manifest("selftest.one", Version(*version), bytes(32), "main", 4, REQUESTS, 0, b"")
    return replace(plain, **changed)


def made(key: Ed25519PrivateKey = SELFTEST, contents: bytes = CONTENTS, **changed: Any) -> bytes:
    """A right bundle."""
    return signing.sign(FORM, manifest_of(**changed), contents, key)


GOOD = made()
PARTS = decode.frame(FORM, GOOD)
MANIFEST_END = len(PARTS.manifest)
CONTENTS_FROM = MANIFEST_END + len(PARTS.signature)


def signed(manifest: bytes, key: Ed25519PrivateKey = SELFTEST, contents: bytes = CONTENTS) -> bytes:
    """Whatever a manifest says, with a right signature."""
    return manifest + key.sign(FORM.tag + manifest + hashlib.sha256(contents).digest()) + contents


def with_field(name: str, value: bytes, manifest: bytes = PARTS.manifest) -> bytes:
    place = FORM.places[name]
    assert len(value) == FORM.width(name)
    return manifest[: place.start] + value + manifest[place.stop :]


def with_rows(rows: bytes, count: int) -> bytes:
    head = with_field("actions", struct.pack("<H", count))[: FORM.header_bytes]
    return with_field("manifest_bytes", struct.pack("<H", len(head + rows)), head) + rows


def row(action: int, reason: bytes, stated: int | None = None) -> bytes:
    return struct.pack("<HB", action, len(reason) if stated is None else stated) + reason


def with_signature(signature: bytes, data: bytes = GOOD) -> bytes:
    return data[:MANIFEST_END] + signature + data[CONTENTS_FROM:]


def signature_plus_l() -> bytes:
    """The same signature in another spelling: S + L."""
    r, s = GOOD[MANIFEST_END : MANIFEST_END + 32], int.from_bytes(GOOD[MANIFEST_END + 32 : CONTENTS_FROM], "little")
    return with_signature(r + (s + ed25519.L).to_bytes(32, "little"))


def small_order_r() -> bytes:
    return with_signature(bytes([1, *bytes(31)]) + GOOD[MANIFEST_END + 32 : CONTENTS_FROM])


def too_large() -> bytes:
    """Right in every other way."""
    contents = bytes(FORM.contents_max + 1)
    digest = hashlib.sha256(contents).digest()
    head = with_field("contents_bytes", struct.pack("<I", len(contents)), with_field("digest", digest))
    return signed(head, contents=contents)


def unsound_key() -> bytes:
    """A key for which anybody can sign."""
    key = bytes([1, *bytes(31)])
    head = with_field("public_key", key, with_field("key_id", FORM.key_id(key)))
    return head + bytes([1, *bytes(63)]) + CONTENTS


def wrong() -> Iterator[tuple[str, str, bytes]]:
    """Each way of being wrong that the bundle itself has: its name, the reason, and a file."""
    signature = GOOD[MANIFEST_END:CONTENTS_FROM]
    yield "empty", "truncated", b""
    yield "other_magic", "magic", b"Nexusnxb" + GOOD[8:]
    yield "unknown_format", "format", signed(with_field("format", b"\2\0"))
    yield "trailing", "trailing", GOOD + b"\0"
    yield "too_large", "too_large", too_large()
    yield "states_too_much", "too_large", signed(with_field("contents_bytes", b"\xff" * 4))
    yield "no_contents", "length", signed(with_field("contents_bytes", bytes(4)), contents=b"")
    yield "short_manifest", "length", signed(with_field("manifest_bytes", struct.pack("<H", FORM.header_bytes - 1)))
    yield "long_manifest", "length", signed(with_field("manifest_bytes", struct.pack("<H", FORM.manifest_max + 1)))
    yield "other_key_id", "key_id", signed(with_field("key_id", bytes(8)))
    yield "right_signature_on_other_content", "digest", GOOD[:CONTENTS_FROM] + OTHER_CONTENTS
    yield "digest_of_other_content", "signature", with_signature(signature, with_digest(OTHER_CONTENTS))
    yield "unknown_publisher", "unknown", made(STRANGER)
    yield "unsound_key", "unknown", unsound_key()
    yield "revoked_publisher", "revoked", made(REVOKED, id="gone.one")
    yield "other_publisher", "prefix", made(OTHER)
    yield "signed_by_another", "signature", signed(PARTS.manifest, OTHER)
    yield "field_changed_to_a_wrong_one", "signature", with_field("heap_pages", b"\0\0") + GOOD[MANIFEST_END:]
    yield "s_plus_l", "signature_form", signature_plus_l()
    yield "small_order_r", "signature_form", small_order_r()
    yield "no_signature", "signature_form", with_signature(bytes(64))
    yield "capital_id", "id", signed(with_field("id", b"selftest.One".ljust(32, b"\0")))
    yield "no_id", "id", signed(with_field("id", bytes(32)))
    yield "zero_in_id", "id", signed(with_field("id", b"selftest.\0one".ljust(32, b"\0")))
    yield "entry_of_digits", "entry", signed(with_field("entry", b"1main".ljust(32, b"\0")))
    yield "entry_with_a_dot", "entry", signed(with_field("entry", b"ma.in".ljust(32, b"\0")))
    yield "no_entry", "entry", signed(with_field("entry", bytes(32)))
    yield "no_heap", "heap", signed(with_field("heap_pages", b"\0\0"))
    yield "too_much_heap", "heap", signed(with_field("heap_pages", struct.pack("<H", FORM.heap_max + 1)))
    yield from ((name, reason, signed(manifest)) for name, reason, manifest in wrong_rows())


def with_digest(contents: bytes) -> bytes:
    return with_field("digest", hashlib.sha256(contents).digest()) + GOOD[MANIFEST_END:CONTENTS_FROM] + contents


def wrong_rows() -> Iterator[tuple[str, str, bytes]]:
    one, two = row(ENTROPY, b"a"), row(VERIFY, b"b")
    most = max(FORM.actions)
    yield "row_twice", "actions", with_rows(one + one, 2)
    yield "rows_out_of_order", "actions", with_rows(two + one, 2)
    yield "unknown_action", "actions", with_rows(row(most + 1, b"a"), 1)
    yield "action_zero", "actions", with_rows(row(0, b"a"), 1)
    yield "too_many_rows", "actions", with_rows(b"".join(row(n, b"a") for n in range(1, 18)), FORM.requests_max + 1)
    yield "row_missing", "actions", with_rows(one, 2)
    yield "row_not_counted", "actions", with_rows(one + two, 1)
    yield "reason_missing", "reason", with_rows(row(ENTROPY, b""), 1)
    yield "reason_too_long", "reason", with_rows(row(ENTROPY, b"a" * (FORM.reason_max + 1)), 1)
    yield "reason_not_printable", "reason", with_rows(row(ENTROPY, b"a\nb"), 1)
    yield "reason_not_ascii", "reason", with_rows(row(ENTROPY, "ä".encode()), 1)
    yield "reason_beyond_the_end", "reason", with_rows(row(ENTROPY, b"a", 9), 1)


def flipped(data: bytes = GOOD) -> Iterator[bytes]:
    """Every byte of manifest and signature, one bit each, all eight bits in turn."""
    for at in range(CONTENTS_FROM):
        yield data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]


def cut(data: bytes = GOOD) -> Iterator[bytes]:
    return (data[:end] for end in range(0, len(data), 16))


def puts(data: bytes, size: int = PUT) -> Iterable[bytes]:
    """Payloads of the PUTs that bring a file."""
    return (struct.pack("<I", at) + data[at : at + size] for at in range(0, len(data), size))
