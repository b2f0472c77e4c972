"""logd's audit operations: who may do what with the trail, whose word each field is, what a restart finds, and what without memory."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from shims.asker import Answer, Asker
from shims.device import Device, healthy
from shims.disk import Disk
from shims.machine import Machine
from shims.store import CONTRACT, FORM, KINDS, ROOT, VERDICTS

from nexus.audit.record import Record
from nexus.audit.trail import Trail, from_store, verify
from nexus.recipe.check import load_system
from nexus.recipe.model import PAGE, System, service_id

TABLE = FORM.slots * FORM.bytes
WAIT = "import kernel, caps\nwhile True:\n    kernel.wait(caps.NOTIFICATION)\n"
# Passes on what it is asked, on behalf of whoever asks.
PASS_ON = """
import client, contract, kernel, server
def pass_on(handle, op, payload):
    return bytes(client.call(handle, op, bytes(payload), client.deadline(1000000), kernel.handle()))
server.serve({1: (pass_on, "<IB*", contract.BADGE_FACET_ANY)})
"""
COUNT = len(load_system("selftest", ROOT, CONTRACT).processes)
FACETS = CONTRACT.table("facet.logd")
OPS = CONTRACT.table("op.logd")
BUNDLE = struct.pack("<BHBB", 3, CONTRACT.number("action.bundle_install"), VERDICTS["allow"], 0) + b"dev.one"
FACET_OF = {"close": "event", "bundle": "audit"} | {name: name for name in FACETS}


def system(kept: int = TABLE) -> System:
    """The selftest system with a trail, and with a policy, so that its grants are decided."""
    found = load_system("selftest", ROOT, CONTRACT)
    changes: dict[str, dict[str, Any]] = {"logd": {"kept_pages": kept // PAGE}, "rngd": {"policy": True}}
    return replace(found, processes=tuple(replace(row, **changes.get(row.name, {})) for row in found.processes))


class Audit:
    """logd alone on its memory, and processes played by the test."""

    def __init__(self, kept: int = TABLE, start: bool = True) -> None:
        sources = {"rngd": PASS_ON, "selftest": WAIT}
        self.machine = Machine(system(kept), CONTRACT, ROOT, Device(healthy()), sources, devices={"drop": Disk()})
        self.contract = self.machine.contract
        self.names = tuple(process.row.id_name for process in self.machine.processes)
        if start:
            self.machine.start("logd")
            self.machine.start("rngd")
            self.machine.run()
            self.asker = Asker(self.machine)

    @property
    def memory(self) -> bytearray:
        return self.machine.process("logd").kept

    def ask(self, name: str, payload: bytes = b"", asker: Asker | None = None, facet: str | None = None) -> Answer:
        asker = asker or self.asker
        return asker.ask(asker.given("logd", FACETS[facet or FACET_OF[name]]), OPS[name], payload)

    def ok(self, name: str, payload: bytes = b"", asker: Asker | None = None) -> bytes:
        answer = self.ask(name, payload, asker)
        assert answer.status == self.contract.STATUS_OK
        return answer.payload

    def restart(self) -> None:
        """Dead, and started again, as init would."""
        self.machine.crash("logd", self.contract.FAULT_MEMORY)
        self.machine.start("logd")
        self.machine.run()
        self.asker = Asker(self.machine)

    def image(self) -> Trail:
        return from_store(FORM, self.names, bytes(self.memory))

    def records(self, kind: str | None = None) -> list[Record]:
        """What is in the trail, which verifies."""
        trail = self.image()
        assert [str(finding) for finding in verify(trail)] == []
        return [row for _, row in trail.records if kind is None or row.kind == KINDS[kind]]

    def index(self, name: str) -> int:
        return self.machine.process(name).row.index

    def decision(self, who: str = "selftest", verdict: str = "allow", action: int = 6, **fields: Any) -> bytes:
        row = self.machine.process(who).row
        index = row.index | FORM.app * (self.machine.process(who).kind == self.contract.KIND_APP)
        given: dict[str, Any] = {
            "kind": KINDS["decision"], "verdict": VERDICTS[verdict], "op": 1, "reason": 3, "action": action, "rule": 5,
            "seq": 0, "time": 0, "subject": row.service_id, "via": 0, "subject_ix": index, "via_ix": FORM.nobody,
            "nonce": 7, "count": 0, "dropped": 0, "last": 0, "target": b"-".ljust(32, b"\0"), "previous": bytes(32),
        }  # fmt: skip
        return FORM.to_bytes(Record(**(given | fields)))[: self.contract.AUDIT_AT_PREVIOUS]

    def pages(self, name: str, asker: Asker | None = None) -> list[Record]:
        found: list[Record] = []
        since = 0
        while True:
            answer = self.ok(name, struct.pack("<Q", since), asker)
            count, following = struct.unpack_from("<BQ", answer)
            assert len(answer) == 9 + count * FORM.bytes
            found += [FORM.parse(answer[9 + at * FORM.bytes : 9 + (at + 1) * FORM.bytes]) for at in range(count)]
            if count == 0 and following == since:
                return found
            since = following


@pytest.fixture
def audit() -> Iterator[Audit]:
    made = Audit()
    yield made
    made.machine.close()


# ---- what is there at boot -------------------------------------------------------------------------------------------


def test_the_first_records_are_the_recipes_grants(audit: Audit) -> None:
    policy = audit.machine.policy
    assert policy is not None
    assert policy.grants
    found = [(row.subject_ix, row.subject, row.action, row.rule, row.target.rstrip(b"\0")) for row in audit.records()]
    expected = [
        (grant.holder, grant.service_id, grant.action, grant.rule, grant.target.encode()) for grant in policy.grants
    ]
    assert found == expected
    assert {row.kind for row in audit.records()} == {KINDS["boot_grant"]}
    assert {row.verdict for row in audit.records()} == {VERDICTS["allow"]}
    assert struct.unpack_from("<QQ", audit.ok("head")) == (len(expected), 0)


def test_grants_are_recorded_once_however_often_logd_dies(audit: Audit) -> None:
    expected = audit.records("boot_grant")
    audit.restart()
    audit.restart()
    assert audit.records("boot_grant") == expected


def test_grants_that_a_dead_logd_left_are_recorded_by_the_next_one(audit: Audit) -> None:
    """It died while it wrote them: the last two are not there."""
    expected = [(row.subject, row.target) for row in audit.records("boot_grant")]
    for row in audit.records()[-2:]:
        place = audit.memory.index(FORM.to_bytes(row))
        audit.memory[place : place + FORM.bytes] = bytes(FORM.bytes)
    audit.restart()
    assert [(row.subject, row.target) for row in audit.records("boot_grant")] == expected
    assert len(audit.records("restart")) == 1


def test_memory_that_is_not_empty_at_the_first_start_is_no_trail() -> None:
    audit = Audit(start=False)
    for place in (0, 1, 8, 48):  # a sound record: an allowed decision about init, seq 1
        audit.memory[FORM.bytes + place] = 1
    audit.machine.start("logd")
    audit.machine.run()
    assert audit.machine.said("logd") == [audit.contract.LINE_AUDIT_BROKEN]
    audit.machine.close()


@pytest.mark.parametrize("kept", [0, TABLE - PAGE])
def test_without_memory_for_it_there_is_no_trail_and_logd_serves(kept: int) -> None:
    audit = Audit(kept)
    for name in FACET_OF:
        if name in ("append", "query", "stats"):
            continue
        payload = {
            "decision": audit.decision(),
            "audit": b"\x01\x06\x00-",
            "event": bytes([3, 0, 1, 0]),
            "bundle": BUNDLE,
        }
        answer = audit.ask(name, payload.get(name, bytes(8) if name.startswith("audit_") else b""))
        assert answer == Answer(audit.contract.STATUS_UNAVAILABLE, b""), name
    assert audit.ask("append", b"\x01x").status == audit.contract.STATUS_OK
    audit.machine.close()


# ---- decisions -------------------------------------------------------------------------------------------------------


def test_a_decision_is_recorded_as_policyd_tells_it(audit: Audit) -> None:
    before = audit.machine.now
    told = audit.decision("rngd", "deny", 11, target=b"attest".ljust(32, b"\0"), via=service_id("init"), via_ix=0)
    assert audit.ok("decision", told) == b""
    row = audit.records()[-1]
    assert FORM.to_bytes(row)[:8] + FORM.to_bytes(row)[24:48] == told[:8] + told[24:48]
    assert (row.target, row.count) == (b"attest".ljust(32, b"\0"), 1)
    assert before < row.time < audit.machine.now


def test_head_counts_decisions_and_says_where_the_trail_ends(audit: Audit) -> None:
    start = audit.image().seq
    for payload in (
        audit.decision(),
        audit.decision(),
        audit.decision(kind=KINDS["undelivered"]),
        audit.decision("rngd"),
    ):
        audit.ok("decision", payload)
    answer = audit.ok("head")
    assert struct.unpack_from("<QQ", answer) == (start + 3, 3)
    assert answer[16:] == audit.image().head().hash


NONSENSE: dict[str, dict[str, Any]] = {
    "no kind": {"kind": 0},
    "a gap": {"kind": KINDS["gap"]},
    "a restart": {"kind": KINDS["restart"]},
    "a grant": {"kind": KINDS["boot_grant"]},
    "an enforcer's": {"kind": KINDS["enforce_deny"]},
    "the latch": {"kind": KINDS["latch"]},
    "unknown kind": {"kind": 8},
    "no verdict": {"verdict": "none"},
    "a process that is none": {"subject_ix": COUNT},
    "about nobody": {"subject_ix": 0x7FFF},
    "an app where a service is": {"subject_ix": 0x8000},
    "an app beyond all": {"subject_ix": 0x8000 | COUNT + CONTRACT.number("limit.app_slots")},
    "an asker that is none": {"via_ix": COUNT},
    "an asker that is no app": {"via_ix": 0x8000 | 0x7FFF},
    "a target with a hole": {"target": b"a\0b".ljust(32, b"\0")},
    "a target with an end": {"target": bytes(31) + b"a"},
}


@pytest.mark.parametrize("what", NONSENSE)
def test_what_is_no_decision_is_malformed(audit: Audit, what: str) -> None:
    before = audit.records()
    answer = audit.ask("decision", audit.decision(**NONSENSE[what]))
    assert answer == Answer(audit.contract.STATUS_MALFORMED, b"")
    assert audit.records() == before


def test_an_unknown_verdict_is_malformed(audit: Audit) -> None:
    payload = bytearray(audit.decision())
    for payload[1] in (4, 255):
        assert audit.ask("decision", bytes(payload)).status == audit.contract.STATUS_MALFORMED


def test_a_decision_of_another_length_is_malformed(audit: Audit) -> None:
    whole = audit.decision()
    for payload in (b"", whole[:-1], whole + b"\0", whole + bytes(32)):
        assert audit.ask("decision", payload).status == audit.contract.STATUS_MALFORMED
    assert audit.records() == audit.records("boot_grant")


def test_a_target_may_fill_its_place(audit: Audit) -> None:
    audit.ok("decision", audit.decision(target=b"x" * 32))
    assert audit.records()[-1].target == b"x" * 32


# ---- enforcers and init ----------------------------------------------------------------------------------------------


def test_an_enforcers_refusal_is_about_whom_the_kernel_states(audit: Audit) -> None:
    """The payload names nobody; a call on behalf is about the client, one without about the caller itself."""
    enforcer = audit.machine.process("rngd")
    handle = Asker.given(_Holder(audit.machine, "rngd"), "logd", FACETS["audit"])  # type: ignore[arg-type]
    payload = struct.pack("<IB", handle, OPS["audit"]) + struct.pack("<BH", 1, 6) + b"-"
    answer = audit.asker.ask(audit.asker.given("rngd"), 1, payload)
    assert answer.status == audit.contract.STATUS_OK
    row = audit.records("enforce_deny")[-1]
    client = audit.machine.process("selftest").row
    assert (row.subject, row.subject_ix) == (client.service_id, client.index)
    assert (row.via, row.via_ix) == (enforcer.row.service_id, enforcer.row.index)
    assert (row.verdict, row.op, row.action, row.rule) == (VERDICTS["deny"], 1, 6, 0)
    audit.ok("audit", struct.pack("<BH", 2, 7) + b"x" * 32)
    row = audit.records("enforce_deny")[-1]
    assert (row.subject, row.via, row.target) == (client.service_id, client.service_id, b"x" * 32)
    assert struct.unpack_from("<QQ", audit.ok("head"))[1] == 0


class _Holder:
    """What Asker.given needs of a process that is no actor."""

    def __init__(self, machine: Machine, name: str) -> None:
        self.machine, self.name = machine, name


def test_an_app_is_named_as_an_app(audit: Audit) -> None:
    app = Asker.app(audit.machine, "one")
    audit.ok("audit", struct.pack("<BH", 1, 6) + b"-", app)
    row = audit.records()[-1]
    assert (row.subject, row.subject_ix) == (service_id("app:one"), FORM.app | len(audit.names))


def test_an_enforcers_target_is_a_name_that_fits(audit: Audit) -> None:
    assert audit.ask("audit", bytes(3) + b"x" * 33).status == audit.contract.STATUS_TOO_LARGE
    assert audit.ask("audit", bytes(3) + b"a\0").status == audit.contract.STATUS_MALFORMED
    assert audit.records("enforce_deny") == []


def test_events_are_restarts_and_the_latch_alone(audit: Audit) -> None:
    contract = audit.contract
    index = audit.index("rngd")
    audit.ok("event", struct.pack("<BBH", KINDS["restart"], contract.FAULT_HUNG, index))
    audit.ok("event", struct.pack("<BBH", KINDS["latch"], 0, 0))
    restart, latch = audit.records()[-2:]
    assert (restart.kind, restart.reason, restart.subject) == (
        KINDS["restart"],
        contract.FAULT_HUNG,
        service_id("rngd"),
    )
    assert (latch.kind, latch.subject_ix, latch.via) == (KINDS["latch"], 0, service_id("selftest-client"))
    before = audit.records()
    for kind in (0, 1, 2, 4, 5, 6, 8, 255):
        assert audit.ask("event", struct.pack("<BBH", kind, 0, 0)).status == contract.STATUS_MALFORMED
    for reason, place in ((contract.FAULT_SYSCALL + 1, 0), (0, len(audit.names)), (0, 0x8000), (0, 0x7FFF)):
        answer = audit.ask("event", struct.pack("<BBH", KINDS["restart"], reason, place))
        assert answer.status == contract.STATUS_MALFORMED
    assert audit.records() == before


# ---- who may ---------------------------------------------------------------------------------------------------------


def test_each_operation_needs_its_own_facet(audit: Audit) -> None:
    payload = {
        "append": b"\x01x", "query": bytes(9), "decision": audit.decision(), "audit": b"\x01\x06\x00-",
        "event": struct.pack("<BBH", KINDS["latch"], 0, 0), "audit_own": bytes(8), "audit_all": bytes(8), "bundle": BUNDLE,
    }  # fmt: skip
    keeper = Asker(audit.machine, "bundlemgrd")
    for name, own in FACET_OF.items():
        for facet in FACETS:
            answer = audit.ask(name, payload.get(name, b""), keeper if name == "bundle" else None, facet)
            expected = audit.contract.STATUS_OK if facet == own else audit.contract.STATUS_DENIED
            assert answer.status == expected, (name, facet)


def test_pages_of_everything_are_the_whole_trail(audit: Audit) -> None:
    for number in range(7):
        audit.ok("decision", audit.decision(("selftest", "rngd", "init")[number % 3], action=1 + number))
    assert audit.pages("audit_all") == audit.records()


def test_own_pages_are_about_the_asker_and_nobody_else(audit: Audit) -> None:
    for action, who in enumerate(("selftest", "rngd", "selftest", "init"), 1):
        for verdict in ("allow", "deny"):
            audit.ok("decision", audit.decision(who, verdict, action))
    index = audit.index("selftest")
    mine = [row for row in audit.records() if row.subject_ix == index]
    assert len([row for row in mine if row.kind == KINDS["decision"]]) == 4
    assert audit.pages("audit_own") == mine
    peer = Asker(audit.machine, "selftest-peer")
    assert [row.subject_ix for row in audit.pages("audit_own", peer)] == [
        row.subject_ix for row in audit.records() if row.subject_ix == peer.machine.process("selftest-peer").row.index
    ]


def test_an_app_reads_nothing_about_another_app(audit: Audit) -> None:
    one, two = Asker.app(audit.machine, "one"), Asker.app(audit.machine, "two")
    for name in ("app:one", "app:two", "app:one"):
        audit.ok("decision", audit.decision(name))
    assert [row.subject for row in audit.pages("audit_own", one)] == [service_id("app:one")] * 2
    assert [row.subject for row in audit.pages("audit_own", two)] == [service_id("app:two")]


# ---- the end, and the start after an end -----------------------------------------------------------------------------


def test_close_prints_the_head(audit: Audit) -> None:
    audit.ok("decision", audit.decision())
    audit.ok("close")
    head = audit.image().head()
    assert audit.machine.said("logd")[-1] == f"audit head seq={head.seq:016x} hash={head.hash.hex()}"


def test_close_that_the_console_refuses_is_no_success(audit: Audit) -> None:
    audit.machine.full_labels.add("logd")
    assert audit.ask("close").status == audit.contract.STATUS_UNAVAILABLE


def test_a_restarted_logd_goes_on_with_the_trail_and_says_so(audit: Audit) -> None:
    for action in range(1, 20):
        audit.ok("decision", audit.decision(action=action))
    before = audit.records()
    audit.restart()
    *rest, restart = audit.records()
    assert rest == before
    assert (restart.kind, restart.subject, restart.subject_ix) == (
        KINDS["restart"],
        service_id("logd"),
        audit.index("logd"),
    )
    assert (restart.via, restart.via_ix, restart.verdict) == (0, FORM.nobody, VERDICTS["none"])
    assert struct.unpack_from("<QQ", audit.ok("head")) == (restart.seq, 19)


def test_a_trail_that_does_not_verify_ends_the_system_and_stays(audit: Audit) -> None:
    for action in range(1, 6):
        audit.ok("decision", audit.decision(action=action))
    place = audit.memory.index(FORM.to_bytes(audit.records()[-3]))
    audit.memory[place + 4] ^= 1
    damaged = bytes(audit.memory)
    audit.restart()
    logd = audit.machine.process("logd")
    assert (logd.fault, logd.value) == (audit.contract.FAULT_EXIT, audit.contract.LEAVE_FINAL)
    assert audit.machine.said("logd") == [audit.contract.LINE_AUDIT_BROKEN]
    assert bytes(audit.memory) == damaged


def test_the_end_of_logd_for_its_trail_is_the_end_of_the_system() -> None:
    """Under the shipped init: with the exit code that names a critical process."""
    audit = Audit(start=False)
    machine = audit.machine
    machine.sources.pop("rngd")
    machine.boot()
    assert machine.exit_code is None
    place = audit.memory.index(FORM.to_bytes(audit.records()[-1]))
    audit.memory[place + 100] ^= 1
    machine.crash("logd", audit.contract.FAULT_MEMORY)
    machine.run()
    assert machine.exit_code == audit.contract.EXIT_CRITICAL_DIED
    machine.close()
