"""Any bytes as a request to bundlemgrd, or as a bundle that is brought to it: what it installs the host takes too, under the very name that was
asked for and never twice or older; nobody is served whom policy refuses, nobody puts into another's session, and what is opened is there.

Of an input the first byte chooses who asks, what was staged before, and how much time passes; the rest is the message, or the file.
"""

from __future__ import annotations

import struct
from random import Random

from nxb import CONTRACT, FORM, GOOD, OP, PUBLISHERS, STATUS, made, puts
from served import DATA_BYTES, HEADER, NONCE, PAUSES, ROOT, check_answer, fits, is_request, mutator
from shims.asker import Asker, frame
from shims.bundles import Keeping
from shims.device import Device, healthy
from shims.machine import Machine
from target import Generic, Target

from nexus.bundle.model import Version
from nexus.bundle.sign import verify_trusted
from nexus.recipe.check import load_system

NAMES = {number: name for name, number in OP.items()}
FORMS, REPLIES = CONTRACT.table("request.bundlemgrd"), CONTRACT.table("reply.bundlemgrd")
READY = CONTRACT.number("op.all.ready")
ONE = b"selftest.one"
NOTHING, BEGUN, STAGED, FILE = range(
    4
)  # what comes before the message; FILE: the rest is no message but a file, to be installed
CALLERS = ("probe", "dropd", "init", "app:selftest.one")
SERVED = {"probe", "dropd"}  # by policy, these may have something done
ALIVE_EACH = 64
START = struct.pack("<I", len(GOOD)) + ONE


def place(caller: int = 0, before: int = NOTHING, facet: int = 0) -> int:
    return caller | before << 2 | facet << 4


REQUESTS = (
    (place(), OP["stage"], START),
    (place(before=BEGUN), OP["put"], next(iter(puts(GOOD)))),
    (place(before=BEGUN), OP["put"], bytes(4) + GOOD[:100]),
    (place(before=STAGED), OP["verify"], ONE),
    (place(before=STAGED), OP["install"], ONE),
    (place(before=BEGUN), OP["install"], ONE),
    (place(), OP["open"], ONE),
    (place(), OP["uninstall"], ONE),
    (place(), OP["list"], b"\0"),
    (place(1), OP["stage"], START),
    (place(1), OP["put"], bytes(4) + GOOD),
    (place(2), OP["open"], ONE),
    (place(3), OP["uninstall"], ONE),
)
FILES = (GOOD, made(version=(2, 0, 0)), made(id="selftest.two"), made(requests=()))


