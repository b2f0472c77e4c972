"""Attacks on the kernel from inside the machine: one boot of the proof image, each group of cases a test of its own.

`nexus test-kernel` runs the same without pytest; recipes/proof/kernel.toml says how each case has to end.
"""

from __future__ import annotations

import pytest

from nexus.contract.load import load_contract
from nexus.layout import contract_dir, find_root
from nexus.machine.proof import SYSTEM, TABLE, Proof, Runner
from nexus.machine.target import prepare
from nexus.verdict.proof import load_table

ROOT = find_root()
CONTRACT = load_contract(contract_dir(ROOT))
NAMES = tuple(load_table(ROOT / TABLE, CONTRACT))
GROUPS = tuple(dict.fromkeys(name.split(".")[0] for name in NAMES))


@pytest.fixture(scope="session")
def proof() -> Proof:
    target = prepare(ROOT, SYSTEM, build=True, progress=lambda _text: None)
    return Runner(ROOT, target, CONTRACT).run()


def test_proof_comes_to_its_end(proof: Proof) -> None:
    """No panic, no leak over all cases, the state of the processor and of all mappings as promised, the exit code of success."""
    own = [problem for problem in proof.outcome.score.problems if problem.case.split(" ")[0] not in NAMES]
    assert own == [], proof.block
    assert proof.outcome.exit_code == CONTRACT.number("exit.ok"), proof.block


@pytest.mark.parametrize("group", GROUPS)
def test_attacks_are_refused_and_twins_served(group: str, proof: Proof) -> None:
    wanted = [name for name in NAMES if name.split(".")[0] == group]
    found = proof.outcome.failed
    assert [found[name] for name in wanted if name in found] == [], proof.block
    assert [name for name in wanted if name in proof.outcome.score.passed] == wanted
