"""Finds rules that another rule leaves without any effect. Called by check.py, which refuses them; pure.

A rule of a file counts as left without effect only by rules of the same file or of one below it: an overlay may take back or widen
what its base says, but nothing it says itself may be in vain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nexus.policy.model import Delegate, Rule
from nexus.recipe.fields import Problems
from nexus.recipe.raw import RawTable, Where

Tables = Mapping[Where, RawTable]
EFFECTS = {True: "allows", False: "denies"}


def rules(rules: Sequence[Rule], tables: Tables, problems: Problems) -> None:
    """An allow that is denied wherever it counts, and any rule that is part of another of the same effect."""
    order = {id(rule): (rule.layer, rule.where.line) for rule in rules}
    for rule in sorted(rules, key=lambda rule: order[id(rule)]):
        for other in rules:
            if other is rule or other.layer > rule.layer or not other.covers(rule):
                continue
            if rule.allow and not other.allow:
                found = f"an allow of what {other.where} denies altogether"
                problems.at(tables[rule.where], "effect", found, "a rule that has an effect")
                break
            equal = rule.covers(other) and order[id(rule)] < order[id(other)]
            if rule.allow == other.allow and not equal:
                found = f"a rule that is part of {other.where}"
                problems.at(tables[rule.where], "subject", found, f"one that {EFFECTS[rule.allow]} something more")
                break


def delegates(delegates: Sequence[Delegate], tables: Tables, problems: Problems) -> None:
    """A row that says nothing beyond another one."""
    for number, row in enumerate(delegates):
        for place, other in enumerate(delegates):
            covered = (
                other.asker.covers(row.asker) and other.subject.covers(row.subject) and row.actions <= other.actions
            )
            equal = row.asker.covers(other.asker) and row.subject.covers(other.subject) and other.actions <= row.actions
            if place != number and covered and not (equal and number < place):
                found = f"a row that is part of {other.where}"
                problems.at(tables[row.where], "asker", found, "one that lets somebody ask something more")
                break
