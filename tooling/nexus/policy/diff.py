"""Which decisions a change of policy changes: exactly those, as a set, and drawn together for people.

Called by verbs/policy.py. Both policies are asked every question of their joint universe through the evaluator.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from nexus.policy.evaluate import Evaluator
from nexus.policy.universe import Gates, Point, Universe, universe_of
from nexus.policy.world import Names

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Change:
    """One decision that is another one now; rule numbers are those of each policy, 0 for none."""

    subject: str
    action: str
    target: str
    gates: Gates
    now_allowed: bool
    old_rule: int
    new_rule: int

    @property
    def point(self) -> Point:
        return self.subject, self.action, self.target, self.gates


@dataclass(frozen=True)
class DelegateChange:
    """Who may now ask, or no longer, about whom for what."""

    asker: str
    subject: str
    action: str
    now_allowed: bool


@dataclass(frozen=True)
class Group:
    """Changes that differ in subject, target and gates only, every one of their combinations."""

    action: str
    now_allowed: bool
    subjects: tuple[str, ...]
    targets: tuple[str, ...]
    settings: tuple[Gates, ...]

    def __len__(self) -> int:
        return len(self.subjects) * len(self.targets) * len(self.settings)


def joint_universe(old: Evaluator, new: Evaluator, names: Names) -> Universe:
    """All questions on which the two could differ."""
    return universe_of([old.policy, new.policy], new.world, names)


def diff(old: Evaluator, new: Evaluator, universe: Universe) -> list[Change]:
    """Every question of the universe that the new policy answers otherwise, in the universe's order."""
    changes = []
    for point, before, after in zip(universe.points(), old.answers(universe), new.answers(universe), strict=True):
        if (before > 0) != (after > 0):
            changes.append(Change(*point, after > 0, old.sel.rule(before), new.sel.rule(after)))
    return changes


def delegate_diff(old: Evaluator, new: Evaluator, universe: Universe) -> list[DelegateChange]:
    """The same of the delegate rows."""
    changes = []
    for asker in new.world.services:
        for subject in universe.subjects:
            for action in universe.actions:
                before, after = (
                    any(row.matches(asker, subject, action) for row in one.policy.delegates) for one in (old, new)
                )
                if before != after:
                    changes.append(DelegateChange(asker, subject, action, after))
    return changes


def grouped(changes: Sequence[Change]) -> list[Group]:
    """The same set in fewer lines: equal gates drawn together, then equal targets, then equal subjects."""
    by_target = _collect(((one.action, one.now_allowed, one.subject, one.target), one.gates) for one in changes)
    by_subject = _collect(((key[:3], tuple(settings)), key[3]) for key, settings in by_target.items())
    by_action = _collect(
        ((key[0], key[1], tuple(targets), settings), key[2]) for (key, settings), targets in by_subject.items()
    )
    return [
        Group(action, now_allowed, tuple(subjects), targets, settings)
        for (action, now_allowed, targets, settings), subjects in by_action.items()
    ]


def _collect(pairs: Iterable[tuple[Key, Value]]) -> dict[Key, list[Value]]:
    """Values by key, in the order in which they come."""
    found: dict[Key, list[Value]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found
