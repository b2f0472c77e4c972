"""vault on the real machine: what it makes of entropy that the host knows, and that nothing of a key is ever anywhere else.

Scenario: system test-vault, whose caller plays keystored and does, one by one, the steps that the host writes into its memory.
"""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from nexus.contract.load import load_contract
from nexus.image.program import WRITE, read_program
from nexus.layout import contract_dir, find_root
from nexus.machine.debugger import Debugger, attached
from nexus.machine.forensics import Hit, key_secrets, nonce_secrets, outside, search
from nexus.machine.kernelview import PAGE, PTE_W, KernelView, symbols_of
from nexus.machine.live import Machine
from nexus.plugin import Boot
from nexus.recipe.model import service_id
from nexus.verdict.signature import Signed, is_signature, key_id, signed_bytes

CONTRACT = load_contract(contract_dir(find_root()))
MODES = CONTRACT.table("key_mode")
KINDS = CONTRACT.table("kind")
PURPOSES = {number: str(CONTRACT.table("purpose_name")[name]) for name, number in CONTRACT.table("purpose").items()}
SUBJECTS = [
    (service_id("first"), KINDS["service"]),
    (service_id("second"), KINDS["service"]),
    (service_id("app:one"), KINDS["app"]),
]
LENGTHS = [0, 1, 32, 255, CONTRACT.number("limit.sign_message_bytes")]
STARTUP = CONTRACT.number("limit.entropy_startup_bytes")
SEED = 32
RAM = 0x8000_0000
EXACT = "shift=0,sleep=off"  # time is counted in instructions
MTIMECMP = 0x0200_4000
KEPT_REGISTERS = ("fp", *(f"s{number}" for number in range(1, 12)))
LOST_REGISTERS = (*(f"t{number}" for number in range(7)), *(f"a{number}" for number in range(8)))


def message(count: int) -> bytes:
    """As firmware/test/vault_caller/signing.c makes it."""
    return bytes((7 * place + count) & 0xFF for place in range(count))


@dataclass(frozen=True)
class Key:
    """What the caller was told of a key."""

    generation: int
    mode: int
    id: bytes
    public: bytes


class Hand:
    """A booted machine whose caller does what it is told."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        machine.expect("kernel: boot run=")
        self.view = KernelView(machine.target.elf, machine.read_phys)
        self.vault = self.view.index_of("vault")
        self.symbols = symbols_of(machine.target.programs["vault"])
        caller = self.view.index_of("caller")
        order = self.view.translate(caller, symbols_of(machine.target.programs["caller"])["host_order"])
        assert order is not None
        self._order = order
        self._turn = 0

    def order(self, *steps: str) -> None:
        for step in steps:
            with attached(self.machine.session) as debugger:
                self.begin(debugger, step)
            self.finish(step)

    def begin(self, debugger: Debugger, step: str) -> None:
        self._turn += 1
        debugger.write(self._order + 4, step.encode("ascii").ljust(16, b"\0"))
        debugger.write(self._order, self._turn.to_bytes(4, "little"))

    def finish(self, step: str) -> None:
        said = self.machine.expect(rf"caller: (FAIL|{step})\r?\n")
        assert said[1] == step.encode("ascii"), self.machine.evidence()

    @property
    def satp(self) -> int:
        return self.view.number("process", self.view.process(self.vault), "satp")

    def area(self, first: str, last: str) -> list[range]:
        """Where that part of vault's memory lies."""
        found = []
        for va in range(self.symbols[first], self.symbols[last], PAGE):
            place = self.view.translate(self.vault, va)
            assert place is not None
            found.append(range(place, place + min(PAGE, self.symbols[last] - va)))
        return found

    @property
    def region(self) -> list[range]:
        """Where an operation may have secrets."""
        return self.area("vault_key_start", "vault_key_end")

    @property
    def secret(self) -> list[range]:
        """Where the seed is, between operations, and nothing else."""
        place = self.view.translate(self.vault, self.symbols["vault_key_secret"])
        assert place is not None
        return [range(place, place + SEED)]

    @property
    def saved_registers(self) -> range:
        """Where the kernel keeps them while vault does not run."""
        offset, size = self.view.member("process", "frame")
        return range(self.view.process(self.vault) + offset, self.view.process(self.vault) + offset + size)

    def search(self, secrets: dict[str, bytes]) -> list[Hit]:
        """All of the machine's memory."""
        return search(self.machine.read_phys(RAM, self.machine.target.ram_bytes), RAM, secrets)


def texts(machine: Machine, opening: str) -> list[str]:
    """What the caller said after that word, lines put together again."""
    lines = re.sub(r"\ncaller\| ", "", machine.log).splitlines()
    return [line.removeprefix(f"caller: {opening} ") for line in lines if line.startswith(f"caller: {opening} ")]


