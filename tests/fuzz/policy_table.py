"""Any words as a compiled policy: the evaluator refuses them by ValueError or IndexError, which policyd answers with a denial, or decides in
bounded time; the table as it was compiled decides as ever.
"""

from __future__ import annotations

import sys
from random import Random
from types import SimpleNamespace
from typing import Any

from make import SERVICES, delegate, evaluator, rule
from shims import micropython
from shims.loader import Loader
from target import Generic, Target

from nexus import layout
from nexus.contract.load import load_contract

ROOT = layout.find_root()
CONTRACT = load_contract(layout.contract_dir(ROOT))
ONESELF = CONTRACT.number("policy_table.self")
ACTION = CONTRACT.table("action")
SERVICE, APP, NOTHING = CONTRACT.number("kind.service"), CONTRACT.number("kind.app"), 2
SUBJECTS = (
    (SERVICE, 0),
    (SERVICE, SERVICES.index("rngd")),
    (SERVICE, SERVICES.index("shell")),
    (SERVICE, 300),
    (APP, 5),
    (NOTHING, 0),
)
ACTIONS = (0, ACTION["rng_entropy"], ACTION["bundle_open"], 255)
NAMES = (b"-", b"demo.a", b"\xff" * 40)


def target() -> Target:
    given = {"contract": SimpleNamespace(**CONTRACT.constants), "micropython": micropython}
    sel = Loader([ROOT / "guest" / "lib"], given, {}).load("nexus_sel")
    policy = rule("rngd", "rng.entropy", gates=("bring_up",)) + rule("shell", "bundle.*", "demo.*")
    whole = evaluator(policy + rule("app:one", "keystore.kv") + delegate("rngd", "*", "rng.*")).compiled.table
    wanted = answers(sel, whole)
    assert any(said > 0 for said in wanted)

    def check(data: bytes) -> None:
        even = data[: len(data) & ~1]
        try:
            said = answers(sel, even)
        except (ValueError, IndexError):
            assert even != whole
            return
        assert even != whole or said == wanted

    return Target(check, [whole], mutate)


def answers(sel: Any, table: bytes) -> list[int]:
    """Every question that a few subjects, actions and names make."""
    words = memoryview(table).cast("H")
    rules, names, subjects, gates = sel.load(words)
    places = [sel.subject(subjects, kind, index, 7) for kind, index in SUBJECTS]
    kinds = [sel.target(names, name) for name in NAMES]
    said = []
    for place in places:
        for action in ACTIONS:
            for kind in kinds:
                said.append(sel.decide(rules, ONESELF, place, -1, action, kind, gates))
    return said


def mutate(data: bytes, chance: Random, generic: Generic) -> bytes:
    """One to three words changed: what a table damaged in memory looks like."""
    if chance.random() < 0.2 or len(data) < 2:
        return generic(data)
    changed = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(changed) // 2 if chance.random() < 0.5 else min(16, len(changed) // 2)) * 2
        word = chance.choice(
            [0, 1, 0xFFFF, chance.randrange(1 << 16), int.from_bytes(changed[place : place + 2], sys.byteorder) + 1]
        )
        changed[place : place + 2] = (word & 0xFFFF).to_bytes(2, sys.byteorder)
    return bytes(changed)
