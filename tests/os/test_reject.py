"""The required refusals, by their required names, on the booted system. tests/guest has the same names on the simulated kernel.

Scenario: system test-attack, the default system with two processes in the host's hand: `probe` has every right that policy gives the
selftest, `peer` the same routes and none of the rights. Each refusal of the one is an allow of the other; the trail is read by the host.
"""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from nexus.audit.record import Record
from nexus.audit.trail import Trail, verify
from nexus.contract.load import load_contract
from nexus.layout import contract_dir, find_root
from nexus.machine.live import Machine
from nexus.machine.probe import Answer, Probe
from nexus.plugin import Boot
from nexus.recipe.check import load_system
from nexus.recipe.model import service_id

ROOT = find_root()
CONTRACT = load_contract(contract_dir(ROOT))
MARKS = {row.name: f"{row.label}: {row.text}" for row in CONTRACT.markers}
STATUS, ACTION, VERDICT = CONTRACT.table("status"), CONTRACT.table("action"), CONTRACT.table("audit_verdict")
KEYSTORED, POLICYD = CONTRACT.table("op.keystored"), CONTRACT.table("op.policyd")
SYSTEM = load_system("test-attack", ROOT, CONTRACT)
CLIENT, PEER = "selftest-client", "selftest-peer"
PURPOSE = CONTRACT.number("purpose.selftest")
PUBLIC_BYTES = 4 + 1 + CONTRACT.number("key.id_bytes") + CONTRACT.number("key.public_bytes")


