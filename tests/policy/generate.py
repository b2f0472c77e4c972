"""A policy that fills the table: as many rules, subjects, actions, kinds of target, gates as it holds, made from a seed.

Used by tests/unit/test_policy_agreement.py. Every rule in it has an effect, so the checker accepts it like any other.
"""

from __future__ import annotations

import json
import random
from dataclasses import replace

from make import CONTRACT

from nexus.contract.load import Contract, digest_of

LIMITS = CONTRACT.table("policy_limit")
SERVICES = tuple(f"s{number}" for number in range(CONTRACT.number("limit.processes")))
APPS = tuple(f"app:a{number}" for number in range(LIMITS["subjects"] - len(SERVICES) - 3))
ACTIONS = range(1, LIMITS["actions"])
GATES = ("gate_a", "gate_b", "gate_c", "gate_d")
GLOBS = ("x*", "*x", "*.x*")
DENIES, DELEGATES = 32, LIMITS["delegates"]
CELLS = 150  # subjects and actions with rules of their own; more would leave no room for so many kinds of target


def full_contract() -> Contract:
    """The contract with as many actions as a mask has bits and as many gates as a table knows; any target goes with any action."""
    policy = dict(CONTRACT.files["policy.toml"])
    policy["action"] = {f"act{number}": number for number in ACTIONS}
    policy["action_name"] = {f"act{number}": f"act.{number}" for number in ACTIONS}
    policy["action_target"] = {f"act{number}": "bundle" for number in ACTIONS}
    policy["action_server"] = {f"act{number}": SERVICES[0] for number in ACTIONS}
    policy["gate"] = {name: 1 << place for place, name in enumerate(GATES[: LIMITS["gates"]])}
    files = {**CONTRACT.files, "policy.toml": policy}
    return replace(CONTRACT, files=files, digest=digest_of(files))


def contract_text() -> str:
    """What of it the reference reads."""
    policy = full_contract().files["policy.toml"]
    tables = {name: policy[name] for name in ("action", "action_name")}
    return "\n".join(
        f"[{name}]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items())
        for name, table in tables.items()
    )


def names(count: int, chance: random.Random) -> list[str]:
    """Different names of targets, some of which begin or end alike."""
    found: dict[str, None] = {}
    while len(found) < count:
        stem = chance.choice(["", "x", "x.", "y-"])
        found[stem + "".join(chance.choices("abxz09.-", k=chance.randint(1, 4)))] = None
    return list(found)


def full_policy(seed: int) -> str:
    """The text of one such policy."""
    chance = random.Random(seed)
    members = [json.dumps(chance.sample(SERVICES, 5)) for _ in range(DENIES // 2)]
    lines = ["[services]", *(f'{name} = "of the test"' for name in SERVICES)]
    lines += ["[domains]", *(f"d{number} = {some}" for number, some in enumerate(members))]
    lines += [line for row in _rules(chance) for line in row]
    lines += [line for row in _delegates(chance) for line in row]
    return "\n".join(lines) + "\n"


def _rules(chance: random.Random) -> list[list[str]]:
    """Allows under two gates, denies under the two others: so no deny takes back all of an allow."""
    targets = names(LIMITS["targets"] - 1 - 2 ** len(GLOBS), chance)
    subjects = [*SERVICES, *APPS]
    cells = [(subjects[number % len(subjects)], f"act.{1 + number * 7 % len(ACTIONS)}") for number in range(CELLS)]
    allows = {(*cells[number % CELLS], target): None for number, target in enumerate(targets)}
    while len(allows) < LIMITS["rules"] - DENIES:
        allows[(*chance.choice(cells), chance.choice(targets))] = None
    rows = [_row(*allow, "allow", chance.sample(GATES[:2], chance.randint(0, 2))) for allow in allows]
    for number in range(DENIES):
        who = f"@d{number // 2}" if number < DENIES - 2 else "app:*"
        rows.append(_row(who, "act.*", GLOBS[number % 2], "deny", [GATES[2 + number % 2]]))
    chance.shuffle(rows)
    return rows


def _row(subject: str, action: str, target: str, effect: str, gates: list[str]) -> list[str]:
    row = ["[[rule]]", f'subject = "{subject}"', f'action = "{action}"', f'target = "{target}"', f'effect = "{effect}"']
    return [*row, *([f"gates = {json.dumps(gates)}"] if gates else []), 'reason = "of the test"', ""]


def _delegates(chance: random.Random) -> list[list[str]]:
    rows: dict[tuple[str, str, str], None] = {}
    while len(rows) < DELEGATES:
        rows[chance.choice(SERVICES), chance.choice([*SERVICES, *APPS]), f"act.{chance.choice(ACTIONS)}"] = None
    return [
        [
            "[[delegate]]",
            f'asker = "{asker}"',
            f'subject = "{subject}"',
            f'actions = ["{action}"]',
            'reason = "of the test"',
        ]
        for asker, subject, action in rows
    ]
