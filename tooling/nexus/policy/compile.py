"""Compiles a checked policy for one system into the table that guest/lib/nexus_sel.py decides by.

Called by evaluate.py. Pure: the same rules and services give the same bytes, whatever the order in which the rules are written.
The form of the table is in recipes/contract/policy.toml.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from nexus.contract.load import Contract
from nexus.errors import RecipeError
from nexus.policy import automaton
from nexus.policy.automaton import Automaton
from nexus.policy.model import Policy, Rule, World
from nexus.recipe.model import APPS, service_id

ACTIONS = 64  # columns of a subject's row
NOBODY, ASKER, FIRST_SERVICE = 0, 1, 2  # rows of subjects
MAY_ASK = 2


class Rows:
    """Rows of equal length that are kept once each; a row is known by the place where it begins."""

    def __init__(self, first: Sequence[int]) -> None:
        self.words: list[int] = []
        self.places: dict[tuple[int, ...], int] = {}
        self.place(first)

    def place(self, row: Sequence[int]) -> int:
        key = tuple(row)
        if key not in self.places:
            self.places[key] = len(self.words)
            self.words += key
        return self.places[key]


@dataclass(frozen=True)
class Compiled:
    """The table and what it was made from; `subjects` are the rows from FIRST_SERVICE on."""

    table: bytes
    subjects: tuple[str, ...]
    names: Automaton


def compile_table(policy: Policy, world: World, contract: Contract) -> Compiled:
    """The table of this policy in this world."""
    return _Compiler(policy, world, contract).compiled()


class _Compiler:
    def __init__(self, policy: Policy, world: World, contract: Contract) -> None:
        self.policy, self.world = policy, world
        self.layout = contract.table("policy_table")
        self.settings = 1 << world.limits["gates"]
        self.subjects = (*world.services, APPS, *policy.apps)
        self.need("subjects", len(self.subjects) + FIRST_SERVICE)
        self.need("actions", max(world.actions.values()) + 1)
        self.names = self.automaton()
        self.kind_count = len(self.names.kinds) + 1
        self.need("targets", self.kind_count)
        self.verdicts = Rows([0] * self.settings)
        self.kinds = Rows([0] * self.kind_count)
        self.delegates = Rows([0] * (FIRST_SERVICE + len(self.subjects)))
        self.known_kinds: dict[tuple[int, ...], int] = {}

    def need(self, limit: str, found: int) -> None:
        """Refuse what the table's form has no room for."""
        if found > self.world.limits[limit]:
            expected = f"at most {self.world.limits[limit]} (recipes/contract/policy.toml: {limit})"
            raise RecipeError(f"{self.policy.files[-1]}:1: {limit}: found {found}, expected {expected}")

    def automaton(self) -> Automaton:
        try:
            return automaton.build((rule.target for rule in self.policy.rules), self.world.limits["words"])
        except automaton.TooLarge as error:
            expected = f"at most {self.world.limits['words']} words; fewer or simpler target patterns"
            raise RecipeError(f"{self.policy.files[-1]}:1: target: found {error}, expected {expected}") from error

    def compiled(self) -> Compiled:
        cells, askers = self.cells()
        apps = [self.app(name) for name in self.policy.apps]
        sections = [cells, askers, self.kinds.words, self.verdicts.words, self.delegates.words]
        sections += [list(self.names.symbols), list(self.names.states), [word for app in apps for word in app]]
        for section in sections:
            self.need("words", len(section))
        words = self.header(sections, len(apps)) + [word for section in sections for word in section]
        table = struct.pack(f"<{len(words)}H", *words)
        self.need("bytes", len(table))
        return Compiled(table, self.subjects, self.names)

    def header(self, sections: Sequence[Sequence[int]], apps: int) -> list[int]:
        magic = self.layout["magic"]
        cells, _, kinds, verdicts, delegates, _, states, _ = map(len, sections)
        gates = sum(self.world.gates[gate] for gate in self.world.open_gates)
        counts = [
            cells,
            kinds,
            verdicts,
            delegates,
            states,
            apps,
            len(self.world.services),
            gates,
            len(self.policy.rules),
        ]
        return [magic & 0xFFFF, magic >> 16, self.layout["version"], *counts]

    def cells(self) -> tuple[list[int], list[int]]:
        """The rows of all subjects; those of nobody and of the asker itself let nothing pass."""
        cells = [0] * ACTIONS * FIRST_SERVICE
        askers = [self.asker_row("", "")] * ACTIONS * FIRST_SERVICE
        spelled = {number: name for name, number in self.world.actions.items()}
        for subject in self.subjects:
            for number in range(ACTIONS):
                action = spelled.get(number, "")
                cells.append(self.cell(subject, action))
                askers.append(self.asker_row(subject, action))
        return cells, askers

    def cell(self, subject: str, action: str) -> int:
        """Place in `kinds` of the row that says how this subject and action are decided for each kind of target."""
        rules = [rule for rule in self.policy.rules if action in rule.actions and rule.subject.matches(subject)]
        key = tuple(rule.number for rule in rules)
        if key not in self.known_kinds:
            row = [0] * self.kind_count
            for patterns, kind in self.names.kinds.items():
                row[kind] = self.verdict([rule for rule in rules if rule.target in patterns])
            self.known_kinds[key] = self.kinds.place(row)
        return self.known_kinds[key]

    def verdict(self, rules: Sequence[Rule]) -> int:
        """Place in `verdicts` of what these rules say under each setting of the gates."""
        return self.verdicts.place([self.outcome(rules, setting) for setting in range(self.settings)])

    def outcome(self, rules: Sequence[Rule], setting: int) -> int:
        """Deny beats allow; of several that say the same, the lowest number is named."""
        counting = [rule for rule in rules if all(self.world.gates[gate] & setting for gate in rule.gates)]
        denials = [rule.number for rule in counting if not rule.allow]
        if denials:
            return min(denials)
        allows = [rule.number for rule in counting]
        return min(allows) | self.layout["verdict_allow"] if allows else 0

    def asker_row(self, subject: str, action: str) -> int:
        """Place in `delegates` of the row that says who may ask; for itself everybody may."""
        about = [row for row in self.policy.delegates if action in row.actions and row.subject.matches(subject)]
        allowed = [MAY_ASK if any(row.asker.matches(asker) for row in about) else 0 for asker in self.subjects]
        return self.delegates.place([0, MAY_ASK, *allowed])

    def app(self, name: str) -> list[int]:
        identity = service_id(name)
        row = FIRST_SERVICE + self.subjects.index(name)
        return [*(identity >> shift & 0xFFFF for shift in (0, 16, 32, 48)), row << self.layout["row_shift"]]
