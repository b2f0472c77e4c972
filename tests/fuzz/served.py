"""Any bytes as one message to a service of the simulated machine: the shipped modules under the shims, as booted by init.

Used by the `*_request` targets. Of an input the first byte chooses by which capability it is sent and how much time passes before it;
the rest is the message. What every answer must be is checked here, what one service's answers must be by its target.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from shims.asker import Asker, frame
from shims.device import Device, healthy
from shims.disk import Disk
from shims.machine import Machine
from target import Generic, Target

from nexus import layout
from nexus.contract.load import load_contract
from nexus.recipe.check import load_system
from nexus.recipe.model import System

ROOT = layout.find_root()
CONTRACT = load_contract(layout.contract_dir(ROOT))
STATUS = CONTRACT.table("status")
READY = CONTRACT.number("op.all.ready")
REPLY_BIT = CONTRACT.number("wire.reply_bit")
DATA_BYTES = CONTRACT.number("ipc.data_bytes")
HEADER = 8
NONCE = 0x1234ABCD
PAUSES = (0, 1, 1000, 1_000_000)  # ticks
ALIVE_EACH = 128  # inputs between two requests that must be served
CLIENT = "selftest"
IDLE = "import kernel, caps\nkernel.wait(caps.NOTIFICATION)\n"


@dataclass(frozen=True)
class Way:
    """A capability to send by: its facet, and whose index the badge bears."""

    facet: str = ""
    holder: str = CLIENT


@dataclass(frozen=True)
class Exchange:
    """A whole request of a known operation, by its own facet and in its form, and what was answered."""

    op: int
    payload: bytes
    status: int
    answer: bytes

    @property
    def served(self) -> bool:
        return bool(self.status == STATUS["ok"])


@dataclass(frozen=True)
class Service:
    """What is fuzzed: requests that are seeds, ways in, and the rules of its own answers."""

    name: str
    ways: Sequence[Way]
    good: Sequence[tuple[int, int, bytes]]  # place in `ways`, operation, payload
    alive: tuple[int, int, bytes]  # of a request that is always served
    check: Callable[[Machine, Exchange], None]
    facet: Callable[[str], str] = lambda name: ""  # which facet an operation needs, by its name
    starts: bool = True  # whether init asks it READY

    def words(self, table: str) -> Mapping[str, Any]:
        return CONTRACT.table(f"{table}.{self.name.replace('-', '_')}")

    def find_status(self, way: Way, message: bytes) -> int | None:
        """What the dispatcher answers by itself, the contract's order of checks worked out once more; None: the handler's turn."""
        if not is_request(message):
            return int(STATUS["malformed"])
        op = message[1]
        names = {number: name for name, number in self.words("op").items()} | ({READY: "ready"} if self.starts else {})
        if op == READY and self.starts:
            form, facet = "", "ready"
        else:
            name = names.get(op)
            form, facet = (str(self.words("request")[name]), self.facet(name)) if name else ("*", "")
        if not fits(form, message[HEADER:]):
            return int(STATUS["malformed"])
        if way.holder != CLIENT or way.facet != facet:
            return int(STATUS["denied"])
        return None if op in names else int(STATUS["unsupported"])


class Served:
    """A booted system and one process of it that the test plays."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.system: System = load_system("selftest", ROOT, CONTRACT)
        self.count = 0
        self.boot()

    def restart(self) -> None:
        self.machine.close()
        self.boot()

    def boot(self) -> None:
        devices = {"drop": Disk()}
        self.machine = Machine(
            self.system, CONTRACT, ROOT, device=Device(healthy()), devices=devices, sources={CLIENT: IDLE}
        )
        self.machine.flags = self.machine.contract.FLAG_KEEP
        self.machine.boot()
        self.asker = Asker(self.machine, CLIENT)
        self.handles = [self.handle(way) for way in self.service.ways]
        self.server = self.machine.process(self.service.name)
        self.machine.lines.clear()
        self.request_alive()

    def handle(self, way: Way) -> int:
        facets = {"": 0, "ready": CONTRACT.number("badge.facet_ready")}
        facets |= self.service.words("facet")
        return self.asker.given(self.service.name, facets[way.facet], way.holder)

    def check(self, data: bytes) -> None:
        if not data:
            return
        place = (data[0] & 0x3F) % len(self.handles)
        self.machine.now += PAUSES[data[0] >> 6]
        message = data[1 : 1 + DATA_BYTES]
        answer = self.asker.send(self.handles[place], message, accept=1)
        status = check_answer(message, answer)
        self.check_service()
        self.check_status(self.service.ways[place], message, status, answer[HEADER:])
        self.count += 1
        if self.count % ALIVE_EACH == 0:
            self.request_alive()

    def check_status(self, way: Way, message: bytes, status: int, answer: bytes) -> None:
        wanted = self.service.find_status(way, message)
        if wanted is not None:
            assert status == wanted, f"status {status} instead of {wanted}"
            return
        op = message[1]
        if status == STATUS["ok"]:
            name = next((name for name, number in self.service.words("op").items() if number == op), None)
            form = str(self.service.words("reply")[name]) if name else ""
            assert fits(form, answer), answer.hex()
        if op != READY:
            self.service.check(self.machine, Exchange(op, message[HEADER:], status, answer))

    def check_service(self) -> None:
        """The same incarnation, and no handler that failed by anything but a refusal."""
        contract = self.machine.contract
        assert self.server.state == contract.STATE_RECEIVING, "the service does not wait for the next request"
        assert self.server.incarnation == 1, "the service was started anew"
        for line in self.machine.lines:
            assert contract.LINE_HANDLER_FAULT not in line, line
            assert not line.startswith("kernel: fault"), line
        self.machine.lines.clear()

    def request_alive(self) -> None:
        place, op, payload = self.service.alive
        self.machine.now += PAUSES[-1]
        answer = self.asker.send(self.handles[place], frame(op, payload, NONCE))
        assert check_answer(frame(op, payload, NONCE), answer) == STATUS["ok"], "a good request is refused"


