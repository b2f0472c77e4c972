"""What is odd about rules that are right: without effect, out of reach, of no use to those they speak of, or wide.

Called by verbs/policy.py. Counts questions that a server could really ask, and what each rule opens of them. Changes no policy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from nexus.policy.explain import decisive, matching
from nexus.policy.model import Delegate, Policy, Rule, World
from nexus.policy.universe import Point, Universe, real_targets, universe_of
from nexus.policy.world import Names
from nexus.recipe.raw import Where

SHADOWED, UNREACHABLE, UNUSED, BROAD = "shadowed", "unreachable", "never-used", "over-broad"
BROAD_FROM = 200  # points that one rule may open before it is told
ROUTE = "route"


@dataclass(frozen=True)
class Finding:
    kind: str
    where: Where
    text: str
    points: int


@dataclass
class Census:
    """Of each rule, by number: how many real questions it matches, opens (an allow) or closes (a deny), and alone."""

    points: int = 0
    matched: Counter[int] = field(default_factory=Counter)
    opened: Counter[int] = field(default_factory=Counter)
    alone: Counter[int] = field(default_factory=Counter)
    disputed: Counter[int] = field(default_factory=Counter)  # closed by it although something allows them


def lint(policy: Policy, world: World, names: Names, broad_from: int = BROAD_FROM) -> tuple[list[Finding], Census]:
    """Findings in the order of the files, and the census that they rest on."""
    universe = universe_of([policy], world, names)
    census = take_census(policy, universe, names)
    found = [one for rule in policy.rules for one in _of_rule(rule, policy, universe, census, names, broad_from)]
    found += [one for row in policy.delegates for one in _of_delegate(row, universe, names)]
    found += _of_domains(policy)
    return sorted(found, key=lambda one: (policy.files.index(one.where.file), one.where.line, one.kind)), census


def questions(universe: Universe, names: Names) -> Iterator[Point]:
    """What servers could ask: each action with targets of its own kind."""
    for action in universe.actions:
        for target in real_targets(universe, names, action):
            for subject in universe.subjects:
                for gates in universe.settings:
                    yield subject, action, target, gates


def take_census(policy: Policy, universe: Universe, names: Names) -> Census:
    census = Census()
    known: dict[tuple[str, str, str], list[Rule]] = {}
    for subject, action, target, gates in questions(universe, names):
        key = subject, action, target
        if key not in known:
            known[key] = matching(policy, *key)
        census.points += 1
        counting = [rule for rule in known[key] if rule.counts(gates)]
        census.matched.update(rule.number for rule in counting)
        rule = decisive(counting, gates)
        if rule is None:
            continue
        agreeing = [other.number for other in counting if other.allow == rule.allow]
        census.opened.update(agreeing)
        if len(agreeing) < len(counting):
            census.disputed.update(agreeing)
        if _answer_without(counting, rule) != rule.allow:
            census.alone[rule.number] += 1
    return census


def _answer_without(counting: Collection[Rule], gone: Rule) -> bool:
    """The verdict if this one rule were not there."""
    left = [rule for rule in counting if rule is not gone]
    return bool(left) and all(rule.allow for rule in left)


def _of_rule(
    rule: Rule, policy: Policy, universe: Universe, census: Census, names: Names, broad_from: int
) -> Iterator[Finding]:
    opened, alone = census.opened[rule.number], census.alone[rule.number]
    if not census.matched[rule.number]:
        yield Finding(UNREACHABLE, rule.where, "no question of this system can match it", 0)
        return
    if not rule.allow and not census.disputed[rule.number]:
        yield Finding(UNUSED, rule.where, f"nothing allows any of the {opened} points that it denies", opened)
    elif not alone:
        done = "allowed" if rule.allow else "denied"
        text = "without it every question is answered as it is now"
        yield Finding(SHADOWED, rule.where, f"{text}; its {opened} points are {done} by others too", opened)
    if rule.allow and opened > broad_from:
        yield Finding(BROAD, rule.where, f"opens {opened} points, {alone} of them alone", opened)
    if rule.allow:
        for subject in universe.subjects:
            useless = sorted({names.servers[action] for action in _out_of_reach(rule, subject, policy, names)})
            if useless:
                text = f"{subject} has no route to {', '.join(useless)}"
                yield Finding(UNUSED, rule.where, text, opened)


def _out_of_reach(rule: Rule, subject: str, policy: Policy, names: Names) -> list[str]:
    """Actions that the rule allows to somebody who can't get to the service that does them."""
    if not rule.subject.matches(subject):
        return []
    return [
        action
        for action in rule.actions
        if action != ROUTE and not _has_route(policy, subject, names.servers[action], names)
    ]


def _has_route(policy: Policy, subject: str, server: str, names: Names) -> bool:
    """Whether some setting of the gates lets the subject have the service itself, or a facet of it."""
    wanted = names.routes([server])
    return any(
        rule.allow and ROUTE in rule.actions and any(rule.matches(subject, ROUTE, name) for name in wanted)
        for rule in policy.rules
    )


def _of_delegate(row: Delegate, universe: Universe, names: Names) -> Iterator[Finding]:
    for asker in sorted(name for name in universe.subjects if row.asker.matches(name)):
        foreign = sorted(action for action in row.actions if names.servers[action] != asker)
        if foreign:
            yield Finding(UNUSED, row.where, f"{asker} does not do {', '.join(foreign)}, so it never asks for it", 0)


def _of_domains(policy: Policy) -> Iterator[Finding]:
    used = {rule.subject.text for rule in policy.rules}
    used |= {selector.text for row in policy.delegates for selector in (row.asker, row.subject)}
    for name in policy.domains:
        if f"@{name}" not in used:
            yield Finding(UNUSED, policy.domain_places[name], f"no rule speaks of @{name}", 0)
