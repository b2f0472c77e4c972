"""A stand-in for the native vault on the simulated machine: the same operations in guest Python, on a key of the host's library.

Used by machine.py for rows whose program is firmware/vault. What the real one promises is tested on the real one.
"""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FOLDER = "firmware/vault"
SOURCE = """
import struct
import caps
import client
import contract
import hostkey
import kernel
import server
import signed
from wire import Refuse

state = {"made": 0, "generation": 0}

def need():
    if not state["generation"]:
        raise Refuse(contract.STATUS_NOT_FOUND)

def about():
    return struct.pack("<IB", state["generation"], contract.KEY_MODE_DEVICE) + hostkey.ident()

def on_seed():
    if state["generation"]:
        raise Refuse(contract.STATUS_EXISTS)
    wanted = struct.pack("<H", 32)
    until = client.deadline(contract.EDGE_DEADLINE_RNGD_VAULT)
    hostkey.make(bytes(client.call(caps.RNGD, contract.OP_RNGD_GET_ENTROPY, wanted, until, kernel.handle())))
    state["made"] += 1
    state["generation"] = kernel.incarnation() - 1 << 16 | state["made"]
    return on_pubkey()

def on_pubkey():
    need()
    return about() + hostkey.public()

def on_sign(purpose, message):
    message = bytes(message)
    if kernel.subject() < 0:
        raise Refuse(contract.STATUS_DENIED)
    need()
    covered = signed.covered(signed.purpose_name(purpose), kernel.subject_id(), kernel.subject_kind(), contract.KEY_MODE_DEVICE, message)
    return about() + hostkey.sign(covered)

def on_destroy():
    need()
    gone = struct.pack("<I", state["generation"])
    state["generation"] = 0
    return gone

server.serve({
    contract.OP_VAULT_SEED: (on_seed, "", 0),
    contract.OP_VAULT_SIGN: (on_sign, "<H*", 0),
    contract.OP_VAULT_PUBKEY: (on_pubkey, "", 0),
    contract.OP_VAULT_DESTROY: (on_destroy, "", 0),
}, contract.MARK_VAULT_READY)
"""


def hostkey() -> SimpleNamespace:
    """Module `hostkey` of one incarnation of the stand-in."""
    held: list[Ed25519PrivateKey] = []

    def public() -> bytes:
        return held[-1].public_key().public_bytes_raw()

    return SimpleNamespace(
        make=lambda seed: held.append(Ed25519PrivateKey.from_private_bytes(seed)),
        public=public,
        ident=lambda: hashlib.sha256(public()).digest()[:8],
        sign=lambda data: held[-1].sign(data),
    )