def check_answer(message: bytes, answer: bytes) -> int:
    """The status of exactly one frame, the answer to this very message; a refusal says nothing else."""
    assert len(answer) >= HEADER, answer.hex()
    version, op, status, zero, nonce = struct.unpack_from("<BBBBI", answer)
    assert (version, zero) == (CONTRACT.number("wire.version"), 0), answer.hex()
    assert op == (message[1] if len(message) > 1 else 0) | REPLY_BIT, answer.hex()
    assert nonce == (int.from_bytes(message[4:8], "little") if len(message) >= HEADER else 0), answer.hex()
    assert status in STATUS.values(), answer.hex()
    assert status == STATUS["ok"] or len(answer) == HEADER, answer.hex()
    return int(status)


def is_request(message: bytes) -> bool:
    """What the contract calls a frame of a request, worked out once more."""
    if len(message) < HEADER or message[0] != CONTRACT.number("wire.version") or message[1] & REPLY_BIT:
        return False
    return int.from_bytes(message[2:4], "little") == len(message) - HEADER


def fits(form: str, payload: bytes) -> bool:
    fixed = struct.calcsize(form.removesuffix("*"))
    return len(payload) >= fixed if form.endswith("*") else len(payload) == fixed


def served(service: Service) -> Target:
    running = Served(service)
    seeds = [bytes([place]) + frame(op, payload, NONCE) for place, op, payload in service.good]
    return Target(running.check, seeds, mutator(service.good), running.restart, lambda: running.machine.close())


def mutator(good: Sequence[tuple[int, int, bytes]]) -> Callable[[bytes, Random, Generic], bytes]:
    """Most often a whole frame again: length and version put right, at times another operation, or a good request with its way."""

    def mutate(data: bytes, chance: Random, generic: Generic) -> bytes:
        kind = chance.random()
        if kind < 0.1:
            place, op, payload = chance.choice(good)
            return bytes([place | chance.randrange(4) << 6]) + frame(op, payload, chance.randrange(1 << 32))
        changed = bytearray(generic(data))
        if kind < 0.25 or len(changed) < 1 + HEADER:
            return bytes(changed)
        del changed[1 + DATA_BYTES :]
        changed[1] = CONTRACT.number("wire.version")
        struct.pack_into("<H", changed, 3, len(changed) - 1 - HEADER)
        if kind < 0.5:
            changed[0], changed[2] = chance.choice(good)[:2]
        elif kind < 0.6:
            changed[0] = chance.randrange(256)
        return bytes(changed)

    return mutate
