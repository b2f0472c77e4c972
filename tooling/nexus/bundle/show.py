"""What can be told of a bundle without trusting it: manifest, signer, files, and everything that is wrong. Called by `nexus bundle inspect`.

Pure. A stranger's bytes come out escaped; that something is shown does not say that any machine would take it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nexus.bundle import decode, sign
from nexus.bundle.listing import Listing, list_files
from nexus.bundle.model import PAGE, BundleRefused, Form, Manifest
from nexus.bundle.trust import Publisher
from nexus.ed25519 import verifies
from nexus.verdict.grammar import escape

RIGHT, WRONG, NONE = "right", "wrong", "none"


@dataclass(frozen=True)
class Look:
    """A file with the header of a bundle."""

    size: int
    public_key: bytes
    key_id: bytes
    publisher: Publisher | None  # whose key that is, signed or not
    signature: str  # RIGHT, WRONG or NONE
    digest: bytes  # of the contents as they are
    manifest: Manifest | None  # None where it says what none may say
    listing: Listing
    refused: tuple[BundleRefused, ...]  # why a machine would that trusts every publisher of the clone


def look(form: Form, data: bytes, publishers: Sequence[Publisher]) -> Look:
    """Everything that can be told; what has no header of a bundle is refused."""
    decode.check_opening(form, data)
    manifest_bytes, signature, contents = _parts(form, data)
    public_key, digest = data[form.places["public_key"]], sign.digest_of(contents)
    signed = verifies(public_key, signature, sign.signed_bytes(form, manifest_bytes, digest))
    manifest, why_not = _manifest(form, manifest_bytes)
    return Look(
        size=len(data),
        public_key=public_key,
        key_id=form.key_id(public_key),
        publisher=next((one for one in publishers if one.public_key == public_key), None),
        signature=RIGHT if signed else WRONG if any(signature) else NONE,
        digest=digest,
        manifest=manifest,
        listing=list_files(contents),
        refused=_refusals(form, data, publishers, why_not),
    )


def _manifest(form: Form, data: bytes) -> tuple[Manifest | None, BundleRefused | None]:
    """What it says, or why it can't say that."""
    try:
        return decode.manifest(form, data), None
    except BundleRefused as error:
        return None, error


def _refusals(
    form: Form, data: bytes, publishers: Sequence[Publisher], manifest: BundleRefused | None
) -> tuple[BundleRefused, ...]:
    """Why a machine that trusts all publishers would refuse it; and the manifest, if it would not have got that far."""
    try:
        sign.verify_trusted(form, data, publishers)
    except BundleRefused as error:
        return (error,) if manifest is None or manifest.code == error.code else (error, manifest)
    return ()


def _parts(form: Form, data: bytes) -> tuple[bytes, bytes, bytes]:
    """Manifest, signature and contents as the header has it, however long the file is."""
    end = int.from_bytes(data[form.places["manifest_bytes"]], "little")
    return data[:end], data[end : end + form.signature_bytes], data[end + form.signature_bytes :]


def lines(form: Form, found: Look) -> Iterator[str]:
    """For people."""
    yield _row("publisher", _publisher(found))
    yield _row("signature", {RIGHT: "right", WRONG: "wrong", NONE: "none yet"}[found.signature])
    if found.manifest is not None:
        yield from _manifest_lines(form, found.manifest)
    size = sum(entry.size for entry in found.listing.files)
    yield _row("contents", f"sha256 {found.digest.hex()}, files with {size} bytes:")
    for entry in found.listing.files:
        yield _row("", f"{entry.size:>7}  {escape(entry.path)}")
    if found.listing.problem:
        yield _row("", f"unreadable from here on: {found.listing.problem}")
    for error in found.refused:
        yield _row("refused", f"{error.reason} ({error.code}): {_reason(error)}")


def _manifest_lines(form: Form, manifest: Manifest) -> Iterator[str]:
    yield _row("id", f"{manifest.id}, version {manifest.version}")
    yield _row("runs", f"module {manifest.entry}, heap {manifest.heap_pages * PAGE >> 10} KiB")
    for place, request in enumerate(manifest.requests):
        action = action_names(form)[request.action]
        yield _row("" if place else "asks for", f"{action:<18}  {request.reason}")
    if not manifest.requests:
        yield _row("asks for", "nothing")


def _publisher(found: Look) -> str:
    key = f"key id {found.key_id.hex()}"
    if found.publisher is None:
        return f"unknown, {key}"
    notes = [key]
    if found.publisher.revoked:
        notes.append(f"revoked: {found.publisher.revoked}")
    if found.publisher.known_seed:
        notes.append("everybody can sign as it")
    return ", ".join([found.publisher.name, *notes])


def _row(title: str, text: str) -> str:
    return f"{title:<10}  {text}"


def _reason(error: BundleRefused) -> str:
    return error.message.removeprefix(f"bundle: {error.reason}: ")


def as_json(form: Form, found: Look) -> dict[str, Any]:
    """The same for programs."""
    manifest = found.manifest
    stated: dict[str, Any] = {}
    if manifest is not None:
        names = action_names(form)
        stated = {
            "id": manifest.id,
            "version": str(manifest.version),
            "entry": manifest.entry,
            "heap_bytes": manifest.heap_pages * PAGE,
            "capabilities": [{"action": names[row.action], "reason": row.reason} for row in manifest.requests],
        }
    return {
        "bytes": found.size,
        "publisher": found.publisher.name if found.publisher else None,
        "public_key": found.public_key.hex(),
        "key_id": found.key_id.hex(),
        "signature": found.signature,
        "manifest": stated or None,
        "contents": {
            "sha256": found.digest.hex(),
            "files": [{"path": escape(entry.path), "bytes": entry.size} for entry in found.listing.files],
            "problem": found.listing.problem,
        },
        "refused": [{"reason": error.reason, "code": error.code, "why": _reason(error)} for error in found.refused],
    }


def action_names(form: Form) -> dict[int, str]:
    """What people call each action."""
    numbers, names = form.contract.table("action"), form.contract.table("action_name")
    return {number: str(names[key]) for key, number in numbers.items()}
