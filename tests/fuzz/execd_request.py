"""Any bytes as a request to execd, among ends of apps that come at any time: nobody starts, ends or hears of what is not theirs, each request has one
answer, now or later, and however it goes on, execd holds no more than its limits and leaves no process that nobody knows of.

Around the shipped modules policyd, bundlemgrd, logd and the kernel of apps are played by tests/guest/shims/execworld.py. Of an input the first byte
chooses who asks and what happens before; a small number in WAIT, KILL or LIST stands for one of the newest children.
"""

from __future__ import annotations

import struct

from served import CONTRACT, DATA_BYTES, HEADER, NONCE, STATUS, check_answer, fits, is_request, mutator
from shims.alone import Caller
from shims.asker import frame
from shims.execworld import CLIENT, DROPD, FAULT, HELLO, OP, PEER, STATE, World, app
from target import Target

from nexus.recipe.model import service_id

NAMES = {number: name for name, number in OP.items()}
FORMS, REPLIES = CONTRACT.table("request.execd"), CONTRACT.table("reply.execd")
LINE_FAULT = str(CONTRACT.constants["LINE_HANDLER_FAULT"])
CHILDREN, RESTARTS = CONTRACT.number("limit.app_children"), CONTRACT.number("limit.app_restarts")
SECOND = CONTRACT.number("limit.tick_hz")
NAME_BYTES = CONTRACT.number("policy_limit.name_bytes")
TWO = b"selftest.two"
CALLERS = (CLIENT, DROPD, app(TWO.decode()), PEER)  # the last is refused
NEWEST = 16
ALIVE_EACH = 128
GOOD = (
    (0, OP["exec"], b"\x00" + HELLO),
    (0, OP["exec"], b"\x02" + HELLO),
    (1, OP["exec"], b"\x01" + TWO),
    (2, OP["exec"], b"\x03dev.three"),
    (0, OP["wait"], struct.pack("<I", 0)),
    (1, OP["wait"], struct.pack("<I", 1)),
    (0, OP["kill"], struct.pack("<I", 0)),
    (2, OP["kill"], struct.pack("<I", 2)),
    (0, OP["list"], struct.pack("<I", 0) + HELLO),
    (3, OP["exec"], b"\x00" + HELLO),
    (3, OP["wait"], struct.pack("<I", 0)),
)


