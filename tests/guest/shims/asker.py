"""The test itself as a client: frames put together and taken apart by hand, so that guest/lib/wire.py is not its own judge.

Used by host tests of services. Fails the test when an answer is not exactly one frame of this very request.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import count

from shims.kernel import Kernel
from shims.machine import Machine
from shims.objects import Cap

LATER = 100_000_000  # ticks
_nonces = count(0x1000)


@dataclass(frozen=True)
class Answer:
    status: int
    payload: bytes


def frame(op: int, payload: bytes = b"", nonce: int = 0, version: int = 1, length: int | None = None) -> bytes:
    return struct.pack("<BBHI", version, op, len(payload) if length is None else length, nonce) + payload


class Asker:
    """One process of the machine, played by the test."""

    def __init__(self, machine: Machine, name: str = "selftest") -> None:
        self.machine, self.name = machine, name
        self.kernel: Kernel = machine.actor(name)

    def handle(self, cap: str) -> int:
        return self.machine.handle(self.name, cap)

    def given(self, server: str, facet: int = 0, holder: str | None = None) -> int:
        """A capability that no recipe gave: to this server, with a badge for that facet and holder."""
        process, owner = self.machine.process(self.name), self.machine.process(server)
        contract = self.machine.contract
        badge = facet << contract.BADGE_FACET_SHIFT | self.machine.process(holder or self.name).row.index
        number = next(number for number, known in self.machine.owners.items() if known is owner)
        cap = Cap(contract.OBJ_ENDPOINT, contract.RIGHT_CALL, number, badge, owner.incarnation or 1)
        process.next_handle += 1
        process.caps[process.next_handle] = cap
        return process.next_handle

    def send(self, handle: int, message: bytes, deadline: int | None = None) -> bytes:
        """Any bytes; the answer's bytes."""
        self.kernel.buffer[: len(message)] = message
        length = self.kernel.call(handle, len(message), deadline or self.kernel.time() + LATER)
        return bytes(self.kernel.buffer[:length])

    def ask(self, handle: int, op: int, payload: bytes = b"", deadline: int | None = None) -> Answer:
        nonce = next(_nonces)
        answer = self.send(handle, frame(op, payload, nonce), deadline)
        version, reply_op, status, zero, echoed = struct.unpack_from("<BBBBI", answer)
        assert (version, reply_op, zero, echoed) == (1, op | 0x80, 0, nonce)
        return Answer(status, answer[8:])
