"""Takes the bytes of a bundle apart: first the frame, whose lengths alone are believed, then the manifest. Called by sign.py, which
checks the signature between the two, and by whoever shows a bundle without trusting it.

Pure. Never parses contents, and takes no bytes but those that encode.py gives for what it returns.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from nexus.bundle.model import Bundle, BundleRefused, Form, Frame, Manifest, Request, Version


def frame(form: Form, data: bytes) -> Frame:
    """The parts of a file, none of them longer or shorter than its header says, with the contents that it says."""
    check_opening(form, data)
    manifest_end = _number(form, data, "manifest_bytes")
    contents_bytes = _number(form, data, "contents_bytes")
    if contents_bytes > form.contents_max:
        raise BundleRefused(form, "too_large", f"found {contents_bytes} bytes, expected at most {form.contents_max}")
    if not contents_bytes or not form.header_bytes <= manifest_end <= form.manifest_max:
        raise BundleRefused(
            form, "length", f"found a manifest of {manifest_end} bytes and contents of {contents_bytes}"
        )
    signature_end = manifest_end + form.signature_bytes
    if len(data) != signature_end + contents_bytes:
        reason = "truncated" if len(data) < signature_end + contents_bytes else "trailing"
        raise BundleRefused(form, reason, f"found {len(data)} bytes, expected {signature_end + contents_bytes}")
    public_key, contents = data[form.places["public_key"]], data[signature_end:]
    if data[form.places["key_id"]] != form.key_id(public_key):
        raise BundleRefused(form, "key_id", "found that of another public key")
    digest = hashlib.sha256(contents).digest()
    if data[form.places["digest"]] != digest:
        raise BundleRefused(form, "digest", "found other contents than the manifest states")
    return Frame(data[:manifest_end], data[manifest_end:signature_end], contents, public_key, digest)


def manifest(form: Form, data: bytes) -> Manifest:
    """The manifest of a frame: its fields in their order, then the rows."""
    version = Version(*(_number(form, data, part) for part in ("major", "minor", "patch")))
    head = Manifest(
        _name(form, data, "id"),
        version,
        data[form.places["public_key"]],
        _name(form, data, "entry"),
        _number(form, data, "heap_pages"),
        (),
        _number(form, data, "contents_bytes"),
        data[form.places["digest"]],
    )
    form.check(head)
    return replace(head, requests=_requests(form, data))


def bundle(form: Form, data: bytes) -> Bundle:
    """The whole, with a signature that nobody has checked."""
    parts = frame(form, data)
    return Bundle(manifest(form, parts.manifest), parts.signature, parts.contents)


def check_opening(form: Form, data: bytes) -> None:
    """Refuse what has no header of this format."""
    magic = data[form.places["magic"]]
    if magic != form.magic[: len(magic)]:
        raise BundleRefused(form, "magic", f"found {magic!r}, expected {form.magic!r}")
    if len(data) < form.places["format"].stop:
        raise BundleRefused(form, "truncated", f"found {len(data)} bytes, expected a header")
    number = _number(form, data, "format")
    if number != form.format:
        raise BundleRefused(form, "format", f"found {number}, expected {form.format}")
    if len(data) < form.header_bytes:
        raise BundleRefused(form, "truncated", f"found {len(data)} bytes, expected a header")


def _number(form: Form, data: bytes, field: str) -> int:
    return int.from_bytes(data[form.places[field]], "little")


def _name(form: Form, data: bytes, field: str) -> str:
    """As it stands there but for the zeros that fill it up; a zero within it is refused with its other bytes."""
    return data[form.places[field]].rstrip(b"\0").decode("latin-1")


def _requests(form: Form, data: bytes) -> tuple[Request, ...]:
    """So many rows as are stated, and nothing behind them; each is right before the next one is looked for."""
    count = _number(form, data, "actions")
    form.check_count(count)
    rows: list[Request] = []
    at = form.header_bytes
    for _ in range(count):
        text = at + form.row_bytes
        if text > len(data):
            raise BundleRefused(form, "actions", "found rows that go beyond the manifest")
        action, end = int.from_bytes(data[at : text - 1], "little"), text + data[text - 1]
        form.check_action(action, rows[-1].action if rows else -1)
        if end > len(data):
            raise BundleRefused(form, "reason", "found one that goes beyond the manifest")
        reason = data[text:end].decode("latin-1")
        form.check_reason(reason)
        rows.append(Request(action, reason))
        at = end
    if at != len(data):
        raise BundleRefused(form, "actions", f"found {len(data) - at} bytes behind the last row")
    return tuple(rows)
