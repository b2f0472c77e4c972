"""The required refusals, by their required names, on the booted system. tests/guest has the same names on the simulated kernel."""

from __future__ import annotations

from nexus.contract.load import load_contract
from nexus.layout import contract_dir, find_root
from nexus.plugin import Boot

CONTRACT = load_contract(contract_dir(find_root()))
MARKS = {row.name: f"{row.label}: {row.text}" for row in CONTRACT.markers}


def test_reject_entropy_request_oversized(boot: Boot) -> None:
    """The guest has checked each status; the emulator's own count shows that no refused request cost the device a byte."""
    machine = boot(trace_rng=True)
    verdict = machine.judge(entropy=True)
    assert verdict.failure is None
    assert any(CONTRACT.table("line")["rng_bytes"] in line for line in machine.log.splitlines()), "nothing to compare"
    assert MARKS["rng_oversized"] in machine.log.splitlines()
