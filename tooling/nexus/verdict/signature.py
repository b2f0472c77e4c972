"""The bytes that a signature of vault covers, put together from the contract's [signed], and whether one is right.

Called by the tests and by whoever judges signatures that a run printed. Pure; the machine's own code is firmware/vault/signed.c.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from nexus.contract.load import Contract


@dataclass(frozen=True)
class Signed:
    """What a signature says: who asked for what, with what kind of key."""

    purpose: str  # a name of [purpose_name]
    subject: int  # service id
    kind: int  # KIND_*
    mode: int  # KEY_MODE_*
    message: bytes


def signed_bytes(contract: Contract, signed: Signed) -> bytes:
    """Exactly what was signed."""
    tag = str(contract.table("signed")["tag"]).encode("ascii")
    purpose = signed.purpose.encode("ascii")
    head = struct.pack("<QBBI", signed.subject, signed.kind, signed.mode, len(signed.message))
    return tag + bytes([len(purpose)]) + purpose + head + signed.message


def is_signature(contract: Contract, public_key: bytes, signature: bytes, signed: Signed) -> bool:
    """Whether that key made that signature over it, by another library than the machine's."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, signed_bytes(contract, signed))
    except InvalidSignature:
        return False
    return True


def key_id(contract: Contract, public_key: bytes) -> bytes:
    return hashlib.sha256(public_key).digest()[: contract.number("key.id_bytes")]