class Execd:
    """The running service, and whose each child is by what EXEC has answered."""

    def __init__(self) -> None:
        self.count = 0
        self.boot()

    def boot(self) -> None:
        self.world = World()
        self.world.allowed = set(CALLERS[:3])
        self.owners: dict[int, Caller] = {}
        self.parked: dict[Caller, int] = {}  # who waits, for which child

    def restart(self) -> None:
        self.close()
        self.boot()

    def close(self) -> None:
        self.world.alone.close()

    def check(self, data: bytes) -> None:
        if not data:
            return
        self.happen(data[0] >> 6)
        caller, facet = CALLERS[data[0] % len(CALLERS)], int(data[0] & 0x3C == 0x3C)
        if caller in self.parked:  # it can't ask while it waits: so it has given that up
            self.world.give_up(caller)
            del self.parked[caller]
        self.send(caller, self.named(data[1 : 1 + DATA_BYTES]), facet)
        self.check_held()
        self.count += 1
        if self.count % ALIVE_EACH == 0:
            answer = self.world.send(PEER, frame(OP["list"], bytes(4) + HELLO, NONCE))
            assert answer is not None and check_answer(frame(OP["list"], b"", NONCE), answer) == STATUS["denied"]

    def happen(self, what: int) -> None:
        """An app ends by itself, or time passes."""
        apps = [one for one in self.world.kernel.apps.values() if one.state == STATE["ready"]]
        if what == 3:
            self.world.kernel.now += SECOND
        elif what and apps:
            apps[0].state, apps[0].fault = STATE["stopped"], FAULT["exit" if what == 1 else "memory"]
            self.world.signal()

    def named(self, message: bytes) -> bytes:
        """The request with a number that there may be, in place of a small one."""
        if len(message) < HEADER + 4 or NAMES.get(message[1]) not in ("wait", "kill", "list"):
            return message
        back = int.from_bytes(message[HEADER : HEADER + 4], "little")
        known = sorted(self.owners)[-NEWEST:]
        if back >= len(known):
            return message
        return message[:HEADER] + struct.pack("<I", known[-1 - back]) + message[HEADER + 4 :]

    def send(self, caller: Caller, message: bytes, facet: int) -> None:
        kernel, world = self.world.kernel, self.world
        made, live = len(kernel.made), {one.service_id for one in kernel.apps.values()}
        world.asked.clear()
        answer = world.send(caller, message, facet)
        assert not any(LINE_FAULT in line for line in kernel.lines), kernel.lines
        kernel.lines.clear()
        for who, result in kernel.later:
            self.parked.pop(who, None)
            assert result.status != STATUS["ok"] or fits(str(REPLIES["wait"]), result.payload)
        kernel.later.clear()
        if answer is None:
            number = int.from_bytes(message[HEADER:], "little")
            assert NAMES.get(message[1]) == "wait" and self.owners.get(number) == caller, "parked for another's child"
            self.parked[caller] = number
            return
        status = check_answer(message, answer)
        wanted = self.find_status(caller, message, facet)
        assert wanted is None or status == wanted, f"status {status} instead of {wanted}"
        if wanted is None:
            self.check_allowed(caller, message, status, answer[HEADER:])
        if wanted is not None or NAMES[message[1]] != "exec":
            assert len(kernel.made) == made, "an app without an EXEC that was allowed"
            gone = live - {one.service_id for one in kernel.apps.values()}
            assert not gone or NAMES.get(message[1]) == "kill", "an app has ended without a KILL"

    def find_status(self, caller: Caller, message: bytes, facet: int) -> int | None:
        """What does not depend on children; None: served, or refused for a reason that check_allowed knows."""
        if not is_request(message):
            return int(STATUS["malformed"])
        op, payload = message[1], message[HEADER:]
        name = NAMES.get(op)
        if op == CONTRACT.number("op.all.ready"):
            return int(STATUS["malformed" if payload else "denied"])
        if name is not None and not fits(str(FORMS[name]), payload):
            return int(STATUS["malformed"])
        if facet:
            return int(STATUS["denied"])
        if name is None:
            return int(STATUS["unsupported"])
        bundle = payload[1:] if name == "exec" else payload[4:]
        if len(bundle) > NAME_BYTES or b"\0" in bundle:
            return int(STATUS["malformed"])
        if caller not in self.world.allowed:
            return int(STATUS["denied"])
        return int(STATUS["malformed"]) if name == "exec" and payload[0] > RESTARTS else None

    def check_allowed(self, caller: Caller, message: bytes, status: int, answer: bytes) -> None:
        name, payload = NAMES[message[1]], message[HEADER:]
        assert [who for who, _ in self.world.asked] == [caller], "policyd was asked about another, or not at all"
        if status == STATUS["ok"]:
            assert fits(str(REPLIES[name]), answer), answer.hex()
        if name == "exec" and status == STATUS["ok"]:
            number, ident = struct.unpack("<IQ", answer)
            assert number not in self.owners, "a number that comes again"
            assert ident == service_id(f"app:{payload[1:].decode()}")
            self.owners[number] = caller
        elif name in ("wait", "kill"):
            own = self.owners.get(int.from_bytes(payload, "little")) == caller
            assert status in (STATUS["ok"], STATUS["denied"]) and (own or status == STATUS["denied"])
        elif name == "list" and status == STATUS["ok"]:
            assert self.owners[int.from_bytes(answer[:4], "little")] == caller, "another's child"

    def check_held(self) -> None:
        kernel = self.world.kernel
        records = self.world.alone.module("main")._children.all
        for caller in CALLERS:
            owner = caller.kind, caller.service_id, caller.publisher
            assert len([one for one in records if one.owner == owner]) <= CHILDREN
        handles = [one.handle for one in records if one.handle]
        assert sorted(handles) == sorted(kernel.apps), "a process that nobody knows of, or a child without one"
        assert kernel.regions == {}, "a region that is held"
        assert all(one.resumed for one in kernel.apps.values())


def target() -> Target:
    execd = Execd()
    seeds = [bytes([place]) + frame(op, payload, NONCE) for place, op, payload in GOOD]
    return Target(execd.check, seeds, mutator(GOOD), execd.restart, lambda: execd.close())
