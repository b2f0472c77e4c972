"""The required refusals, by their required names, on the simulated kernel. tests/os has the same names on the booted system."""

from __future__ import annotations

import struct
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from shims import vault
from shims.asker import Answer, Asker
from shims.machine import Machine
from shims.store import CONTRACT, FORM

from nexus.audit.record import Record
from nexus.audit.trail import from_store, verify
from nexus.machine.forensics import key_secrets, pieces

Make = Callable[..., Machine]
ABOVE = ("logd", "policyd", "rngd", "vault", "keystored")
KEYSTORED, STATUS = CONTRACT.table("op.keystored"), CONTRACT.table("status")
ACTION, VERDICT = CONTRACT.table("action"), CONTRACT.table("audit_verdict")
DENIED = Answer(STATUS["denied"], b"")
# operation of keystored, a payload that fits it, the action that it asks about, its target
OPERATIONS = [
    ("device_keygen", b"", "device_keygen", b"-"),
    ("device_pubkey", b"", "device_pubkey_read", b"-"),
    ("sign", struct.pack("<H", CONTRACT.number("purpose.selftest")) + b"message", "crypto_sign", b"selftest"),
    ("put", b"\x03keyvalue", "keystore_kv", b"-"),
    ("device_key_destroy", b"", "device_key_destroy", b"-"),
]


def served(made: Machine) -> Machine:
    """Every service is up."""
    for name in ABOVE:
        made.start(name)
        made.run()
    return made


@pytest.fixture
def asker(machine: Make) -> Asker:
    """In the selftest's place."""
    return Asker(served(machine()))


@pytest.fixture
def peer(asker: Asker) -> Asker:
    """The same routes and none of the rights."""
    return Asker(asker.machine, "selftest-peer")


def op(asker: Asker, name: str, payload: bytes = b"") -> Answer:
    return asker.ask(asker.handle("KEYSTORED"), KEYSTORED[name], payload)


def check(asker: Asker, action: int, target: bytes = b"-") -> Answer:
    return asker.ask(asker.handle("POLICYD"), CONTRACT.number("op.policyd.check"), struct.pack("<H", action) + target)


def records(machine: Machine) -> list[Record]:
    """Decisions of the trail, which verifies, by number; but for vault's own draws."""
    names = tuple(process.row.id_name for process in machine.processes if process.kind == 0)
    trail = from_store(FORM, names, bytes(machine.process("logd").kept))
    assert [str(finding) for finding in verify(trail)] == []
    own = machine.process("vault").row.service_id
    return [row for _, row in trail.records if row.kind == FORM.kinds["decision"] and row.subject != own]


def what(row: Record) -> tuple[int, int, int, bytes, int]:
    return row.subject, row.via, row.action, row.target.rstrip(b"\0"), row.verdict


def ident(asker: Asker, name: str | None = None) -> int:
    return asker.machine.process(name or asker.name).row.service_id


def delivered(asker: Asker) -> int:
    """Bytes that the device has given so far."""
    assert asker.machine.device is not None
    return asker.machine.device.delivered


@pytest.mark.parametrize("count", [0, 257, 258, 512, 0x8000, 0xFFFF])
def test_reject_entropy_request_oversized(asker: Asker, count: int) -> None:
    """No byte is drawn for it, none is cut off it; the twin with the largest size gets exactly that."""
    contract, handle = asker.machine.contract, asker.handle("RNGD")
    op, taken = contract.OP_RNGD_GET_ENTROPY, delivered(asker)
    status = contract.STATUS_TOO_LARGE if count else contract.STATUS_MALFORMED
    assert asker.ask(handle, op, struct.pack("<H", count)) == Answer(status, b"")
    assert delivered(asker) == taken
    twin = asker.ask(handle, op, struct.pack("<H", contract.LIMIT_ENTROPY_BYTES))
    assert (twin.status, len(twin.payload)) == (contract.STATUS_OK, contract.LIMIT_ENTROPY_BYTES)


@pytest.mark.parametrize("name", ["init", "logd", "rngd", "selftest-peer"])
def test_reject_forged_service_id(asker: Asker, name: str) -> None:
    """A name inside a request is only text, and a badge made out to somebody else is refused."""
    contract = asker.machine.contract
    append, other = contract.OP_LOGD_APPEND, asker.machine.process(name).row
    stolen = asker.given("logd", contract.FACET_LOGD_APPEND, holder=name)
    assert asker.ask(stolen, append, b"\x01forged") == Answer(contract.STATUS_DENIED, b"")
    own = asker.ask(asker.handle("LOGD_APPEND"), append, b"\x01" + struct.pack("<QH", other.service_id, other.index))
    assert own.status == contract.STATUS_OK
    page = asker.ask(asker.handle("LOGD_QUERY"), contract.OP_LOGD_QUERY, bytes(9))
    assert page.payload[0] == 1
    assert struct.unpack_from("<H", page.payload, 9 + 16) == (asker.machine.process("selftest").row.index,)


@pytest.mark.parametrize("claim", [b"selftest-client", struct.pack("<Q", 0x52C6C4A34FFB3F69), b"\x06", b"init"])
def test_reject_forged_service_id_in_a_question(asker: Asker, peer: Asker, claim: bytes) -> None:
    """Whoever it names, it is about its sender, and so says the trail."""
    assert check(peer, ACTION["rng_entropy"], claim) == DENIED
    assert check(asker, ACTION["rng_entropy"]) == Answer(STATUS["ok"], b"")
    assert [(row.subject, row.via) for row in records(asker.machine)] == [(ident(peer), 0), (ident(asker), 0)]


