"""Makes and checks the signature of a bundle, which covers the tag, the manifest and the digest of the contents as they are.

Pure: keys and bytes in, bytes or a bundle out. Never says which of the publishers may sign an id; that is the caller's to know.
cryptography 50 (OpenSSL 4.0) refuses S >= L by itself, but takes keys of small order, for which anybody can make signatures, and
y >= p, a second spelling of some of them. So all of it is refused here, before the library is asked, as the guest's libsodium does.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from nexus.bundle import decode, encode
from nexus.bundle.model import Bundle, BundleRefused, Form, Frame, Manifest
from nexus.verdict.signature import covers

if TYPE_CHECKING:  # loaded only where something is signed
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
Y_OF_ORDER_8 = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)
SMALL_ORDER = frozenset({0, 1, P - 1, Y_OF_ORDER_8, P - Y_OF_ORDER_8})  # y of the eight points


def signed_bytes(form: Form, manifest: bytes, digest: bytes) -> bytes:
    """Exactly what is signed; the digest is that of the contents as they are."""
    return form.tag + manifest + digest


def sign(form: Form, manifest: Manifest, contents: bytes, key: Ed25519PrivateKey) -> bytes:
    """The bundle as a file. Key, digest and length of the manifest are those of what it is made with, whatever it said of them."""
    digest = hashlib.sha256(contents).digest()
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


def check_key(form: Form, public_key: bytes) -> None:
    """Refuse a key for which others than its owner can sign, and one that has a second spelling."""
    if is_canonical(public_key) and not is_small_order(public_key):
        return
    raise BundleRefused(form, "public_key", f"found {public_key.hex()}, expected y below p and no point of small order")


def is_canonical(point: bytes) -> bool:
    return _y(point) < P


def is_small_order(point: bytes) -> bool:
    return _y(point) % P in SMALL_ORDER


def _check_signature(form: Form, parts: Frame) -> None:
    point, scalar = parts.signature[:32], int.from_bytes(parts.signature[32:], "little")
    if scalar >= L or not is_canonical(point) or is_small_order(point):
        raise BundleRefused(form, "signature_form", "found another spelling of a signature, expected S below L")
    if not covers(parts.public_key, parts.signature, signed_bytes(form, parts.manifest, parts.digest)):
        raise BundleRefused(form, "signature", "found none of that key over these bytes")


def _y(point: bytes) -> int:
    """Without the bit that is the sign of x."""
    return int.from_bytes(point, "little") & ((1 << 255) - 1)
