"""The test itself as a client: frames put together and taken apart by hand, so that guest/lib/wire.py is not its own judge.

Used by host tests of services. Fails the test when an answer is not exactly one frame of this very request.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import count

from nexus.contract.load import constant_name
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

    def __init__(self, machine: Machine, name: str = "selftest", kernel: Kernel | None = None) -> None:
        self.machine, self.name = machine, name
        self.kernel: Kernel = kernel or machine.actor(name)

    @classmethod
    def app(cls, machine: Machine, bundle: str, mask: int = 0, publisher: int = 0) -> Asker:
        """An app as execd would spawn it; what servers it can call is what given() gives it."""
        machine.add_app(bundle, mask, publisher, machine.system_row.root.index)
        return cls(machine, f"app:{bundle}")

    @classmethod
    def spawned(cls, machine: Machine, bundle: str) -> Asker:
        """An app that was made by spawn and resumed, and has no code of its own."""
        return cls(machine, f"app:{bundle}", machine.playing(f"app:{bundle}"))

    def handle(self, cap: str) -> int:
        """Of a boot capability; or of any route by such a name ("LOGD_QUERY"), as if init had given it."""
        if cap in [known.name for known in self.machine.process(self.name).row.capabilities]:
            return self.machine.handle(self.name, cap)
        for owner in self.machine.owners.values():
            facets = self.machine.loaded_contract.table(f"facet.{owner.name.replace('-', '_')}")
            for facet, number in {"": 0, **facets}.items():
                if constant_name(owner.name, facet) == cap:
                    return self.given(owner.name, number)
        raise AssertionError(f"{self.name} has no {cap}")

    def given(self, server: str, facet: int = 0, holder: str | None = None) -> int:
        """A capability that no recipe gave: to this server, with a badge for that facet and holder."""
        process, owner = self.machine.process(self.name), self.machine.process(server)
        contract = self.machine.contract
        badge = facet << contract.BADGE_FACET_SHIFT | self.machine.process(holder or self.name).row.index
        number = next(number for number, known in self.machine.owners.items() if known is owner)
        cap = Cap(contract.OBJ_ENDPOINT, contract.RIGHT_CALL, number, badge, owner.incarnation or 1)
        return process.put(cap)

    def send(self, handle: int, message: bytes, deadline: int | None = None, behalf: int = 0, accept: int = 0) -> bytes:
        """Any bytes; the answer's bytes. What capabilities it brought is in kernel.received."""
        self.kernel.buffer[: len(message)] = message
        until = deadline or self.kernel.time() + LATER
        length = self.kernel.call(handle, len(message), until, behalf, 0, accept)
        return bytes(self.kernel.buffer[:length])

    def ask(
        self,
        handle: int,
        op: int,
        payload: bytes = b"",
        deadline: int | None = None,
        behalf: int = 0,
        accept: int = 0,
    ) -> Answer:
        nonce = next(_nonces)
        answer = self.send(handle, frame(op, payload, nonce), deadline, behalf, accept)
        version, reply_op, status, zero, echoed = struct.unpack_from("<BBBBI", answer)
        assert (version, reply_op, zero, echoed) == (1, op | 0x80, 0, nonce)
        return Answer(status, answer[8:])
