"""The one encoding of a manifest and of a whole bundle. Called by sign.py. Pure; what no bundle may say is refused, never mended."""

from __future__ import annotations

from nexus.bundle.model import Bundle, BundleRefused, Form, Manifest, Request


def manifest_bytes(form: Form, manifest: Manifest) -> bytes:
    """Header and rows."""
    form.check(manifest)
    rows = b"".join(_row(request) for request in manifest.requests)
    values: dict[str, int | bytes] = {
        "magic": form.magic,
        "format": form.format,
        "manifest_bytes": form.header_bytes + len(rows),
        "contents_bytes": manifest.contents_bytes,
        "key_id": form.key_id(manifest.public_key),
        "public_key": manifest.public_key,
        "digest": manifest.digest,
        "id": manifest.id.encode("ascii"),
        "major": manifest.version.major,
        "minor": manifest.version.minor,
        "patch": manifest.version.patch,
        "entry": manifest.entry.encode("ascii"),
        "heap_pages": manifest.heap_pages,
        "actions": len(manifest.requests),
    }
    return b"".join(_field(values[name], form.width(name)) for name in form.places) + rows


def bundle_bytes(form: Form, bundle: Bundle) -> bytes:
    """The file."""
    if len(bundle.signature) != form.signature_bytes or len(bundle.contents) != bundle.manifest.contents_bytes:
        raise BundleRefused(form, "length", "found a signature or contents of another length than stated")
    return manifest_bytes(form, bundle.manifest) + bundle.signature + bundle.contents


def _field(value: int | bytes, width: int) -> bytes:
    return value.ljust(width, b"\0") if isinstance(value, bytes) else value.to_bytes(width, "little")


def _row(request: Request) -> bytes:
    return request.action.to_bytes(2, "little") + bytes([len(request.reason)]) + request.reason.encode("ascii")
