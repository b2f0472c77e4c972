"""Exhaustive agreement: the shipped evaluator on the compiled table and the reference, which reads the rules itself, say the same to
every question of the base policy's universe, and to more of policies that fill the table. Points are counted before any is decided."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import generate
import make
import pytest
from make import CONTRACT, ROOT
from reference import Reference, reference_of

from nexus import layout
from nexus.policy.check import check_policy
from nexus.policy.evaluate import EVERY_ACTION, Evaluator, evaluator_of, policy_files
from nexus.policy.raw import parse_raw
from nexus.policy.universe import gate_settings, universe_of
from nexus.policy.world import Names, world_of

LEAST_POINTS = 250_000
SEEDS = (1, 2)  # of the policies that make up what the base policy's universe lacks
FEWEST = 20_000
UNDECLARED = 3  # of each kind
STRANGERS = ("stranger", "rngd2", "app")
STRANGE_ACTIONS = {"rng.entropyy": 20, "": 0, "far.away": 4095}
STRANGE_TARGETS = ("nowhere", "logd:", "LOGD")
NAMED_APP = "app:selftest.echo"


@dataclass(frozen=True)
class Word:
    """One word of a question, as the reference reads it and as the evaluator gets it."""

    name: str
    number: int


Words = list[Word]


@dataclass(frozen=True)
class Questions:
    subjects: Words
    actions: Words
    targets: Words
    settings: list[tuple[frozenset[str], int]]

    def __len__(self) -> int:
        return len(self.subjects) * len(self.actions) * len(self.targets) * len(self.settings)


def questions(asked: Evaluator, names: Names) -> Questions:
    """The universe of a policy, and three undeclared of each kind."""
    universe = universe_of([asked.policy], asked.world, names)
    unknown_gate = 1 << len(names.gates)
    settings = [(gates, asked.gates(gates)) for gates in gate_settings(names.gates)]
    some = [frozenset(), frozenset([*names.gates][-1:]), frozenset(names.gates)]
    strange = [(gates | {"unheard_of"}, asked.gates(gates) | unknown_gate) for gates in some]
    strangers = [*STRANGERS, *([NAMED_APP] if NAMED_APP not in universe.subjects else [])]
    return Questions(
        [Word(name, asked.place(name)) for name in (*universe.subjects, *strangers)],
        [Word(name, asked.action(name)) for name in universe.actions] + [Word(*one) for one in STRANGE_ACTIONS.items()],
        [Word(name, asked.kind(name)) for name in (*universe.targets, *STRANGE_TARGETS)],
        settings + (strange if unknown_gate < 1 << CONTRACT.number("policy_limit.gates") else []),
    )


def differences(
    asked: Evaluator, second: Reference, points: Iterator[tuple[Word, Word, Word, tuple[frozenset[str], int]]]
) -> list[str]:
    found = []
    for subject, action, target, (gates, setting) in points:
        said = asked.sel.decide(
            asked.rules, asked.oneself, subject.number, EVERY_ACTION, action.number, target.number, setting
        )
        if (said > 0) != second.allows(subject.name, action.name, target.name, set(gates)):
            found.append(f"{subject.name} {action.name} {target.name} {sorted(gates)}: {said}")
    return found


@pytest.fixture(scope="module")
def base() -> tuple[Evaluator, Reference]:
    return make.base(), reference_of(policy_files(ROOT), layout.contract_dir(ROOT) / "policy.toml")


def full(seed: int) -> tuple[Evaluator, Reference]:
    """A policy that fills the table, with its reference."""
    contract, text = generate.full_contract(), generate.full_policy(seed)
    policy = check_policy([parse_raw(text, "full.toml")], contract)
    asked = evaluator_of(policy, world_of(contract, policy.services), contract, ROOT)
    return asked, Reference([text], generate.contract_text())


def test_universe_has_three_undeclared_of_each_kind(base: tuple[Evaluator, Reference]) -> None:
    asked, second = base
    every = questions(asked, Names.of(CONTRACT))
    declared = set(asked.world.services)
    assert len([word for word in every.subjects if word.number == 0 and word.name not in declared]) == UNDECLARED
    assert len([word for word in every.actions if word.name not in second.numbers]) == UNDECLARED
    assert {word.name for word in every.targets} >= set(STRANGE_TARGETS)
    assert len([gates for gates, _ in every.settings if "unheard_of" in gates]) == UNDECLARED


def test_every_decision_of_the_base_policy(base: tuple[Evaluator, Reference]) -> None:
    asked, second = base
    every = questions(asked, Names.of(CONTRACT))
    print(f"{len(every)} points")
    found = differences(asked, second, product(every.subjects, every.actions, every.targets, every.settings))
    assert found == []
    granted = sum(
        second.allows(subject.name, action.name, target.name, set(gates))
        for subject, action, target, (gates, _) in product(every.subjects, every.actions, every.targets, every.settings)
    )
    assert 0 < granted < len(every) // 20, "the base policy grants little, but not nothing"


@pytest.mark.parametrize("seed", SEEDS)
def test_policies_that_fill_the_table(base: tuple[Evaluator, Reference], seed: int) -> None:
    missing = LEAST_POINTS - len(questions(base[0], Names.of(CONTRACT)))
    asked, second = full(seed)
    every = questions(asked, Names.of(generate.full_contract()))
    assert len(asked.policy.rules) == generate.LIMITS["rules"]
    assert len(asked.compiled.subjects) + 2 == generate.LIMITS["subjects"]
    assert generate.LIMITS["targets"] - 5 <= len(asked.compiled.names.kinds) + 1 <= generate.LIMITS["targets"]
    chance = random.Random(seed)
    count = max(missing // len(SEEDS) + 1, FEWEST)
    print(f"{count} of {len(every)} points")
    picked = (
        (chance.choice(every.subjects), chance.choice(every.actions), chance.choice(every.targets), chance.choice(every.settings))
        for _ in range(count)
    )  # fmt: skip
    assert differences(asked, second, picked) == []
    assert differences(asked, second, beside_rules(asked, every)) == []


def beside_rules(asked: Evaluator, every: Questions) -> Iterator[tuple[Word, Word, Word, tuple[frozenset[str], int]]]:
    """Every rule's own question under every setting: what chance would hardly ever ask."""
    subjects, targets = ({word.name: word for word in words} for words in (every.subjects, every.targets))
    for rule in asked.policy.rules:
        subject, target = subjects.get(rule.subject.text), targets.get(rule.target)
        for action in (word for word in every.actions if word.name in rule.actions):
            if subject and target:
                yield from ((subject, action, target, setting) for setting in every.settings)


def test_agreement_can_fail(base: tuple[Evaluator, Reference]) -> None:
    """One word of the table changed, and the comparison says where."""
    asked, second = base
    verdicts = list(asked.rules[3])
    first = next(place for place, word in enumerate(verdicts) if word & CONTRACT.number("policy_table.verdict_allow"))
    verdicts[first] = 0
    broken = Evaluator(asked.sel, asked.compiled, asked.policy, asked.world, CONTRACT)
    broken.rules = (*asked.rules[:3], verdicts, asked.rules[4])
    every = questions(asked, Names.of(CONTRACT))
    assert differences(broken, second, product(every.subjects, every.actions, every.targets, every.settings))
