"""Exhaustive agreement: the shipped evaluator on the compiled table and the reference, which reads the rules itself, say the same to
every question of the base policy's universe, and to more of policies that fill the table. Points are counted before any is decided.
The same sheets are asked in the machine by tests/os/test_policy.py."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import lru_cache

import pytest
from make import CONTRACT, ROOT
from reference import Reference

from nexus.policy.sheets import (
    STRANGE_ACTIONS,
    STRANGE_GATE,
    STRANGE_TARGETS,
    STRANGERS,
    Setting,
    Sheet,
    Word,
    base_sheet,
    full_sheet,
    one_sheet,
)  # fmt: skip

LEAST_POINTS = 250_000
SEEDS = (1, 2)
PICKED = 20_000
LIMITS = CONTRACT.table("policy_limit")


@lru_cache
def base() -> Sheet:
    return base_sheet(CONTRACT, ROOT)


@lru_cache
def full(seed: int) -> Sheet:
    return full_sheet(CONTRACT, ROOT, seed)


def reference_of(sheet: Sheet) -> Reference:
    words = {name: sheet.contract.files["policy.toml"][name] for name in ("action", "action_name")}
    lines = [
        f"[{name}]\n" + "".join(f"{key} = {value!r}\n" for key, value in table.items()) for name, table in words.items()
    ]
    return Reference([sheet.text], "".join(lines))


Point = tuple[Word, Word, str, Setting]


def differences(second: Reference, said: Iterator[tuple[Point, int]]) -> list[str]:
    return [
        f"{subject.name} {action.name} {target} {sorted(setting.gates)}: {answer}"
        for (subject, action, target, setting), answer in said
        if (answer > 0) != second.allows(subject.name, action.name, target, set(setting.gates))
    ]


def whole(sheet: Sheet) -> Iterator[tuple[Point, int]]:
    return zip(sheet.points(), sheet.answers(), strict=True)


def test_there_are_enough_points() -> None:
    sizes = [len(base()), len(full(SEEDS[0]))]
    print(f"{sizes[0]} points of the base policy, {sizes[1]} of one that fills the table")
    assert sum(sizes) >= LEAST_POINTS


def test_three_undeclared_of_each_kind_are_asked() -> None:
    sheet, second = base(), reference_of(base())
    names = {word.name for word in sheet.subjects}
    named = {rule["subject"] for rule in second.rules.values()} - {"app:*"}
    apps = {name for name in named if name.startswith("app:")}
    assert apps
    assert names - second.services == {*STRANGERS, *apps, "app:undeclared"}
    assert {word.name for word in sheet.actions} - set(second.numbers) == set(STRANGE_ACTIONS)
    assert not {word.number for word in sheet.actions if word.name in STRANGE_ACTIONS} & set(second.numbers.values())
    assert set(STRANGE_TARGETS) <= set(sheet.targets)
    assert len([setting for setting in sheet.settings if STRANGE_GATE in setting.gates]) == 3


def test_every_decision_of_the_base_policy() -> None:
    second = reference_of(base())
    assert differences(second, whole(base())) == []
    granted = sum(answer > 0 for answer in base().answers())
    assert 0 < granted < len(base()) // 20, "the base policy grants little, but not nothing"


@pytest.mark.parametrize("seed", SEEDS)
def test_decisions_of_a_policy_that_fills_the_table(seed: int) -> None:
    sheet = full(seed)
    asked = sheet.evaluator
    assert len(asked.policy.rules) == LIMITS["rules"]
    assert len(asked.policy.delegates) == LIMITS["delegates"]
    assert len(asked.compiled.subjects) + 2 == LIMITS["subjects"]
    assert max(asked.world.actions.values()) + 1 == LIMITS["actions"]
    assert LIMITS["targets"] - 5 <= len(asked.compiled.names.kinds) + 1 <= LIMITS["targets"]
    second = reference_of(sheet)
    assert differences(second, whole(sheet)) == []
    assert differences(second, ((point, answer(sheet, point)) for point in anywhere(sheet, random.Random(seed)))) == []
    assert differences(second, ((point, answer(sheet, point)) for point in beside_rules(sheet))) == []


def answer(sheet: Sheet, point: Point) -> int:
    subject, action, target, setting = point
    asked = sheet.evaluator
    places = asked.oneself, asked.place(subject.name), -1
    return int(asked.sel.decide(asked.rules, *places, action.number, asked.kind(target), setting.number))


def anywhere(sheet: Sheet, chance: random.Random) -> Iterator[Point]:
    """Points of the whole policy, of which the sheet holds a part."""
    asked = sheet.evaluator
    subjects = [Word(name, 0) for name in asked.compiled.subjects if name != "app:*"]
    actions = [Word(name, number) for name, number in asked.world.actions.items()]
    targets = sorted({rule.target.replace("*", "q") for rule in asked.policy.rules})
    for _ in range(PICKED):
        yield chance.choice(subjects), chance.choice(actions), chance.choice(targets), chance.choice(sheet.settings)


def beside_rules(sheet: Sheet) -> Iterator[Point]:
    """Every rule's own question under every setting: what chance would hardly ever ask."""
    for rule in sheet.evaluator.policy.rules:
        if rule.allow:
            action = Word(rule.action, sheet.evaluator.world.actions[rule.action])
            yield from ((Word(rule.subject.text, 0), action, rule.target, setting) for setting in sheet.settings)


def test_questions_about_others() -> None:
    """Who may ask: every asker, subject and action of a policy with as many delegate rows as there can be."""
    sheet = full(SEEDS[0])
    asked, second = sheet.evaluator, reference_of(sheet)
    askers = [name for name in asked.compiled.subjects if name != "app:*"]
    places = {name: asked.place(name) for name in askers}
    found = []
    for asker in askers:
        for subject in askers:
            for action, number in asked.world.actions.items():
                said = asked.sel.decide(asked.rules, places[asker], places[subject], -1, number, 1, 0)
                if bool(asked.sel.reason(said) & asked.sel.MAY_ASK) != second.may_ask(asker, subject, action):
                    found.append((asker, subject, action))
    assert found == []


def test_a_table_of_one_rule_allows_one_thing() -> None:
    sheet = one_sheet(CONTRACT, ROOT)
    allowed = {(subject.name, action.name, target) for (subject, action, target, _), said in whole(sheet) if said > 0}
    assert allowed == {("only", "rng.entropy", "-")}


def test_agreement_can_fail() -> None:
    """One word of the table changed, and the comparison says where."""
    sheet = base_sheet(CONTRACT, ROOT)
    asked = sheet.evaluator
    verdicts = list(asked.rules[3])
    first = next(place for place, word in enumerate(verdicts) if word & CONTRACT.number("policy_table.verdict_allow"))
    verdicts[first] = 0
    asked.rules = (*asked.rules[:3], verdicts, asked.rules[4])
    assert differences(reference_of(sheet), whole(sheet))