def keys(machine: Machine) -> list[Key]:
    return [Key(*struct.unpack("<IB8s32s", bytes.fromhex(text))) for text in texts(machine, "key")]


def signatures(machine: Machine) -> list[tuple[Signed, bytes]]:
    found = []
    for text in texts(machine, "signature"):
        purpose, subject, kind, mode, count, signature = struct.unpack("<HQBBI64s", bytes.fromhex(text))
        found.append((Signed(PURPOSES[purpose], subject, kind, mode, message(count)), signature))
    return found


def expected_askings(mode: int) -> list[Signed]:
    """What one step `show` has signed, in its order."""
    return [
        Signed(purpose, *subject, mode, message(count))
        for purpose in PURPOSES.values()
        for subject in SUBJECTS
        for count in LENGTHS
    ]


def entropy_file(folder: Path, number: int) -> Path:
    """A mebibyte, since QEMU never comes back from the end of one."""
    path = folder / f"entropy-{number}"
    path.write_bytes(random.Random(number).randbytes(1 << 20))
    return path


def seeds_of(path: Path) -> Iterator[bytes]:
    """What vault draws, in order: rngd tests the first bytes and serves none of them."""
    data = path.read_bytes()
    for start in range(STARTUP, len(data), SEED):
        yield data[start : start + SEED]


@pytest.fixture
def hand(boot: Boot, tmp_path: Path) -> Hand:
    """With entropy that the host knows."""
    return Hand(boot("test-vault", f"file={entropy_file(tmp_path, 1)}", {"phase": "0"}))


@pytest.fixture
def exact_hand(boot: Boot, tmp_path: Path) -> Hand:
    """The same, and every instruction takes the same time."""
    return Hand(boot("test-vault", f"file={entropy_file(tmp_path, 1)}", {"phase": "0"}, icount=EXACT))


def seeds(tmp_path: Path) -> Iterator[bytes]:
    return seeds_of(tmp_path / "entropy-1")


# ---- what it answers -------------------------------------------------------------------------------------------------


def test_the_whole_script_and_every_signature_by_another_library(boot: Boot) -> None:
    machine = boot("test-vault")
    end = machine.wait(120)
    assert end is not None, machine.evidence()
    assert end.code == CONTRACT.number("exit.ok"), machine.evidence()
    made, signed = keys(machine), signatures(machine)
    assert [one.generation for one in made] == [1, 2, 4, 1 << CONTRACT.number("key.generation_shift") | 1]
    assert [one for one, _ in signed] == 2 * expected_askings(MODES["device"])
    half = len(signed) // 2
    assert all(is_signature(CONTRACT, made[0].public, signature, one) for one, signature in signed[:half])
    assert all(is_signature(CONTRACT, made[1].public, signature, one) for one, signature in signed[half:])
    assert not is_signature(CONTRACT, made[1].public, signed[0][1], signed[0][0])
    assert all(one.id == key_id(CONTRACT, one.public) for one in made)
    assert len({one.public for one in made}) == len(made)
    assert "entropy known" not in machine.log
    requests = int.from_bytes(bytes.fromhex(texts(machine, "swept")[0]), "little")
    assert requests > 256 * (CONTRACT.number("ipc.data_bytes") - CONTRACT.number("wire.request_header"))


def test_a_signature_serves_for_nothing_but_what_was_asked(hand: Hand) -> None:
    hand.order("setup", "seed", "show")
    public = keys(hand.machine)[0].public
    one, signature = signatures(hand.machine)[-1]
    assert is_signature(CONTRACT, public, signature, one)
    others = [
        replace(one, purpose=next(iter(PURPOSES.values()))),
        replace(one, subject=one.subject ^ 1),
        replace(one, kind=KINDS["service"]),
        replace(one, mode=MODES["device"]),
        replace(one, message=one.message[:-1]),
        replace(one, message=one.message + b"\0"),
    ]
    assert one not in others
    assert not [other for other in others if is_signature(CONTRACT, public, signature, other)]


@pytest.mark.parametrize("number", [1, 2])
def test_known_entropy_gives_the_key_and_every_signature(boot: Boot, tmp_path: Path, number: int) -> None:
    path = entropy_file(tmp_path, number)
    hand = Hand(boot("test-vault", f"file={path}", {"phase": "0"}))
    hand.order("setup", "seed", "show", "destroy", "seed")
    drawn = [Ed25519PrivateKey.from_private_bytes(seed) for seed, _ in zip(seeds_of(path), range(2), strict=False)]
    assert [one.public for one in keys(hand.machine)] == [key.public_key().public_bytes_raw() for key in drawn]
    assert {one.mode for one in keys(hand.machine)} == {MODES["test_entropy"]}
    assert "vault: " + CONTRACT.table("line_vault")["test_entropy"] in hand.machine.log
    expected = [(one, drawn[0].sign(signed_bytes(CONTRACT, one))) for one in expected_askings(MODES["test_entropy"])]
    assert signatures(hand.machine) == expected


