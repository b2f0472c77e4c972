"""Apps on the booted system: what becomes of them when execd falls, what one that never rests costs others, and what is left of one that
is over.

Scenario: system test-exec, whose apps came with the image; the host tells a process with the selftest's rights what to send.
"""

from __future__ import annotations

import struct
import time

import pytest

from nexus.contract.load import load_contract
from nexus.layout import RAM_BASE, contract_dir, find_root
from nexus.machine.breaker import Breaker
from nexus.machine.debugger import attached
from nexus.machine.kernelview import KernelView
from nexus.machine.live import Machine
from nexus.machine.probe import Answer, Probe
from nexus.plugin import Boot
from nexus.recipe.check import load_system
from nexus.recipe.model import service_id

ROOT = find_root()
CONTRACT = load_contract(contract_dir(ROOT))
SYSTEM = load_system("test-exec", ROOT, CONTRACT)
EXECD, STATUS, FAULT = CONTRACT.table("op.execd"), CONTRACT.table("status"), CONTRACT.table("fault")
FIRST_APP = len(SYSTEM.processes)
READY = {row.label: f"{row.label}: {row.text}\r?\n" for row in CONTRACT.markers if row.name == f"{row.label}_ready"}
SLOTS = CONTRACT.number("limit.app_slots")
SHARE = CONTRACT.number("limit.app_share")
STAY, SPIN, FILL, CRASH = (f"selftest.{name}".encode() for name in ("stay", "spin", "fill", "crash"))
EACH = 50  # requests of a kind, made beside an app that never rests


class World:
    """The booted system and the one in the host's hand."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        machine.expect("init: phase bring-up ")
        self.probe, self.peer = Probe(machine, "probe"), Probe(machine, "probe-peer")

    def ask(self, server: str, op: int, payload: bytes = b"", probe: Probe | None = None) -> Answer:
        probe = probe or self.probe
        return probe.ask(self.handle(probe, server), op, payload)

    def handle(self, probe: Probe, name: str) -> int:
        """Of a boot capability."""
        names = [cap.name for cap in SYSTEM.process(probe.label).capabilities]
        return CONTRACT.number("handle.boot") + names.index(name)

    def hear_of_restart(self, server: str) -> None:
        """The next call to it is not made, but told that it has been restarted; once."""
        assert self.probe.send(self.handle(self.probe, server), b"").kernel == CONTRACT.number("e.restarted")

    def exec(self, bundle: bytes, restarts: int = 0) -> Answer:
        return self.ask("EXECD", EXECD["exec"], bytes([restarts]) + bundle)

    def start(self, bundle: bytes, restarts: int = 0) -> int:
        """Number of a child that runs."""
        answer = self.exec(bundle, restarts)
        assert answer.status == STATUS["ok"], answer
        number, ident = struct.unpack("<IQ", answer.payload)
        assert ident == service_id(f"app:{bundle.decode()}")
        return int(number)

    def wait(self, number: int) -> tuple[int, ...]:
        answer = self.ask("EXECD", EXECD["wait"], struct.pack("<I", number))
        assert answer.status == STATUS["ok"], answer
        return struct.unpack("<BQQQB", answer.payload)

    def kill(self, number: int) -> int:
        return self.ask("EXECD", EXECD["kill"], struct.pack("<I", number)).status

    def ticks(self, bundle: bytes) -> int:
        """Of CPU, that the child running this has used."""
        answer = self.ask("EXECD", EXECD["list"], bytes(4) + bundle)
        assert answer.status == STATUS["ok"], answer
        return int(struct.unpack("<IBBQ", answer.payload)[3])

    def apps(self) -> set[int]:
        """Service ids of the apps that there are, as init is told by the kernel."""
        view, found = KernelView(self.machine.target.elf, self.machine.read_phys), set()
        for index in range(FIRST_APP, FIRST_APP + SLOTS):
            place = view.process(index)
            state, ident = (
                int.from_bytes(self.machine.read_phys(place + view.member("process", name)[0], size), "little")
                for name, size in (("state", 1), ("service_id", 8))
            )
            if state != CONTRACT.number("state.empty"):
                found.add(ident)
        return found

    def break_process(self, label: str) -> None:
        """A fault in it, here and now."""
        with attached(self.machine.session) as debugger:
            view = KernelView(self.machine.target.elf, debugger.read)
            assert Breaker(debugger, view, CONTRACT, lambda: None).break_process(label)

    def ram(self) -> bytes:
        return self.machine.read_phys(RAM_BASE, self.machine.target.ram_bytes)


@pytest.fixture
def world(boot: Boot) -> World:
    return World(boot("test-exec"))


# ---- execd falls -----------------------------------------------------------------------------------------------------


def test_apps_end_with_execd_and_their_names_are_free_again(world: World) -> None:
    """init brings it back, and everything works as before; nobody hears of children of the one before."""
    old = world.start(STAY)
    world.start(SPIN)
    assert world.apps() == {service_id("app:selftest.stay"), service_id("app:selftest.spin")}
    assert world.exec(STAY).status == STATUS["exists"]
    world.break_process("execd")
    world.machine.expect("kernel: fault label=execd cause=memory ")
    world.machine.expect(READY["execd"])
    world.hear_of_restart("EXECD")
    new = world.start(STAY)
    assert new != old
    for name in ("stay", "spin"):
        assert world.machine.log.count(f"kernel: fault label=app:selftest.{name} cause=killed ") == 1
    assert world.apps() == {service_id("app:selftest.stay")}
    assert world.kill(old) == STATUS["denied"]
    assert world.kill(new) == STATUS["ok"]
    assert world.wait(new)[0] == FAULT["killed"]


def test_bundles_outlive_bundlemgrd_and_running_apps_do_not_care(world: World) -> None:
    number = world.start(STAY)
    world.break_process("bundlemgrd")
    world.machine.expect(READY["bundlemgrd"])
    assert world.apps() == {service_id("app:selftest.stay")}
    world.start(SPIN)
    assert world.kill(number) == STATUS["ok"]
    world.start(STAY)


def test_crash_of_a_child_is_execds_to_tell_and_nobody_elses_to_feel(world: World) -> None:
    number = world.start(CRASH, 3)
    cause, value, pc, ticks, starts = world.wait(number)
    assert (cause, value, starts) == (FAULT["memory"], CONTRACT.number("va.policy"), 4)
    assert ticks and CONTRACT.number("va.image") <= pc < CONTRACT.number("va.ipc")
    assert world.apps() == set()
    assert world.machine.log.count("kernel: fault label=app:selftest.crash cause=memory") == 4
    assert "execd cause=" not in world.machine.log


# ---- an app that never rests -----------------------------------------------------------------------------------------


def test_endless_loop_keeps_nobody_from_an_answer(world: World) -> None:
    """Whoever serves ranks above it: each request is answered, whichever service it is for."""
    world.start(SPIN)
    check = struct.pack("<H", CONTRACT.number("action.run_phase")) + b"-"
    requests = (
        ("POLICYD", CONTRACT.number("op.policyd.check"), check),
        ("RNGD", CONTRACT.number("op.rngd.get_entropy"), struct.pack("<H", 16)),
        ("KEYSTORED", CONTRACT.number("op.keystored.put"), b"\x03keyvalue"),
        ("LOGD_APPEND", CONTRACT.number("op.logd.append"), b"\x01still here"),
        ("BUNDLEMGRD", CONTRACT.number("op.bundlemgrd.list"), b"\0"),
    )
    for _ in range(EACH):
        for server, op, payload in requests:
            assert world.ask(server, op, payload).status == STATUS["ok"], server
    assert world.ticks(SPIN) > 0


def test_endless_loop_gets_its_share_of_the_processor_and_no_more(world: World) -> None:
    """Measured where time is the machine's own; the rest of it nobody wants."""
    world.start(SPIN)
    begun, first = guest_time(world), world.ticks(SPIN)
    time.sleep(2)
    second, ended = world.ticks(SPIN), guest_time(world)
    used, passed = second - first, ended - begun
    assert passed > CONTRACT.number("limit.tick_hz")
    assert 0.5 * SHARE <= 1000 * used / passed <= 1.1 * SHARE


