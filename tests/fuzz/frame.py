"""firmware/native/frame.c against the contract's words: which bytes are a request, which a reply to it, and what a number of a payload is.
What is accepted is written anew as it was, byte for byte.
"""

from __future__ import annotations

import struct
from pathlib import Path
from random import Random

from native import Program
from target import Generic, Target

from nexus import layout
from nexus.contract.emit import emit_contract
from nexus.contract.load import load_contract

ROOT = layout.find_root()
CONTRACT = load_contract(layout.contract_dir(ROOT))
VERSION, REPLY_BIT = CONTRACT.number("wire.version"), CONTRACT.number("wire.reply_bit")
DATA_BYTES, OK = CONTRACT.number("ipc.data_bytes"), CONTRACT.number("status.ok")
REQUEST, REPLY, NUMBER = range(3)
HEADER = 8
ASKED = struct.Struct("<BBI")  # what is asked, op, nonce
SIZES = {"B": 1, "H": 2, "I": 4, "Q": 8}
SEEDS = (
    ASKED.pack(REQUEST, 0, 0) + struct.pack("<BBHI", VERSION, 1, 2, 7) + b"ab",
    ASKED.pack(REPLY, 1, 7) + struct.pack("<BBBBI", VERSION, 1 | REPLY_BIT, OK, 0, 7) + b"ab",
    ASKED.pack(NUMBER, ord("I"), 0) + b"abcd",
)


def headers(folder: Path) -> None:
    emit_contract(CONTRACT, folder)


def target() -> Target:
    native = ROOT / "firmware" / "native"
    program = Program([native / "frame.c"], [Path(__file__).with_name("frame_host.c")], headers, [native])

    def check(data: bytes) -> None:
        if len(data) < ASKED.size:
            return
        kind, op, nonce = ASKED.unpack_from(data)
        message = data[ASKED.size :]
        said = program.ask(struct.pack("<H", len(message)) + bytes([kind % 3]) + data[1 : ASKED.size] + message)
        if kind % 3 == REQUEST:
            assert said == expected_request(message), said.hex()
        elif kind % 3 == REPLY:
            assert said == expected_reply(message, op, nonce), said.hex()
        else:
            assert said == expected_number(message, chr(op)), said.hex()

    return Target(check, SEEDS, mutate, program.restart, program.close)


def expected_request(message: bytes) -> bytes:
    headed = len(message) >= HEADER
    op = message[1] if len(message) > 1 else 0
    count = len(message) - HEADER if headed else 0
    nonce = int.from_bytes(message[4:8], "little") if headed else 0
    whole = headed and message[0] == VERSION and op < REPLY_BIT and int.from_bytes(message[2:4], "little") == count
    accepted = whole and len(message) <= DATA_BYTES
    return struct.pack("<BBII", accepted, op, nonce, count) + (message if accepted else b"")


def expected_reply(message: bytes, op: int, nonce: int) -> bytes:
    if not HEADER <= len(message) <= DATA_BYTES:
        return struct.pack("<i", -1)
    version, reply_op, status, zero, echoed = struct.unpack_from("<BBBBI", message)
    ours = (version, reply_op, zero, echoed) == (VERSION, op | REPLY_BIT, 0, nonce)
    if not ours or (status != OK and len(message) > HEADER):
        return struct.pack("<i", -1)
    return struct.pack("<i", status) + message


def expected_number(message: bytes, form: str) -> bytes:
    size = SIZES.get(form, 0)
    taken = size if size <= len(message) else 0
    return struct.pack("<BQ", taken, int.from_bytes(message[:taken], "little"))


def mutate(data: bytes, chance: Random, generic: Generic) -> bytes:
    """Often with the length put right, and a reply that echoes its request."""
    changed = bytearray(generic(data))
    if len(changed) < ASKED.size + HEADER or chance.random() < 0.4:
        return bytes(changed)
    kind = changed[0] = chance.randrange(3)
    at = ASKED.size
    if chance.random() < 0.2:  # about as long as a message may be
        changed = (changed + bytes(DATA_BYTES))[: at + DATA_BYTES + chance.randint(-2, 2)]
    changed[at] = VERSION
    if kind == REQUEST:
        struct.pack_into("<H", changed, at + 2, len(changed) - at - HEADER & 0xFFFF)
    elif kind == REPLY:
        changed[at + 1] = changed[1] | REPLY_BIT
        changed[at + 3] = 0
        changed[at + 4 : at + 8] = changed[2:6]
    else:
        changed[1] = chance.choice(b"BHIQx")
    return bytes(changed)
