"""No way to ask, and nothing that is left in memory, gives away the device key: the whole chain from the entropy device to a signature.

Scenario: the host knows the entropy, and so the key. System test-attack: two processes send keystored every operation with every
length, whole and damaged, the one with all rights that policy gives, the other with none. System test-vault: the same for vault, by
somebody in keystored's place. Then the host searches all memory, what was answered and what was printed.
"""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from nexus.contract.load import load_contract
from nexus.layout import RAM_BASE, contract_dir, find_root
from nexus.machine.debugger import attached
from nexus.machine.forensics import Hit, key_secrets, nonce_secrets, outside, search
from nexus.machine.kernelview import KernelView, symbols_of
from nexus.machine.live import Machine
from nexus.machine.probe import BROKEN, Probe
from nexus.plugin import Boot
from nexus.recipe.check import load_system
from nexus.recipe.model import service_id
from nexus.verdict.signature import Signed, signed_bytes

ROOT = find_root()
CONTRACT = load_contract(contract_dir(ROOT))
STATUS, KEYSTORED = CONTRACT.table("status"), CONTRACT.table("op.keystored")
SYSTEM = load_system("test-attack", ROOT, CONTRACT)
STARTUP, SEED = CONTRACT.number("limit.entropy_startup_bytes"), 32
LONGEST = CONTRACT.number("ipc.data_bytes") - CONTRACT.number("wire.request_header")
LENGTHS = range(LONGEST + 1)
DESTROY = KEYSTORED["device_key_destroy"]
PURPOSE = struct.pack("<H", CONTRACT.number("purpose.selftest"))
DAMAGED = (0, 2, 3)  # version, length
SIGNED = (2, 3, 100, 2 + CONTRACT.number("limit.sign_message_bytes"))  # payloads whose nonces are looked for too
SWEEP_SECONDS = 120


def entropy(folder: Path, number: int) -> Path:
    """Bytes that the host knows; a mebibyte, since QEMU never comes back from the end of a file."""
    path = folder / f"entropy-{number}"
    path.write_bytes(random.Random(number).randbytes(1 << 20))
    return path


def seed(path: Path, number: int = 0) -> bytes:
    """What the draw of that number gives: rngd tests the first bytes and serves none of them."""
    at = STARTUP + number * SEED
    return path.read_bytes()[at : at + SEED]


def payload(count: int) -> bytes:
    """As firmware/test/probe/probe.c fills it."""
    return (PURPOSE + bytes((7 * place + count) & 0xFF for place in range(2, count)))[:count]


def secrets_of(known: bytes) -> dict[str, bytes]:
    """Of the key, and of some signatures that the probe had made with it."""
    found = key_secrets(known)
    for count in SIGNED:
        about = Signed(
            "selftest",
            service_id("selftest-client"),
            CONTRACT.number("kind.service"),
            CONTRACT.number("key_mode.test_entropy"),
            payload(count)[2:],
        )
        found |= {f"{count} {name}": one for name, one in nonce_secrets(known, signed_bytes(CONTRACT, about)).items()}
    return found


def hits(machine: Machine, secrets: Mapping[str, bytes]) -> list[Hit]:
    """In all of the machine's memory: the answers that a probe has kept are part of it."""
    return search(machine.read_phys(RAM_BASE, machine.target.ram_bytes), RAM_BASE, secrets)


def printed(machine: Machine, secrets: Mapping[str, bytes]) -> list[str]:
    """In what was said, as bytes or as hex, any eight of them."""
    text = machine.log_path.read_bytes()
    pieces = [(name, one[at : at + 8]) for name, one in secrets.items() for at in range(len(one) - 7)]
    return [name for name, piece in pieces if piece in text or piece.hex().encode() in text.lower()]


def place_of_the_key(machine: Machine) -> list[range]:
    """The one place where a seed may be, between operations."""
    view = KernelView(machine.target.elf, machine.read_phys)
    start = view.translate(view.index_of("vault"), symbols_of(machine.target.programs["vault"])["vault_key_secret"])
    assert start is not None
    return [range(start, start + SEED)]


def keystored_of(probe: Probe) -> int:
    names = [cap.name for cap in SYSTEM.process(probe.label).capabilities]
    return CONTRACT.number("handle.boot") + names.index("KEYSTORED")


