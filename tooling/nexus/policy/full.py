"""A policy that fills the table: as many rules, subjects, actions, kinds of target, gates as it holds, made from a seed.

Used by sheets.py, which measures and compares decisions on it. Every rule in it has an effect, so the checker takes it like any other.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

from nexus.contract.load import Contract, digest_of

GATES = ("gate_a", "gate_b", "gate_c", "gate_d")
GLOBS = ("x*", "*x", "*.x*")
DENIES = 32
DOMAINS = DENIES // 2
CELLS = 150  # subjects and actions with rules of their own; more would leave no room for so many kinds of target
REASON = 'reason = "to fill the table"'


def full_contract(contract: Contract) -> Contract:
    """The contract with as many actions as a mask has bits and as many gates as a table knows; any target goes with any action."""
    limits = contract.table("policy_limit")
    numbers = range(1, limits["actions"])
    policy = dict(contract.files["policy.toml"])
    policy["action"] = {f"act{number}": number for number in numbers}
    policy["action_name"] = {f"act{number}": f"act.{number}" for number in numbers}
    policy["action_target"] = {f"act{number}": "bundle" for number in numbers}
    policy["action_server"] = {f"act{number}": "s0" for number in numbers}
    policy["gate"] = {name: 1 << place for place, name in enumerate(GATES[: limits["gates"]])}
    files = {**contract.files, "policy.toml": policy}
    return replace(contract, files=files, digest=digest_of(files))


def full_policy(contract: Contract, seed: int) -> str:
    """The text of one such policy."""
    return _Maker(contract, random.Random(seed)).text()


class _Maker:
    def __init__(self, contract: Contract, chance: random.Random) -> None:
        self.limits: Mapping[str, int] = contract.table("policy_limit")
        self.chance = chance
        self.services = [f"s{number}" for number in range(contract.number("limit.processes"))]
        apps = self.limits["subjects"] - len(self.services) - 3  # nobody, the asker itself, any other app
        self.subjects = [*self.services, *(f"app:a{number}" for number in range(apps))]
        self.actions = range(1, self.limits["actions"])

    def text(self) -> str:
        members = [json.dumps(self.chance.sample(self.services, 5)) for _ in range(DOMAINS)]
        lines = ["[services]", *(f'{name} = "to fill the table"' for name in self.services)]
        lines += ["[domains]", *(f"d{number} = {some}" for number, some in enumerate(members))]
        lines += [line for row in self.rules() for line in row]
        lines += [line for row in self.delegates() for line in row]
        return "\n".join(lines) + "\n"

    def rules(self) -> list[list[str]]:
        """Allows under two gates, denies under the two others: so no deny takes back all of an allow."""
        targets = self.names(self.limits["targets"] - 1 - 2 ** len(GLOBS))
        count = len(self.subjects)
        cells = [(self.subjects[n % count], f"act.{1 + n * 7 % len(self.actions)}") for n in range(CELLS)]
        allows = {(*cells[number % CELLS], target): None for number, target in enumerate(targets)}
        while len(allows) < self.limits["rules"] - DENIES:
            allows[(*self.chance.choice(cells), self.chance.choice(targets))] = None
        rows = [_row(*allow, "allow", self.chance.sample(GATES[:2], self.chance.randint(0, 2))) for allow in allows]
        for number in range(DENIES):
            who = f"@d{number // 2}" if number < DENIES - 2 else "app:*"
            rows.append(_row(who, "act.*", GLOBS[number % 2], "deny", [GATES[2 + number % 2]]))
        self.chance.shuffle(rows)
        return rows

    def names(self, count: int) -> list[str]:
        """Different names of targets, some of which begin or end alike."""
        found: dict[str, None] = {}
        while len(found) < count:
            stem = self.chance.choice(["", "x", "x.", "y-"])
            found[stem + "".join(self.chance.choices("abxz09.-", k=self.chance.randint(1, 4)))] = None
        return list(found)

    def delegates(self) -> list[list[str]]:
        rows: dict[tuple[str, str, str], None] = {}
        while len(rows) < self.limits["delegates"]:
            action = f"act.{self.chance.choice(self.actions)}"
            rows[self.chance.choice(self.services), self.chance.choice(self.subjects), action] = None
        return [
            ["[[delegate]]", f'asker = "{asker}"', f'subject = "{subject}"', f'actions = ["{action}"]', REASON]
            for asker, subject, action in rows
        ]


def _row(subject: str, action: str, target: str, effect: str, gates: Sequence[str]) -> list[str]:
    row = ["[[rule]]", f'subject = "{subject}"', f'action = "{action}"', f'target = "{target}"', f'effect = "{effect}"']
    return [*row, *([f"gates = {json.dumps(gates)}"] if gates else []), REASON, ""]
