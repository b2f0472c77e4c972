"""firmware/vault's own C around a key of straw (tests/vault/host.c): any message gets the one answer that tests/vault/vault_model.py works out.

Of an input the lowest bit of the first byte says that init asks, the next one that it is asked on nobody's behalf; the rest is the message.
"""

from __future__ import annotations

import struct
from random import Random

from native import Program
from target import Generic, Target
from vault_model import (
    FOLDERS,
    HEAD,
    MESSAGE_BYTES,
    MESSAGE_MAX,
    OP,
    READY,
    ROOT,
    SOURCES,
    Expected,
    Request,
    framed,
    headers,
)

KEYSTORED, INIT, NOBODY = 0, 1, 2
PURPOSE = struct.pack("<H", 1)
SEEDS = (
    bytes([KEYSTORED]) + framed(OP["seed"], b""),
    bytes([KEYSTORED]) + framed(OP["sign"], PURPOSE + b"message"),
    bytes([INIT]) + framed(READY, b""),
)
OPS = (*OP.values(), OP["sign"], READY)


def target() -> Target:
    host, *subjects = (ROOT / name for name in SOURCES)
    program = Program(subjects, [host], headers, [ROOT / folder for folder in FOLDERS])
    expected = Expected()

    def restart() -> None:
        nonlocal expected
        expected = Expected()
        program.restart()

    def check(data: bytes) -> None:
        if not data:
            return
        request = Request(data[1 : 1 + MESSAGE_BYTES], bool(data[0] & INIT), not data[0] & NOBODY)
        wanted = expected.answer(request)
        said = program.ask(request.packed)
        assert said == wanted, f"{said.hex()} instead of {wanted.hex()}"

    return Target(check, SEEDS, mutate, restart, program.close)


def mutate(data: bytes, chance: Random, generic: Generic) -> bytes:
    """Most often a whole frame again, of a known operation, as long as a signed message may be or a little more."""
    kind = chance.random()
    if kind < 0.25 or len(data) <= HEAD.size:
        return generic(data)
    payload = bytes(generic(data[1 + HEAD.size :] or b"\0"))
    if kind < 0.4:
        payload = (PURPOSE + payload + bytes(chance.randint(MESSAGE_MAX - 3, MESSAGE_MAX + 3)))[
            : MESSAGE_MAX + chance.randrange(5)
        ]
    flags = data[0] if kind < 0.7 else chance.randrange(4)
    return bytes([flags]) + framed(chance.choice(OPS), payload[: MESSAGE_BYTES - HEAD.size], chance.randrange(1 << 32))
