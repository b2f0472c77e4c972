"""The bytes that a signature of vault covers, put together from the contract's [signed], and whether one is right.

Called by the tests and by whoever judges signatures that a run printed. Pure; the machine's own code is firmware/vault/signed.c.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from nexus.contract.load import Contract
from nexus.ed25519 import verifies
from nexus.recipe.model import service_id

PROVER = "selftest-client"
PURPOSE = "selftest"
MESSAGE = "signed_message"


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


def of_the_prover(contract: Contract, known_entropy: bool) -> bytes:
    """What the selftest has signed in front of the host, in a run whose entropy the host knows or not."""
    mode = contract.number("key_mode.test_entropy" if known_entropy else "key_mode.device")
    message = str(contract.table("line")[MESSAGE]).encode("ascii")
    purpose = contract.table("purpose_name")[PURPOSE]
    return signed_bytes(contract, Signed(purpose, service_id(PROVER), contract.number("kind.service"), mode, message))


def is_signature(contract: Contract, public_key: bytes, signature: bytes, signed: Signed) -> bool:
    """Whether that key made that signature over it."""
    return verifies(public_key, signature, signed_bytes(contract, signed))


def key_id(contract: Contract, public_key: bytes) -> bytes:
    return hashlib.sha256(public_key).digest()[: contract.number("key.id_bytes")]
