"""One process floods policyd, another one wants answers meanwhile, and entropy afterwards.

Scenario: system test-flood. Whatever was asked is in the trail, counted by policyd and told on the console; nobody who asks honestly waits
for long. How long it all takes on an idle machine is row wall.flood of nexus bench; the bound here is for a busy one.
"""

from __future__ import annotations

import re
import time

from nexus.bench import FLOODED
from nexus.contract.load import load_contract
from nexus.layout import contract_dir, find_root
from nexus.machine.live import Machine
from nexus.plugin import Boot

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