def guest_time(world: World) -> int:
    """Ticks since reset, by the newest record of the log."""
    world.ask("LOGD_APPEND", CONTRACT.number("op.logd.append"), b"\x03now")
    since, times = 0, [0]
    while True:
        answer = world.ask("LOGD_QUERY", CONTRACT.number("op.logd.query"), struct.pack("<QB", since, 3))
        count, following = struct.unpack_from("<BQ", answer.payload)
        at = 9
        for _ in range(count):
            times.append(struct.unpack_from("<Q", answer.payload, at + 8)[0])
            at += 21 + answer.payload[at + 20]
        if following == since:
            return times[-1]
        since = following


# ---- what is left of a dead one --------------------------------------------------------------------------------------


def filled(page: int) -> bytes:
    """What guest/apps/selftest/fill writes into 256 bytes of its heap."""
    value, found = 0x5A, bytearray()
    for at in range(256 * (page + 1)):
        value = (value * 167 + 13) & 0xFF
        found.append(value ^ at >> 8 & 0xFF)
    return bytes(found[-256:])


def test_memory_of_a_dead_child_is_wiped(world: World) -> None:
    """Looked for in the whole memory of the machine; while it lives it is there."""
    pieces = [filled(page) for page in (0, 100, 200, 255)]
    assert not any(piece in world.ram() for piece in pieces)
    number = world.start(FILL)
    world.machine.expect("app:selftest.fill: filled\r?\n")
    ram = world.ram()
    assert all(piece in ram for piece in pieces)
    assert world.kill(number) == STATUS["ok"]
    ram = world.ram()
    assert [piece[:8].hex() for piece in pieces if piece[:64] in ram or piece[-64:] in ram] == []
    assert world.apps() == set()


def test_memory_of_apps_that_died_with_execd_is_wiped(world: World) -> None:
    """Nobody is left to give it back but the kernel, which does it when it has nothing else to do."""
    world.start(FILL)
    world.machine.expect("app:selftest.fill: filled\r?\n")
    world.break_process("execd")
    world.machine.expect(READY["execd"])
    until = time.monotonic() + 10
    while world.apps() and time.monotonic() < until:
        time.sleep(0.05)
    ram = world.ram()
    assert not any(filled(page)[:64] in ram for page in (0, 100, 200, 255))