def test_no_wrong_answer_of_rngd_makes_a_key(boot: Boot) -> None:
    hand = Hand(boot("test-vault-answers", fw_cfg={"phase": "0"}))
    hand.order("setup", "answers")
    assert len(keys(hand.machine)) == 1


def test_a_device_that_runs_dry_makes_no_key(boot: Boot, tmp_path: Path) -> None:
    machine = boot("test-vault", f"fifo={tmp_path / 'entropy'}", {"phase": "0"})
    data = random.Random(3).randbytes(STARTUP + 3 * SEED)
    machine.session.feed_rng(data[: STARTUP + SEED - 1])
    hand = Hand(machine)
    hand.order("setup", "starve")
    machine.session.feed_rng(data[STARTUP + SEED - 1 :])
    hand.order("seed")
    seed = data[STARTUP + SEED : STARTUP + 2 * SEED]  # the bytes of the request that was given up belong to nobody
    assert keys(machine)[0].public == Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def test_a_caller_that_gives_up_costs_nothing(exact_hand: Hand) -> None:
    exact_hand.order("setup", "seed", "late")


def test_no_generation_comes_twice(hand: Hand) -> None:
    hand.order("setup", "seed", "destroy")
    made = hand.view.translate(hand.vault, hand.symbols["made"])
    assert made is not None
    assert hand.machine.read_phys(made, 4) == (1).to_bytes(4, "little")
    with attached(hand.machine.session) as debugger:
        debugger.write(made, ((1 << CONTRACT.number("key.generation_shift")) - 1).to_bytes(4, "little"))
    hand.order("starve")
    hand.order("kill", "restart", "seed")
    assert keys(hand.machine)[-1].generation == 1 << CONTRACT.number("key.generation_shift") | 1


# ---- what is left in memory ------------------------------------------------------------------------------------------


def secrets_of(seed: bytes) -> dict[str, bytes]:
    """Of the key, and of the signature that the steps `once` and `repeat` make with it."""
    one = Signed(PURPOSES[1], *SUBJECTS[0], MODES["test_entropy"], message(LENGTHS[-1]))
    return {**key_secrets(seed), **nonce_secrets(seed, signed_bytes(CONTRACT, one))}


def test_a_key_is_nowhere_but_in_its_region_and_nowhere_once_it_is_gone(hand: Hand, tmp_path: Path) -> None:
    drawn = seeds(tmp_path)
    old, new = secrets_of(next(drawn)), secrets_of(next(drawn))
    hand.order("setup")
    assert hand.search(old) == []
    for step in ("seed", "once", "repeat"):
        hand.order(step)
        found = hand.search(old)
        assert {hit.name for hit in found} == {"seed"}, step  # the search does find what is there
        assert outside(found, hand.secret) == [], step
    hand.order("destroy")
    assert hand.search(old) == []
    hand.order("seed", "once")
    assert hand.search(old) == []
    assert outside(hand.search(new), hand.secret) == []
    hand.order("kill")
    assert outside(hand.search(new), hand.secret) == []
    hand.order("restart")
    assert hand.search(new) == []
    assert not [name for name, secret in {**old, **new}.items() if secret.hex() in hand.machine.log]


def test_a_key_in_use_stays_in_its_region_through_interrupt_and_fault(exact_hand: Hand, tmp_path: Path) -> None:
    """In the midst of each part of signing the timer interrupts; then vault goes on at an address where nothing is."""
    hand, drawn = exact_hand, seeds(tmp_path)
    hand.order("setup")
    for function, steps in (("SHA512_Transform", 100), ("ge25519_scalarmult_base", 300), ("sc25519_muladd", 250)):
        hand.order("seed", "once")
        secrets = secrets_of(next(drawn))
        with attached(hand.machine.session) as debugger:
            hand.begin(debugger, "lost")
            debugger.run_to(hand.symbols[function], satp=hand.satp)
            debugger.step(steps)
            held = interrupt(debugger, hand)
            found = hand.search(secrets)
            assert len({hit.name for hit in found}) > 1, function
            assert outside(found, [*hand.region, hand.saved_registers]) == [], function
            assert outside(values(hand, held), [*hand.region, hand.saved_registers]) == [], function
            debugger.write(hand.saved_registers.start, bytes(8))  # its pc
        hand.finish("lost")
        assert outside([*hand.search(secrets), *values(hand, held)], hand.region) == [], function
        assert re.search(r"^kernel: fault label=vault cause=memory$", hand.machine.log, re.MULTILINE)
        hand.order("restart")
        assert hand.search(secrets) == []


