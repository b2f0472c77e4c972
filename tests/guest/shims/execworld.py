"""execd alone, and who it has to do with, played by the test: policyd, bundlemgrd, logd, callers, and a kernel that makes and ends apps.

Used by the tests of execd and its fuzz target. Each server can be told to answer wrongly; the kernel here believes whatever the region
of a bundle says it is, as the real one does.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace

from nexus.contract.load import load_contract
from nexus.layout import contract_dir, find_root
from nexus.recipe.model import service_id
from shims.alone import Alone, Caller, Kernel, Question, Server
from shims.asker import Answer, frame
from shims.kernel import Error
from shims.objects import Halt

ROOT = find_root()
CONTRACT = load_contract(contract_dir(ROOT))
OP, STATUS, FAULT = CONTRACT.table("op.execd"), CONTRACT.table("status"), CONTRACT.table("fault")
STATE, SUP, E = CONTRACT.table("state"), CONTRACT.table("sup"), CONTRACT.table("e")
LEVEL = CONTRACT.table("level")
ENDPOINT, POLICYD, BUNDLEMGRD, LOGD_APPEND, LOGD_AUDIT, SPAWN, APPS_INIT = range(0x101, 0x108)
REGIONS, PROCESSES = 0x1000, 0x2000  # handles begin here
NOBODY_ASKED = -1


def service(name: str, index: int) -> Caller:
    return Caller(index, service_id(name))


def app(name: str, publisher: int = 7, index: int = 32) -> Caller:
    return Caller(index, service_id(f"app:{name}"), 1, publisher)


CLIENT, DROPD, PEER = service("selftest-client", 8), service("dropd", 5), service("selftest-peer", 9)
ALLOWED = frozenset({CLIENT, DROPD})
HELLO = b"selftest.hello"


@dataclass
class App:
    """A process that was spawned."""

    service_id: int
    state: int
    fault: int = 0
    value: int = 0
    pc: int = 0
    ticks: int = 0
    resumed: bool = False


class AppKernel(Kernel):
    """With spawn and supervise; `refuses` is what the next spawn says instead of making an app."""

    def __init__(self, servers: Mapping[int, Server], incarnation: int) -> None:
        super().__init__(servers, bytearray())
        self.started = incarnation
        self.regions: dict[int, bytes] = {}  # the bundle that lies in it
        self.apps: dict[int, App] = {}
        self.made: list[tuple[bytes, int, int]] = []  # bundle, stack pages, share
        self.refuses = 0
        self.signalled = 0
        self.parked: dict[int, tuple[Caller, int]] = {}  # by reply handle: who waits, and its nonce
        self.later: list[tuple[Caller, Answer]] = []
        self.silent = False  # the last request has not been answered
        self._next = 0

    def handle_of(self, first: int) -> int:
        self._next += 1
        return first + self._next

    # messages

    def recv(self, endpoint: int, deadline: int = 0, accept: int = 0) -> int:
        self.silent = True
        self.idle.release()
        self.go.acquire()
        if self.signalled:
            return -1
        if self.request is None:
            raise Halt
        self.buffer[: len(self.request)] = self.request
        return len(self.request)

    def reply_recv(self, reply: int, length: int, endpoint: int, *rest: int) -> int:
        got: int
        assert reply == self.reply_handle
        self.answers.append(bytes(self.buffer[:length]))
        got = self.recv(endpoint)
        return got

    def reply(self, reply: int, length: int, *_rest: int) -> None:
        if reply not in self.parked:
            raise Error(E["caller_gone"])
        caller, nonce = self.parked.pop(reply)
        version, op, status, zero, echoed = struct.unpack_from("<BBBBI", self.buffer)
        assert (version, op, zero, echoed) == (1, OP["wait"] | 0x80, 0, nonce)
        self.later.append((caller, Answer(status, bytes(self.buffer[8:length]))))

    def call(self, handle: int, length: int, deadline: int, behalf: int = 0, sent: int = 0, accept: int = 0) -> int:
        self.received = ()
        return super().call(handle, length, deadline, behalf, sent, accept)

    def caps(self, index: int) -> int:
        return self.received[index]

    def drop(self, handle: int) -> None:
        del self.regions[handle]

    def bits(self) -> int:
        bits, self.signalled = self.signalled, 0
        return bits

    def incarnation(self) -> int:
        return self.started

    # processes

    def spawn(self, spawn: int, region: int, stack_pages: int, share: int, endpoint: int) -> int:
        assert (spawn, endpoint) == (SPAWN, APPS_INIT)
        bundle = self.regions[region]
        ident = service_id(f"app:{bundle.decode('latin-1')}")
        if self.refuses:
            raise Error(self.refuses)
        if any(one.service_id == ident for one in self.apps.values()):
            raise Error(E["exists"])
        handle = self.handle_of(PROCESSES)
        self.apps[handle] = App(ident, STATE["suspended"])
        self.made.append((bundle, stack_pages, share))
        return handle

    def supervise(self, handle: int, operation: int) -> tuple[int, ...] | None:
        one = self.apps[handle]
        stopped = one.state == STATE["stopped"]
        if operation == SUP["status"]:
            return one.state, one.fault, one.value, one.pc, one.ticks, one.service_id, 1, 0, 40, 3
        if operation == SUP["resume"]:
            assert one.state == STATE["suspended"]
            one.state, one.resumed = STATE["ready"], True
        elif operation == SUP["kill"]:
            if stopped:
                raise Error(E["state"])
            one.state, one.fault, one.value = STATE["stopped"], FAULT["killed"], 0
        elif operation == SUP["free"]:
            assert stopped, "memory of an app that lives"
            del self.apps[handle]
        else:
            raise AssertionError(operation)
        return None


class World:
    """A running execd and everybody around it."""

    def __init__(self) -> None:
        self.allowed = set(ALLOWED)
        self.asked: list[tuple[Caller | None, bytes]] = []  # questions to policyd: about whom, for which bundle
        self.installed = {HELLO, b"selftest.two", b"dev.three", b"dev.four", b"dev.five"}
        self.gives: dict[bytes, bytes] = {}  # another bundle than was asked for
        self.opened: list[bytes] = []
        self.broken: Callable[[], Answer | bytes] | None = None  # bundlemgrd's answer instead of its own
        self.log: list[tuple[int, str]] = []
        self.log_up = True
        self.audited: list[Question] = []
        self.incarnation = 0
        self.nonce = 0
        self.start()

    def start(self) -> None:
        self.incarnation += 1
        servers: Mapping[int, Server] = {
            POLICYD: self._policyd,
            BUNDLEMGRD: self._bundlemgrd,
            LOGD_APPEND: self._logd,
            LOGD_AUDIT: self._audit,
        }
        self.kernel = AppKernel(servers, self.incarnation)
        names = ("ENDPOINT", "POLICYD", "BUNDLEMGRD", "LOGD_APPEND", "LOGD_AUDIT", "SPAWN", "APPS_INIT")
        caps = SimpleNamespace(**{name: 0x101 + place for place, name in enumerate(names)})
        folders = [ROOT / "guest" / "services" / "execd", ROOT / "guest" / "lib"]
        contract = SimpleNamespace(**CONTRACT.constants)
        self.alone = Alone(contract, folders, caps, servers, kernel=self.kernel)

    def restart(self) -> None:
        self.alone.close()
        self.start()

    # servers

    def _policyd(self, question: Question) -> Answer:
        assert question.op == CONTRACT.number("op.policyd.exec")
        self.asked.append((question.caller, question.payload))
        return Answer(STATUS["ok" if question.caller in self.allowed else "denied"], b"")

    def _bundlemgrd(self, question: Question) -> Answer | bytes:
        assert question.op == CONTRACT.number("op.bundlemgrd.open")
        assert question.caller is None, "what execd may open is its own right"
        self.opened.append(question.payload)
        if self.broken is not None:
            return self.broken()
        if question.payload not in self.installed:
            return Answer(STATUS["not_found"], b"")
        region = self.kernel.handle_of(REGIONS)
        self.kernel.regions[region] = self.gives.get(question.payload, question.payload)
        self.kernel.received = (region,)
        return Answer(STATUS["ok"], b"")

    def _logd(self, question: Question) -> Answer:
        assert question.op == CONTRACT.number("op.logd.append")
        if not self.log_up:
            raise Error(E["peer_died"])
        self.log.append((question.payload[0], question.payload[1:].decode("ascii")))
        return Answer(STATUS["ok"], bytes(8))

    def _audit(self, question: Question) -> Answer:
        self.audited.append(question)
        return Answer(STATUS["ok"], b"")

    # callers

    def send(self, caller: Caller, message: bytes, facet: int = 0) -> bytes | None:
        """The answer; None when it is to come later."""
        kernel = self.kernel
        kernel.caller, kernel.facet, kernel.request, kernel.signalled = caller, facet, message, 0
        kernel.reply_handle += 1
        nonce = int.from_bytes(message[4:8], "little")
        kernel.parked[kernel.reply_handle] = caller, nonce
        kernel.go.release()
        self.alone._wait()
        if not kernel.answers:
            return None
        kernel.parked.pop(kernel.reply_handle, None)
        return kernel.answers.pop()

    def ask(self, name: str, payload: bytes, caller: Caller = CLIENT, facet: int = 0) -> Answer | None:
        self.nonce += 1
        answer = self.send(caller, frame(OP[name], payload, self.nonce), facet)
        if answer is None:
            return None
        version, op, status, zero, echoed = struct.unpack_from("<BBBBI", answer)
        assert (version, op, zero, echoed) == (1, OP[name] | 0x80, 0, self.nonce)
        return Answer(status, answer[8:])

    def exec(self, bundle: bytes = HELLO, restarts: int = 0, caller: Caller = CLIENT) -> Answer:
        answer = self.ask("exec", bytes([restarts]) + bundle, caller)
        assert answer is not None
        return answer

    def started(self, bundle: bytes = HELLO, restarts: int = 0, caller: Caller = CLIENT) -> int:
        """Number of a child that has been started."""
        answer = self.exec(bundle, restarts, caller)
        assert answer.status == STATUS["ok"], answer
        return int(struct.unpack("<IQ", answer.payload)[0])

    def wait(self, number: int, caller: Caller = CLIENT) -> Answer | None:
        return self.ask("wait", struct.pack("<I", number), caller)

    def kill(self, number: int, caller: Caller = CLIENT) -> int:
        answer = self.ask("kill", struct.pack("<I", number), caller)
        assert answer is not None
        return answer.status

    def list(self, bundle: bytes = HELLO, first: int = 0, caller: Caller = CLIENT) -> Answer:
        answer = self.ask("list", struct.pack("<I", first) + bundle, caller)
        assert answer is not None
        return answer

    def give_up(self, caller: Caller) -> None:
        """Who waits for a parked answer waits no more."""
        self.kernel.parked = {at: row for at, row in self.kernel.parked.items() if row[0] != caller}

    # the kernel

    def app(self, bundle: bytes = HELLO) -> App:
        ident = service_id(f"app:{bundle.decode()}")
        return next(one for one in self.kernel.apps.values() if one.service_id == ident)

    def stop(self, bundle: bytes, fault: str, value: int = 0, pc: int = 0, ticks: int = 0) -> None:
        """The app ends; nobody has told execd yet."""
        one = self.app(bundle)
        one.state, one.fault, one.value, one.pc, one.ticks = STATE["stopped"], FAULT[fault], value, pc, ticks

    def signal(self, bits: int = 1) -> None:
        self.kernel.signalled = bits
        self.kernel.go.release()
        self.alone._wait()

    def end(self, bundle: bytes = HELLO, fault: str = "exit", value: int = 0, pc: int = 0, ticks: int = 0) -> None:
        self.stop(bundle, fault, value, pc, ticks)
        self.signal()


def result(fault: str, value: int = 0, pc: int = 0, ticks: int = 0, starts: int = 1) -> Answer:
    """What WAIT answers."""
    return Answer(STATUS["ok"], struct.pack("<BQQQB", FAULT[fault], value, pc, ticks, starts))


def refused(status: str) -> Answer:
    return Answer(STATUS[status], b"")