@pytest.mark.parametrize(("name", "payload", "action", "target"), OPERATIONS, ids=[row[0] for row in OPERATIONS])
def test_reject_unpolicied_operation(
    asker: Asker, peer: Asker, name: str, payload: bytes, action: str, target: bytes
) -> None:
    """No rule for the one, a rule for the other: nothing else differs, and both are on record with who asked about whom."""
    if name != "device_keygen":
        op(asker, "device_keygen")
    before = len(records(asker.machine))
    assert op(peer, name, payload) == DENIED
    assert op(asker, name, payload).status == STATUS["ok"]
    rows = sorted(records(asker.machine), key=lambda row: row.seq)[before:]
    about = (ident(asker, "keystored"), ACTION[action], target)
    assert [what(row) for row in rows] == [
        (ident(peer), *about, VERDICT["deny"]),
        (ident(asker), *about, VERDICT["allow"]),
    ]


def test_reject_key_extraction(machine: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """No operation, known or not, whatever its payload, brings any eight bytes of a key to who may do the most, or onto the console."""
    seeds: list[bytes] = []
    real = vault.hostkey

    def seen() -> SimpleNamespace:
        made = real()

        def make(seed: bytes) -> None:
            seeds.append(seed)
            made.make(seed)

        return SimpleNamespace(**{**vars(made), "make": make})

    monkeypatch.setattr(vault, "hostkey", seen)
    asker = Asker(served(machine()))
    assert op(asker, "device_keygen").status == STATUS["ok"]
    told = []
    for number in (number for number in range(0x80) if number != KEYSTORED["device_key_destroy"]):
        for payload in (b"", b"\x02\x00message", b"\x02\x00", bytes(32), b"\x04seed", b"s" * 504):
            told.append(asker.ask(asker.handle("KEYSTORED"), number, payload).payload)
    assert sum(map(len, told)) > 64  # signatures and public keys did come
    everything = b"\n".join([*told, *(line.encode() for line in asker.machine.lines)])
    (seed,) = seeds
    assert [name for piece, name in pieces(key_secrets(seed)).items() if piece in everything] == []
    assert [one for one in key_secrets(seed).values() if one.hex().encode() in everything] == []


def test_audit_all_decisions(asker: Asker, peer: Asker) -> None:
    """Every question, whatever it was and whoever asked, is one record, one count and one line."""
    asked = []
    for one in (asker, peer):
        for action, target in (
            (6, b"-"),
            (11, b"selftest"),
            (11, b"attest"),
            (10, b"-"),
            (0xFFFF, b"\xff\n"),
            (0, b"x" * 32),
        ):
            allowed = check(one, action, target).status == STATUS["ok"]
            asked.append((ident(one), 0, action, target, VERDICT["allow" if allowed else "deny"]))
        assert one.send(one.handle("POLICYD"), b"\x01")[2] == STATUS["malformed"]
        asked.append((ident(one), 0, 0, b"", VERDICT["malformed"]))
    assert sorted(what(row) for row in records(asker.machine)) == sorted(asked)
    assert [row[-1] for row in asked].count(VERDICT["allow"]) == 2
    stats = asker.ask(
        asker.given("policyd", CONTRACT.number("facet.policyd.stats")), CONTRACT.number("op.policyd.stats")
    )
    assert struct.unpack("<QQQQ", stats.payload) == (len(asked), 2, len(asked) - 2, 0)
    assert len([line for line in asker.machine.said("policyd") if "(subject=" in line]) == len(asked)


@pytest.mark.parametrize("size", [33, 64, 502])
@pytest.mark.parametrize("name", ["check", "route", "exec"])
def test_reject_oversized_policy_query(asker: Asker, name: str, size: int) -> None:
    """Refused as no question at all, with nothing of it on record; the longest name that is one is decided."""
    number, head = CONTRACT.number(f"op.policyd.{name}"), b"\x0b\0" if name == "check" else b""
    handle = asker.handle("POLICYD")
    assert asker.ask(handle, number, head + b"r" * size) == Answer(STATUS["malformed"], b"")
    assert asker.ask(handle, number, head + b"r" * 32) == DENIED
    found = [(row.op, row.verdict, row.target.rstrip(b"\0")) for row in records(asker.machine)]
    assert found == [(number, VERDICT["malformed"], b""), (number, VERDICT["deny"], b"r" * 32)]


def test_reject_device_key_private_export(asker: Asker, peer: Asker) -> None:
    """Denied to whoever asks, with a key and without, and on record; the twin is the public half, which one of the two may have."""
    assert op(asker, "export") == op(peer, "export") == DENIED
    assert op(asker, "device_keygen").status == STATUS["ok"]
    assert op(asker, "export") == op(peer, "export") == DENIED
    assert op(peer, "device_pubkey") == DENIED
    told = op(asker, "device_pubkey")
    assert (told.status, len(told.payload)) == (STATUS["ok"], 4 + 1 + 8 + 32)
    rows = [row for row in records(asker.machine) if row.action == ACTION["device_key_export"]]
    about = (ident(asker, "keystored"), ACTION["device_key_export"], b"-", VERDICT["deny"])
    assert {what(row) for row in rows} == {(ident(one), *about) for one in (asker, peer)}
    assert sum(row.count for row in rows) == 4
