"""Sheets of questions: a table, and lists of subjects, actions, targets and gate settings, every combination of which is asked.

The image builder writes them as module `policy_sheets` for guest/bench; the tests ask the same of the host's evaluator and of the
reference. Sheet 0 is the system's policy with its whole universe and what is undeclared, 1 a policy that fills the table, 2 one rule.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path

from nexus.contract.load import Contract
from nexus.policy.check import check_policy, load_policy
from nexus.policy.evaluate import EVERY_ACTION, Evaluator, evaluator_of, policy_files
from nexus.policy.full import full_contract, full_policy
from nexus.policy.model import is_app
from nexus.policy.raw import parse_raw
from nexus.policy.universe import gate_settings, universe_of
from nexus.policy.world import Names, world_of
from nexus.recipe.model import service_id

BLOCK = 4096  # decisions of one digest
SEED = 1
SIZES = (16, 12, 40)  # subjects, actions, targets that the full policy is asked about, besides what is undeclared
STRANGERS = ("stranger", "rngd2", "app")
STRANGE_ACTIONS = {"rng.entropyy": 0, "": 63, "far.away": 4095}
STRANGE_TARGETS = ("nowhere", "logd:", "LOGD")
STRANGE_GATE = "unheard_of"
ONE_RULE = """
[services]
only = "may do one thing"
[[rule]]
subject = "only"
action = "rng.entropy"
effect = "allow"
reason = "a table of one rule"
"""


@dataclass(frozen=True)
class Word:
    """One word of a question, as people write it, and as a caller of the guest's evaluator has it."""

    name: str
    number: int  # of an action its id, of a setting its bits; of a subject its dense index


@dataclass(frozen=True)
class Setting:
    gates: frozenset[str]
    number: int


@dataclass(frozen=True)
class Sheet:
    evaluator: Evaluator
    text: str  # the policy, for whoever reads it without this package
    contract: Contract
    subjects: tuple[Word, ...]
    actions: tuple[Word, ...]
    targets: tuple[str, ...]
    settings: tuple[Setting, ...]

    def __len__(self) -> int:
        return len(self.subjects) * len(self.actions) * len(self.targets) * len(self.settings)

    def points(self) -> Iterator[tuple[Word, Word, str, Setting]]:
        return product(self.subjects, self.actions, self.targets, self.settings)

    def answers(self) -> Iterator[int]:
        """What the evaluator says to each point on the host."""
        asked = self.evaluator
        places = [asked.place(word.name) for word in self.subjects]
        kinds = [asked.kind(name) for name in self.targets]
        numbers = [word.number for word in self.actions]
        for place, action, kind, gates in product(places, numbers, kinds, [one.number for one in self.settings]):
            yield asked.sel.decide(asked.rules, asked.oneself, place, EVERY_ACTION, action, kind, gates)


def sheets(contract: Contract, root: Path) -> tuple[Sheet, Sheet, Sheet]:
    return base_sheet(contract, root), full_sheet(contract, root), one_sheet(contract, root)


def base_sheet(contract: Contract, root: Path) -> Sheet:
    """The system's policy: its universe, and three undeclared of each kind."""
    files = policy_files(root)
    policy = load_policy(files, contract, root)
    asked = evaluator_of(policy, world_of(contract, policy.services), contract, root)
    universe = universe_of([policy], asked.world, Names.of(contract))
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    return _sheet(asked, text, contract, universe.subjects, universe.actions, universe.targets)


def full_sheet(contract: Contract, root: Path, seed: int = SEED) -> Sheet:
    """Some of a policy that fills the table, chosen so that rules meet."""
    own, text = full_contract(contract), full_policy(contract, seed)
    policy = check_policy([parse_raw(text, "full.toml")], own)
    asked = evaluator_of(policy, world_of(own, policy.services), own, root)
    chance = random.Random(seed)
    some = [rule for rule in policy.rules if rule.allow]
    words = [{rule.subject.text for rule in some}, {rule.action for rule in some}, {rule.target for rule in some}]
    picked = [chance.sample(sorted(names), count) for names, count in zip(words, SIZES, strict=True)]
    return _sheet(asked, text, own, *picked)


def one_sheet(contract: Contract, root: Path) -> Sheet:
    policy = check_policy([parse_raw(ONE_RULE, "one.toml")], contract)
    asked = evaluator_of(policy, world_of(contract, policy.services), contract, root)
    return _sheet(asked, ONE_RULE, contract, policy.services, ["rng.entropy"], ["-"])


def _sheet(
    asked: Evaluator,
    text: str,
    contract: Contract,
    subjects: Sequence[str],
    actions: Iterable[str],
    targets: Sequence[str],
) -> Sheet:
    services = asked.world.services
    known = [Word(name, services.index(name) if name in services else 0) for name in subjects]
    strange = [Word(name, len(services) + place) for place, name in enumerate(STRANGERS)]
    numbers = [Word(name, asked.world.actions[name]) for name in actions]
    return Sheet(
        asked,
        text,
        contract,
        (*known, *strange),
        (*numbers, *(Word(*one) for one in STRANGE_ACTIONS.items())),
        (*targets, *STRANGE_TARGETS),
        tuple(_settings(asked, contract)),
    )


def _settings(asked: Evaluator, contract: Contract) -> list[Setting]:
    """Every setting of the gates, and three with a gate that the policy does not know, where the table has room for one."""
    gates = list(contract.table("gate"))
    found = [Setting(some, asked.gates(some)) for some in gate_settings(gates)]
    unknown = 1 << len(gates)
    if unknown < 1 << contract.number("policy_limit.gates"):
        for some in (gates[:0], gates[-1:], gates):
            found.append(Setting(frozenset([*some, STRANGE_GATE]), asked.gates(some) | unknown))
    return found


def digests(answers: Iterable[int]) -> Iterator[str]:
    """SHA-256 of each block of decisions, four bytes each; the last block may be shorter."""
    answers = iter(answers)
    while block := list(islice(answers, BLOCK)):
        yield hashlib.sha256(struct.pack(f"<{len(block)}i", *block)).hexdigest()


def module_text(found: Sequence[Sheet], contract: Contract) -> str:
    """The guest's module: SHEETS as tuples of table, subjects (kind, index, id), actions, names, settings."""
    app, service = contract.number("kind.app"), contract.number("kind.service")
    lines = ["# Generated from recipes/policy. Do not edit.", "SHEETS = ("]
    for one in found:
        subjects = tuple(
            (app if is_app(word.name) else service, word.number, service_id(word.name)) for word in one.subjects
        )
        actions, names = tuple(word.number for word in one.actions), tuple(name.encode() for name in one.targets)
        settings = tuple(setting.number for setting in one.settings)
        lines.append(f"    ({one.evaluator.compiled.table!r}, {subjects}, {actions}, {names}, {settings}),")
    return "\n".join([*lines, ")", ""])
