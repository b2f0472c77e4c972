"""One process floods policyd, another one wants answers meanwhile, and entropy afterwards. And one floods those who keep and start apps.

Scenario: system test-flood. Whatever was asked is in the trail, counted by policyd and told on the console; nobody who asks honestly waits
for long. How long it all takes on an idle machine is row wall.flood of nexus bench; the bound here is for a busy one. System
test-flood-apps: the honest one is in the host's hand, and gives each answer less time than any deadline of the contract does.
"""

from __future__ import annotations

import re
import struct
import time

import pytest

from nexus.bench import FLOODED
from nexus.contract.load import load_contract
from nexus.layout import contract_dir, find_root
from nexus.machine.live import Machine
from nexus.machine.probe import Probe
from nexus.plugin import Boot
from nexus.recipe.check import load_system

CONTRACT = load_contract(contract_dir(find_root()))
FLOOD = CONTRACT.number("flood.requests")
DEADLINE = CONTRACT.number("edge_deadline.policyd.all")
LINE = re.compile(r"policyd: (allow|deny) \(subject=")
SECONDS = 60.0


def numbers(machine: Machine, what: str) -> list[int]:
    found = re.search(rf"^honest: {what}((?: [0-9a-f]{{16}})+)$", machine.log, re.MULTILINE)
    assert found is not None, machine.log.splitlines()[-3:]
    return [int(word, 16) for word in found[1].split()]


def test_flood_is_on_record_and_hurts_nobody_else(boot: Boot) -> None:
    begun = time.monotonic()
    machine = boot("test-flood")
    machine.expect(FLOODED.pattern, SECONDS)
    print(f"{time.monotonic() - begun:.1f} s")
    asked, slowest = numbers(machine, "asked")
    decisions, allows, denies, fallbacks = numbers(machine, "counts")
    assert asked > 10, "there was no flood to speak of"
    assert slowest < DEADLINE
    assert decisions == allows + denies == FLOOD + asked
    assert machine.trail().decisions + fallbacks == decisions
    assert numbers(machine, "lost") == [0]
    lines = [line for line in machine.log.splitlines() if LINE.match(line)]
    assert len(lines) == decisions


# ---- bundlemgrd and execd --------------------------------------------------------------------------------------------

APPS = load_system("test-flood-apps", find_root(), CONTRACT)
STATUS = CONTRACT.table("status")
REST = 0.2  # the machine stands still while the host looks into it
# Server, operation, payload, and what an answer has to say that was not refused: nothing is installed, stored or started here.
HONEST = (
    ("BUNDLEMGRD", "bundlemgrd.list", b"\0", "not_found"),
    ("EXECD", "execd.list", bytes(4) + b"selftest.none", "not_found"),
    ("POLICYD", "policyd.check", struct.pack("<H", CONTRACT.number("action.bundle_list")) + b"-", "ok"),
    ("RNGD", "rngd.get_entropy", struct.pack("<H", 32), "ok"),
    ("KEYSTORED", "keystored.get", b"key", "not_found"),
)


@pytest.mark.thorough
def test_flood_of_bundlemgrd_and_execd_is_on_record_and_hurts_nobody_else(boot: Boot) -> None:
    machine = boot("test-flood-apps")
    machine.expect("init: phase bring-up ")
    probe, rounds = Probe(machine, "probe"), 0
    names = [cap.name for cap in APPS.process("probe").capabilities]
    end = time.monotonic() + 2 * SECONDS
    while b" swamper: done" not in machine.log_path.read_bytes():
        assert time.monotonic() < end, "the flood does not end"
        for server, op, payload, wanted in HONEST:
            answer = probe.ask(
                CONTRACT.number("handle.boot") + names.index(server), CONTRACT.number(f"op.{op}"), payload
            )
            assert answer.status == STATUS[wanted], op
        rounds += 1
        time.sleep(REST)
    assert rounds > 5, "there was no flood to speak of"
    allowed, refused = (
        next(chain for chain in machine.trail().chains if chain.name == f"swamper {what}")
        for what in ("allowed", "refused")
    )
    assert refused.gap is not None and refused.gap.count + sum(row.count for row in refused.records) == FLOOD
    assert {row.kind for row in allowed.records} == {CONTRACT.number("audit_kind.boot_grant")}
    lines = [line for line in machine.log.splitlines() if line.startswith("policyd: deny (subject=swamper ")]
    assert len(lines) == FLOOD