def everything(probe: Probe, unknown: range) -> Counter[int]:
    """All operations with all lengths (those that are none: with `unknown` lengths) but the one request that destroys the key, whole,
    damaged and cut; how often each status came.
    """
    to, known = keystored_of(probe), max(KEYSTORED.values()) + 1
    rows = [probe.sweep(to, ops, LENGTHS, PURPOSE) for ops in (range(DESTROY), range(DESTROY + 1, known))]
    rows += [probe.sweep(to, range(DESTROY, DESTROY + 1), LENGTHS[1:], PURPOSE)]
    rows += [probe.sweep(to, range(known, 256), unknown, PURPOSE), probe.cut(to, range(256))]
    rows += [probe.sweep(to, range(256), range(3), PURPOSE, damage=at) for at in DAMAGED]
    assert probe.send(to, bytes(CONTRACT.number("ipc.data_bytes") + 1)).kernel == CONTRACT.number("e.bad_argument")
    return sum((row for found in rows for row in found.values()), Counter[int]())


def test_key_is_in_one_place_from_its_entropy_to_its_end(boot: Boot, tmp_path: Path) -> None:
    """Through rngd's window, the kernel, vault and keystored; no other request in between."""
    path = entropy(tmp_path, 3)
    machine = boot("test-attack", f"file={path}")
    machine.expect("init: phase bring-up ")
    probe, secrets = Probe(machine, "probe"), secrets_of(seed(path))
    to, message = keystored_of(probe), payload(SIGNED[-1])
    for op, request in (("device_keygen", b""), ("sign", message), ("device_pubkey", b""), ("export", b"")):
        probe.ask(to, KEYSTORED[op], request)
        found = hits(machine, secrets)
        assert {hit.name for hit in found} == {"seed"}, op  # so the search does find what is there
        assert outside(found, place_of_the_key(machine)) == [], op
    assert probe.ask(to, DESTROY).status == STATUS["ok"]
    assert hits(machine, secrets) == []
    assert printed(machine, secrets) == []


def test_no_request_to_keystored_gives_the_key_away(boot: Boot, tmp_path: Path) -> None:
    path = entropy(tmp_path, 1)
    machine = boot("test-attack", f"file={path}")
    machine.expect("init: phase bring-up ")
    probe, peer = Probe(machine, "probe"), Probe(machine, "probe-peer")
    secrets = secrets_of(seed(path))
    assert hits(machine, secrets) == []
    told = probe.ask(keystored_of(probe), KEYSTORED["device_keygen"])
    public = Ed25519PrivateKey.from_private_bytes(seed(path)).public_key().public_bytes_raw()
    assert (told.status, told.payload[-len(public) :]) == (STATUS["ok"], public)
    allowed = {probe: set(STATUS.values()) - {STATUS["rate_limited"]}, peer: {STATUS[one] for one in NOTHING}}
    for one, statuses in allowed.items():
        answers = everything(one, LENGTHS if one is probe else LENGTHS[:16])
        assert set(answers) <= statuses and BROKEN not in answers
        assert sum(answers.values()) > (256 * LONGEST if one is probe else len(KEYSTORED) * LONGEST)
        assert (answers[STATUS["ok"]] > 256) == (one is probe)
        found = hits(machine, secrets)
        assert {hit.name for hit in found} == {"seed"}  # so the search does find what is there
        assert outside(found, place_of_the_key(machine)) == []
    assert printed(machine, secrets) == []
    assert probe.ask(keystored_of(probe), DESTROY).status == STATUS["ok"]
    assert hits(machine, secrets) == []


NOTHING = ("denied", "malformed", "unsupported")  # what is left to who has no right


def test_no_request_to_vault_gives_the_key_away(boot: Boot, tmp_path: Path) -> None:
    """Its caller checks every byte of every answer; see firmware/test/vault_caller/sweep.c."""
    path = entropy(tmp_path, 2)
    machine = boot("test-vault", f"file={path}", {"phase": "0"})
    machine.expect("kernel: boot run=")
    for turn, step in enumerate(("setup", "sweep", "seed", "once"), start=1):
        order(machine, turn, step)
    drawn = [key_secrets(seed(path, number)) for number in range(2)]
    assert hits(machine, drawn[0]) == []  # the sweep has destroyed this one
    found = hits(machine, drawn[1])
    assert {hit.name for hit in found} == {"seed"}
    assert outside(found, place_of_the_key(machine)) == []
    assert [name for one in drawn for name in printed(machine, one)] == []


def order(machine: Machine, turn: int, step: str) -> None:
    """Have vault's caller do one step of its script."""
    view = KernelView(machine.target.elf, machine.read_phys)
    at = view.translate(view.index_of("caller"), symbols_of(machine.target.programs["caller"])["host_order"])
    assert at is not None
    with attached(machine.session) as debugger:
        debugger.write(at + 4, step.encode("ascii").ljust(16, b"\0"))
        debugger.write(at, turn.to_bytes(4, "little"))
    said = machine.expect(rf"caller: (FAIL|{step})\r?\n", SWEEP_SECONDS)
    assert said[1] == step.encode("ascii"), machine.evidence()