class Attack:
    """The booted system and the two in the host's hand."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        machine.expect("init: phase bring-up ")
        self.probe, self.peer = Probe(machine, "probe"), Probe(machine, "probe-peer")
        self._seen: dict[int, int] = {}
        self.records()

    def handle(self, probe: Probe, name: str) -> int:
        """Of a boot capability."""
        names = [cap.name for cap in SYSTEM.process(probe.label).capabilities]
        return CONTRACT.number("handle.boot") + names.index(name)

    def ask(self, probe: Probe, server: str, op: int, payload: bytes = b"") -> Answer:
        return probe.ask(self.handle(probe, server), op, payload)

    def check(self, probe: Probe, action: int, target: bytes = b"-") -> int:
        answer = self.ask(probe, "POLICYD", POLICYD["check"], struct.pack("<H", action) + target)
        assert answer.payload == b""
        return answer.status

    def records(self) -> list[Record]:
        """Decisions since the last time, by number; one that counts several says how many are new. Those about vault's own draws are not
        what is asked for here.
        """
        trail = self.machine.trail()
        rows = [row for _, row in trail.records if row.kind == trail.form.kinds["decision"]]
        new = [replace(row, count=row.count - self._seen.get(row.seq, 0)) for row in rows]
        self._seen = {row.seq: row.count for row in rows}
        return [row for row in new if row.count and row.subject != service_id("vault")]


def what(row: Record) -> tuple[int, int, int, bytes, int]:
    return row.subject, row.via, row.action, row.target.rstrip(b"\0"), row.verdict


@pytest.fixture
def attack(boot: Boot) -> Attack:
    return Attack(boot("test-attack"))


def refused(answer: Answer, status: str = "denied") -> bool:
    return (answer.status, answer.payload) == (STATUS[status], b"")


def test_reject_forged_service_id(attack: Attack) -> None:
    """Whatever name or number a request holds, it is about its sender, for policyd, for the log and for the trail."""
    claims = [CLIENT.encode(), struct.pack("<Q", service_id(CLIENT)), b"\x06", b"init"]
    assert [attack.check(attack.peer, ACTION["rng_entropy"], claim) for claim in claims] == [STATUS["denied"]] * len(
        claims
    )
    assert attack.check(attack.probe, ACTION["rng_entropy"]) == STATUS["ok"]
    assert {row.subject for row in attack.records()} == {service_id(CLIENT), service_id(PEER)}
    assert refused(attack.ask(attack.peer, "RNGD", CONTRACT.number("op.all.ready")))
    append, query = CONTRACT.number("op.logd.append"), CONTRACT.number("op.logd.query")
    text = struct.pack("<BQH", CONTRACT.number("level.error"), service_id("init"), 0) + b"forged"
    assert attack.ask(attack.peer, "LOGD_APPEND", append, text).status == STATUS["ok"]
    page = attack.ask(attack.probe, "LOGD_QUERY", query, struct.pack("<QB", 0, CONTRACT.number("level.error")))
    sender = struct.unpack_from("<QQH", page.payload, 9)[2]
    assert (page.payload[0], sender) == (1, SYSTEM.process("probe-peer").index)


OPERATIONS = [
    ("KEYSTORED", KEYSTORED["device_keygen"], b"", "device_keygen", b"-"),
    ("KEYSTORED", KEYSTORED["device_pubkey"], b"", "device_pubkey_read", b"-"),
    ("KEYSTORED", KEYSTORED["sign"], struct.pack("<H", PURPOSE) + b"message", "crypto_sign", b"selftest"),
    ("KEYSTORED", KEYSTORED["put"], b"\x03keyvalue", "keystore_kv", b"-"),
    ("KEYSTORED", KEYSTORED["get"], b"key", "keystore_kv", b"-"),
    ("KEYSTORED", KEYSTORED["device_key_destroy"], b"", "device_key_destroy", b"-"),
    ("RNGD", CONTRACT.number("op.rngd.get_entropy"), b"\x20\0", "rng_entropy", b"-"),
    ("INIT", CONTRACT.number("op.init.ps"), b"\0", "system_stats", b"-"),
]


def test_reject_unpolicied_operation(attack: Attack) -> None:
    """No rule for the one, a rule for the other: nothing else differs, and both are on record with who asked."""
    for server, op, payload, action, target in OPERATIONS:
        assert refused(attack.ask(attack.peer, server, op, payload)), action
        assert attack.ask(attack.probe, server, op, payload).status == STATUS["ok"], action
        about = (service_id(server.lower()), ACTION[action], target)
        expected = [(service_id(PEER), *about, VERDICT["deny"]), (service_id(CLIENT), *about, VERDICT["allow"])]
        assert [what(row) for row in attack.records()] == expected
    assert f"keystored: {CONTRACT.table('line')['sign_denied']}{PEER})" in attack.machine.log.splitlines()


def test_reject_key_extraction(attack: Attack) -> None:
    """Each operation that there is and that there is not, with a key there, by who may do the most: only the public half and signatures
    come out. test_no_key.py searches the machine's memory after all of them with every length.
    """
    keystored, probe = attack.handle(attack.probe, "KEYSTORED"), attack.probe
    assert probe.ask(keystored, KEYSTORED["device_keygen"]).status == STATUS["ok"]
    names = {op: name for name, op in [*KEYSTORED.items(), *CONTRACT.table("op.all").items()]}
    destroy = KEYSTORED["device_key_destroy"]
    for ops in (range(destroy), range(destroy + 1, 256)):
        seen = probe.sweep(keystored, ops, range(48), struct.pack("<H", PURPOSE))
        assert sorted(seen) == list(ops)
        for op, statuses in seen.items():
            assert set(statuses) <= {
                STATUS[name] for name in ANSWERS.get(names.get(op, ""), ("unsupported", "malformed"))
            }, op
    assert probe.ask(keystored, KEYSTORED["device_pubkey"]).status == STATUS["ok"]


# What can come of a sweep of each operation, with a key there; the first that have a payload are pubkey, sign and get.
ANSWERS = {
    "device_keygen": ("exists", "malformed"),
    "device_pubkey": ("ok", "malformed"),
    "sign": ("ok", "malformed"),
    "verify": ("malformed",),
    "export": ("denied", "malformed"),
    "put": ("ok", "malformed", "unavailable"),
    "get": ("ok", "not_found", "malformed"),
    "del": ("ok", "not_found", "malformed"),
    "purge": ("denied", "malformed"),
    "ready": ("denied", "malformed"),
}


def test_audit_all_decisions(attack: Attack) -> None:
    """Every question, whatever it was and whoever asked, is one more decision, with all of it on record and a line for it."""
    asked: list[tuple[int, int, int, bytes, int]] = []
    before = stats(attack)
    for probe, name in ((attack.probe, CLIENT), (attack.peer, PEER)):
        for action, target in [
            (6, b"-"),
            (11, b"selftest"),
            (11, b"attest"),
            (10, b"-"),
            (0xFFFF, b"\xff\n"),
            (0, b"x" * 32),
        ]:
            status = attack.check(probe, action, target)
            verdict = VERDICT["allow" if status == STATUS["ok"] else "deny"]
            asked.append((service_id(name), 0, action, target, verdict))
        assert refused(attack.ask(probe, "POLICYD", POLICYD["check"], b"\x06"), "malformed")
        asked.append((service_id(name), 0, 0, b"", VERDICT["malformed"]))
        handle = attack.handle(probe, "POLICYD")
        assert probe.send(handle, b"\x01").message[2] == STATUS["malformed"]
        asked.append((service_id(name), 0, 0, b"", VERDICT["malformed"]))
    trail = attack.machine.trail()
    assert [str(finding) for finding in verify(trail)] == []
    assert sorted(found(attack)) == sorted(asked)
    assert [row[-1] for row in asked].count(VERDICT["allow"]) == 2
    after = stats(attack)
    assert [new - old for new, old in zip(after, before, strict=True)] == [len(asked), 2, len(asked) - 2, 0]
    assert after[0] == attack.machine.trail().decisions
    assert_lines(attack.machine.log, trail)


def found(attack: Attack) -> list[tuple[int, int, int, bytes, int]]:
    """Identical ones in a row are one record that counts them."""
    return [what(row) for row in attack.records() for _ in range(row.count)]


def stats(attack: Attack) -> tuple[int, ...]:
    """Decisions, allows, denials, fallbacks."""
    answer = attack.ask(attack.probe, "POLICYD_STATS", POLICYD["stats"])
    return struct.unpack("<QQQQ", answer.payload)


def assert_lines(log: str, trail: Trail) -> None:
    decisions = [line for line in log.splitlines() if line.startswith(("policyd: allow (", "policyd: deny ("))]
    assert len(decisions) == trail.decisions
    allowed = [
        row for _, row in trail.records if row.kind == trail.form.kinds["decision"] and row.verdict == VERDICT["allow"]
    ]
    assert sum(line.startswith("policyd: allow") for line in decisions) == sum(row.count for row in allowed)


@pytest.mark.parametrize("size", [33, 64, 502])
def test_reject_oversized_policy_query(attack: Attack, size: int) -> None:
    """Refused as no question at all, with nothing of it on record; the longest name that is one is decided."""
    for op, payload in (
        (POLICYD["check"], b"\x06\0" + b"-" * size),
        (POLICYD["route"], b"r" * size),
        (POLICYD["exec"], b"b" * size),
    ):
        assert refused(attack.ask(attack.probe, "POLICYD", op, payload), "malformed")
    rows = attack.records()
    assert {what(row) for row in rows} == {(service_id(CLIENT), 0, 0, b"", VERDICT["malformed"])}
    assert sorted(row.op for row in rows for _ in range(row.count)) == sorted(
        POLICYD[name] for name in ("check", "route", "exec")
    )
    assert attack.check(attack.probe, ACTION["crypto_sign"], b"s" * 32) == STATUS["denied"]
    assert attack.check(attack.probe, ACTION["crypto_sign"], b"selftest") == STATUS["ok"]
    assert [row.target.rstrip(b"\0") for row in attack.records()] == [b"s" * 32, b"selftest"]


def test_reject_entropy_request_oversized(boot: Boot) -> None:
    """The guest has checked each status; the emulator's own count shows that no refused request cost the device a byte."""
    machine = boot(phase="mmio", trace_rng=True)
    verdict = machine.judge(phase="mmio", entropy=True)
    assert verdict.failure is None
    assert MARKS["rng_oversized"] in machine.log.splitlines()


def test_reject_device_key_private_export(attack: Attack) -> None:
    """Denied to whoever asks, with a key and without, and on record; the twin is the public half, which one of the two may have."""
    export, pubkey = KEYSTORED["export"], KEYSTORED["device_pubkey"]
    for keygen in (False, True):
        if keygen:
            assert attack.ask(attack.probe, "KEYSTORED", KEYSTORED["device_keygen"]).status == STATUS["ok"]
        attack.records()
        for probe, name in ((attack.probe, CLIENT), (attack.peer, PEER)):
            assert refused(attack.ask(probe, "KEYSTORED", export))
            about = (service_id("keystored"), ACTION["device_key_export"], b"-")
            assert [what(row) for row in attack.records()] == [(service_id(name), *about, VERDICT["deny"])]
        told = attack.ask(attack.probe, "KEYSTORED", pubkey)
        assert (told.status, len(told.payload)) == (
            (STATUS["ok"], PUBLIC_BYTES) if keygen else (STATUS["not_found"], 0)
        )
        assert refused(attack.ask(attack.peer, "KEYSTORED", pubkey))