def interrupt(debugger: Debugger, hand: Hand) -> list[int]:
    """Let the kernel's timer come here and now, until the kernel is about to return; what vault had in the registers that every
    function keeps."""
    held = [debugger.register(name) for name in KEPT_REGISTERS]
    debugger.write(MTIMECMP, bytes(8))
    debugger.run_to(hand.view.symbol("trap_return"), satp=hand.satp)
    return held


def values(hand: Hand, registers: Sequence[int]) -> list[Hit]:
    """Where words are that can only come from these registers: too big for a count or an address of a program."""
    words = {value.to_bytes(8, "little") for value in registers if value >> 33}
    memory = hand.machine.read_phys(RAM, hand.machine.target.ram_bytes)
    return [Hit(RAM + at.start(), word.hex()) for word in words for at in re.finditer(re.escape(word), memory)]


# ---- how it works inside ---------------------------------------------------------------------------------------------


def test_a_stack_that_grows_too_deep_runs_into_what_nobody_can_write(hand: Hand) -> None:
    segments = read_program("vault", hand.machine.target.programs["vault"], CONTRACT).segments
    assert hand.symbols["vault_key_start"] == next(one.va for one in segments if one.flags & WRITE)
    assert hand.view.entry(hand.vault, hand.symbols["vault_key_start"]) & PTE_W
    assert not hand.view.entry(hand.vault, hand.symbols["vault_key_start"] - PAGE) & PTE_W


def test_registers_stack_and_entropy_of_an_operation_are_wiped(exact_hand: Hand, tmp_path: Path) -> None:
    hand, secrets = exact_hand, secrets_of(next(seeds(tmp_path)))
    hand.order("setup")
    for step in ("seed", "once"):
        with attached(hand.machine.session) as debugger:
            hand.begin(debugger, step)
            debugger.run_to(hand.symbols["key_guarded"], satp=hand.satp)
            before = [debugger.register(name) for name in (*KEPT_REGISTERS, "sp")]
            debugger.run_to(hand.symbols["vault_key_used"], satp=hand.satp)
            used = stack(hand)
            debugger.run_to(hand.symbols["vault_key_left"], satp=hand.satp)
            assert [debugger.register(name) for name in (*KEPT_REGISTERS, "sp")] == before
            assert [debugger.register(name) for name in LOST_REGISTERS] == [0] * len(LOST_REGISTERS)
            assert stack(hand).strip(b"\0") == b""
            assert outside(hand.search(secrets), hand.secret) == []
        hand.finish(step)
        depth = len(used.lstrip(b"\0"))
        assert 1024 < depth <= len(used) * 3 // 4, f"{step}: {depth} of {len(used)} bytes"


def stack(hand: Hand) -> bytes:
    areas = hand.area("vault_key_start", "vault_key_stack_end")
    return b"".join(hand.machine.read_phys(area.start, len(area)) for area in areas)


def test_signing_takes_the_same_path_whatever_the_key(exact_hand: Hand, tmp_path: Path) -> None:
    hand = exact_hand
    hand.order("setup")
    paths = []
    for _ in range(3):
        hand.order("seed", "once")
        paths.append(path_of_one(hand, tmp_path / "trace"))
        hand.order("destroy")
    assert [len(path) for path in paths] == [len(paths[0])] * len(paths)
    assert paths == [paths[0]] * len(paths)
    assert 200_000 < len(paths[0]) <= 400_000, len(paths[0])


def path_of_one(hand: Hand, log: Path) -> list[int]:
    """Address of each instruction of vault, from the first after the request's delivery to the last before its answer."""
    wait = (
        hand.view.number("process", hand.saved_registers.start, "frame") & (1 << 64) - 1
    )  # x[0]: its pc, behind the ecall
    log.unlink(missing_ok=True)
    with attached(hand.machine.session) as debugger:
        hand.begin(debugger, "once")
        debugger.run_to(wait, satp=hand.satp)
        for command in (f"logfile {log}", "singlestep on", "log exec,nochain"):
            hand.machine.qmp("human-monitor-command", command_line=command)
        debugger.run_to(wait - 4, satp=hand.satp)
        for command in ("log none", "singlestep off"):
            hand.machine.qmp("human-monitor-command", command_line=command)
    hand.finish("once")
    counters = re.findall(rb"^Trace 0: \S+ \[[0-9a-f]+/([0-9a-f]+)/", log.read_bytes(), re.MULTILINE)
    return [counter for counter in (int(one, 16) for one in counters) if counter < RAM]