class Bundlemgrd:
    """The running service, and what has become of bundles by the answers that it gave."""

    def __init__(self) -> None:
        self.system = load_system("test-bundles", ROOT, CONTRACT)
        self.count = 0
        self.boot()

    def boot(self) -> None:
        self.machine = Machine(self.system, CONTRACT, ROOT, device=Device(healthy()), modules=Keeping.modules({}))
        self.kept = Keeping(self.machine)
        app = Asker.app(self.machine, CALLERS[3].removeprefix("app:"), mask=(1 << 62) - 1)
        self.askers = [self.kept.asker, *(Asker(self.machine, name) for name in CALLERS[1:3]), app]
        self.handles = [[asker.given("bundlemgrd", facet) for facet in (0, 1)] for asker in self.askers]
        self.server = self.machine.process("bundlemgrd")
        self.machine.lines.clear()
        self.installed: dict[bytes, Version] = {}
        self.owner, self.name, self.size, self.file = -1, b"", 0, b""

    def restart(self) -> None:
        self.machine.close()
        self.boot()

    def check(self, data: bytes) -> None:
        if not data:
            return
        caller, before, facet = data[0] & 3, data[0] >> 2 & 3, data[0] >> 4 & 1
        self.machine.now += PAUSES[data[0] >> 6]
        if before == FILE:
            self.bring(data[1:])
        else:
            if before != NOTHING:
                self.ask(0, "stage", START)
            if before == STAGED:
                self.ask(0, "put", bytes(4) + GOOD)
            self.send(caller, data[1 : 1 + DATA_BYTES], facet)
        self.count += 1
        if self.count % ALIVE_EACH == 0:
            self.check_alive()

    def bring(self, data: bytes) -> None:
        """By the one who may: as what it says it is, if it says something."""
        ident = data[FORM.places["id"]].rstrip(b"\0")
        self.ask(0, "stage", struct.pack("<I", len(data)) + ident)
        for payload in puts(data):
            self.ask(0, "put", payload)
        self.ask(0, "install", ident)

    def ask(self, caller: int, name: str, payload: bytes) -> None:
        self.send(caller, frame(OP[name], payload, NONCE), 0)

    def send(self, caller: int, message: bytes, facet: int) -> None:
        asker = self.askers[caller]
        answer = asker.send(self.handles[caller][facet], message, accept=1)
        status = check_answer(message, answer)
        self.check_service()
        if status == STATUS["ok"] and message[1] == OP["open"]:
            asker.kernel.drop(asker.kernel.received[0])
        wanted = find_status(message, facet)
        if wanted is not None:
            assert status == wanted, f"status {status} instead of {wanted}"
            return
        name, payload = NAMES[message[1]], message[HEADER:]
        assert status != STATUS["unavailable"], "everybody answers here"
        if status == STATUS["ok"]:
            assert CALLERS[caller] in SERVED, "served without a right"
            assert fits(str(REPLIES[name]), answer[HEADER:]), answer.hex()
        elif CALLERS[caller] not in SERVED:
            assert status == STATUS["denied"], "a refusal that tells something"
        self.follow(caller, name, payload, status)

    def follow(self, caller: int, name: str, payload: bytes, status: int) -> None:
        """What the answer means, and that it can be so."""
        done = status == STATUS["ok"]
        if name == "stage" and done:
            self.owner, self.file = caller, b""
            self.size, self.name = struct.unpack_from("<I", payload)[0], payload[4:]
        elif name == "put" and done:
            assert self.owner == caller, "into the session of another"
            assert struct.unpack_from("<I", payload)[0] == len(self.file), "out of order"
            self.file += payload[4:]
            assert len(self.file) <= self.size
        elif name in ("verify", "install") and done:
            self.check_taken(caller, name, payload)
        elif name in ("open", "uninstall") and CALLERS[caller] == "probe":
            assert status in (STATUS["ok"], STATUS["not_found"], STATUS["denied"])
            assert not done or payload in self.installed, "it is not there"
            assert status != STATUS["not_found"] or payload not in self.installed, "it is there"
            if done and name == "uninstall":
                del self.installed[payload]

    def check_taken(self, caller: int, name: str, payload: bytes) -> None:
        assert self.owner == caller, "what another has staged"
        assert len(self.file) == self.size, "not all of it was put"
        found = verify_trusted(FORM, self.file, PUBLISHERS).manifest  # raises if the host would not take it
        assert found.id.encode() == payload == self.name, "under another name"
        assert payload not in self.installed or self.installed[payload] < found.version, "not newer"
        if name == "install":
            self.installed[payload] = found.version
            self.owner = -1

    def check_service(self) -> None:
        contract = self.machine.contract
        assert self.server.state == contract.STATE_RECEIVING, "the service does not wait for the next request"
        assert self.server.incarnation == 1, "the service was started anew"
        for line in self.machine.lines:
            assert contract.LINE_HANDLER_FAULT not in line, line
            assert not line.startswith("kernel: fault"), line
        self.machine.lines.clear()

    def check_alive(self) -> None:
        """A right bundle is taken, handed out and let go, whatever came before."""
        self.machine.now += CONTRACT.number("limit.bundle_stage_ticks") + 1
        if ONE in self.installed:
            self.ask(0, "uninstall", ONE)
        for number in range(len(self.installed)):
            self.ask(0, "list", bytes([number]))
        self.bring(GOOD)
        assert self.installed.get(ONE) == Version(1, 0, 0), "a right bundle is refused"
        self.ask(0, "uninstall", ONE)
        assert ONE not in self.installed


def find_status(message: bytes, facet: int) -> int | None:
    """What does not depend on bundles, the contract's order of checks worked out once more; None: the handler's turn."""
    if not is_request(message):
        return int(STATUS["malformed"])
    name = NAMES.get(message[1])
    form = "" if message[1] == READY else str(FORMS[name]) if name else "*"
    if not fits(form, message[HEADER:]):
        return int(STATUS["malformed"])
    if message[1] == READY or facet:
        return int(STATUS["denied"])
    return None if name else int(STATUS["unsupported"])


def target() -> Target:
    running = Bundlemgrd()
    seeds = [bytes([place_]) + frame(op, payload, NONCE) for place_, op, payload in REQUESTS]
    seeds += [bytes([place(before=FILE)]) + data for data in FILES]
    framed = mutator(REQUESTS)

    def mutate(data: bytes, chance: Random, generic: Generic) -> bytes:
        """A file stays one, most often."""
        if not data or data[0] >> 2 & 3 != FILE or chance.random() < 0.1:
            return framed(data, chance, generic)
        if chance.random() < 0.2:
            return bytes([data[0]]) + chance.choice(FILES)
        return bytes([data[0]]) + generic(data[1:])

    return Target(running.check, seeds, mutate, running.restart, lambda: running.machine.close())
