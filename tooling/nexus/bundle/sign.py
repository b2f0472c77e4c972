"""Makes and checks the signature of a bundle, which covers the tag, the manifest and the digest of the contents as they are.

Pure: keys and bytes in, bytes or a bundle out. Which publishers there are is the caller's to know.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from nexus.bundle import decode, encode
from nexus.bundle.model import Bundle, BundleRefused, Form, Frame, Manifest
from nexus.bundle.trust import Publisher
from nexus.ed25519 import is_sound_point, is_sound_signature, verifies

if TYPE_CHECKING:  # loaded only where something is signed
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def signed_bytes(form: Form, manifest: bytes, digest: bytes) -> bytes:
    """Exactly what is signed; the digest is that of the contents as they are."""
    return form.tag + manifest + digest


def digest_of(contents: bytes) -> bytes:
    return hashlib.sha256(contents).digest()


def sign(form: Form, manifest: Manifest, contents: bytes, key: Ed25519PrivateKey) -> bytes:
    """The bundle as a file. Key, digest and length of the manifest are those of what it is made with, whatever it said of them."""
    digest = digest_of(contents)
    public_key = key.public_key().public_bytes_raw()
    stated = replace(manifest, public_key=public_key, contents_bytes=len(contents), digest=digest)
    signature = key.sign(signed_bytes(form, encode.manifest_bytes(form, stated), digest))
    return encode.bundle_bytes(form, Bundle(stated, signature, contents))


def verify(form: Form, data: bytes, publisher: bytes | None = None) -> Bundle:
    """The bundle, if its signature is right and, where a public key is given, by that one. Nothing else of it is read before."""
    parts = decode.frame(form, data)
    check_key(form, parts.public_key)
    _check_signature(form, parts)
    if publisher is not None and parts.public_key != publisher:
        raise BundleRefused(form, "publisher", f"found key {form.key_id(parts.public_key).hex()}, expected another")
    return Bundle(decode.manifest(form, parts.manifest), parts.signature, parts.contents)


def verify_trusted(form: Form, data: bytes, publishers: Iterable[Publisher]) -> Bundle:
    """The bundle, if one of these publishers may sign it and has: the checks of bundlemgrd, in its order, but for what it alone knows.
    No key is trusted that is unsound, so such a one is unknown."""
    parts = decode.frame(form, data)
    publisher = _publisher_of(form, parts.public_key, publishers)
    _check_signature(form, parts)
    found = decode.manifest(form, parts.manifest)
    if not publisher.owns(found.id):
        expected = " or ".join(publisher.prefixes)
        raise BundleRefused(form, "prefix", f"found id {found.id!a} of {publisher.name}, expected one in {expected}")
    return Bundle(found, parts.signature, parts.contents)


def _publisher_of(form: Form, public_key: bytes, publishers: Iterable[Publisher]) -> Publisher:
    found = next((one for one in publishers if one.public_key == public_key), None)
    if found is None:
        raise BundleRefused(
            form, "unknown", f"found key {form.key_id(public_key).hex()}, expected a trusted publisher's"
        )
    if found.revoked is not None:
        raise BundleRefused(form, "revoked", f"found the key of {found.name}, revoked: {found.revoked}")
    return found


def check_key(form: Form, public_key: bytes) -> None:
    """Refuse a key for which others than its owner can sign, and one that has a second spelling."""
    if is_sound_point(public_key):
        return
    raise BundleRefused(form, "public_key", f"found {public_key.hex()}, expected y below p and no point of small order")


def _check_signature(form: Form, parts: Frame) -> None:
    if not any(parts.signature):
        raise BundleRefused(form, "signature_form", "found none, expected one: nobody has signed it")
    if not is_sound_signature(parts.signature):
        raise BundleRefused(form, "signature_form", "found another spelling of a signature, expected S below L")
    if not verifies(parts.public_key, parts.signature, signed_bytes(form, parts.manifest, parts.digest)):
        raise BundleRefused(form, "signature", "found none of that key over these bytes")
