"""Any bytes typed on the shell's line editor, with any bytes as what it kept: it never raises, the screen shows the line after each key, no
line holds what a terminal would act on, and after Ctrl-C it takes the next line as ever.
"""

from __future__ import annotations

from random import Random

from shims.typist import EDITOR, KEYS, Typed
from target import Generic, Target

KEPT = 24  # bytes
MOST_WRITTEN = 2048  # for one key
PIECES = (
    b"\x1b[",
    b"\x1b[A",
    b"\x1b[D",
    b"\x1b[3~",
    b"\x1bb",
    b"\t",
    b"\x15",
    b"\x19",
    b"\r",
    "世😀é\u0301".encode(),
    b"word " * 20,
)
SEEDS = (
    bytes(KEPT) + b"policy check\r\x1b[A\x01x\x05\x17\x19\t",
    b"\x06\x00ps\n\xc3\xa4\n" + bytes(KEPT - 8) + b"\x1b[A\x1b[A\x1b[B" + "süß".encode() + b"\x1b[D\x7f\x0b",
)


def target() -> Target:
    return Target(check, SEEDS, mutate)


def check(data: bytes) -> None:
    run = Typed(bytearray(data[:KEPT].ljust(KEPT, b"\0")))
    run.type(data[KEPT:])
    assert run.most <= MOST_WRITTEN
    for line in (*run.lines, *run.history.lines):
        assert len(line) <= EDITOR.LONGEST or line in run.history.lines
        assert all(KEYS.width(character) >= 0 for character in line)
    assert run.type(b"\x03next\r").lines[-1] == "next"
    assert run.events[-2:] == ["interrupt", "line"]


def mutate(data: bytes, chance: Random, generic: Generic) -> bytes:
    if chance.randrange(3):
        return generic(data)
    at = chance.randint(0, len(data))
    return data[:at] + chance.choice(PIECES) + data[at:]
