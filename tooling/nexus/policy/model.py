"""A checked policy as frozen values, and the world that it is asked about: subjects, actions, targets, gates.

Made only by check.py and world.py; whoever holds a Policy may rely on every rule of check.py. Reads no file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from nexus.recipe.model import APP_PREFIX, APPS
from nexus.recipe.raw import Where

ALLOW, DENY = "allow", "deny"
EVERYBODY = "*"
NAME_BYTES = b"abcdefghijklmnopqrstuvwxyz0123456789.:_-"  # what the name of a target may consist of


def is_app(subject: str) -> bool:
    return subject.startswith(APP_PREFIX)


def glob_matches(pattern: str, name: str) -> bool:
    """`*` stands for any number of any characters; everything else for itself."""
    if "*" not in pattern:
        return pattern == name
    return _compiled(pattern).fullmatch(name) is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in pattern.split("*")), re.DOTALL)


def glob_covers(pattern: str, other: str) -> bool:
    """Whether whatever matches the other pattern matches this one.

    A star of the other may stand for text that this one has nowhere, so only a star of this one can take it.
    """
    return glob_matches(pattern, other.replace("*", "\0"))


@dataclass(frozen=True)
class Selector:
    """A subject as written, and the names that it stands for."""

    text: str
    names: frozenset[str]  # static names, or one app; empty for the two that stand for unlisted ones

    def matches(self, subject: str) -> bool:
        if self.text == EVERYBODY or (self.text == APPS and is_app(subject)):
            return True
        return subject in self.names

    def covers(self, other: Selector) -> bool:
        if self.text == EVERYBODY or self.text == other.text:
            return True
        if other.text in (EVERYBODY, APPS):
            return False
        return all(self.matches(name) for name in other.names)


@dataclass(frozen=True)
class Rule:
    """One rule; `number` is what the audit calls it: its place among all rules of the policy, sorted by what they say."""

    number: int
    subject: Selector
    action: str
    actions: frozenset[str]  # names that the pattern matches
    target: str
    allow: bool
    gates: frozenset[str]  # all must be open for the rule to count
    reason: str
    where: Where
    layer: int  # which file of the policy, from 0

    @property
    def effect(self) -> str:
        return ALLOW if self.allow else DENY

    def matches(self, subject: str, action: str, target: str) -> bool:
        return action in self.actions and self.subject.matches(subject) and glob_matches(self.target, target)

    def counts(self, gates: Iterable[str]) -> bool:
        """Whether its gates are open."""
        return self.gates <= set(gates)

    def covers(self, other: Rule) -> bool:
        """Whether this rule counts wherever the other does."""
        return (
            other.actions <= self.actions
            and self.gates <= other.gates
            and self.subject.covers(other.subject)
            and glob_covers(self.target, other.target)
        )


@dataclass(frozen=True)
class Delegate:
    """Who may ask about whom for which actions; grants nothing by itself."""

    asker: Selector
    subject: Selector
    actions: frozenset[str]
    reason: str
    where: Where

    def matches(self, asker: str, subject: str, action: str) -> bool:
        return action in self.actions and self.asker.matches(asker) and self.subject.matches(subject)


@dataclass(frozen=True)
class Policy:
    """All files merged and checked; rules by number from 1."""

    services: tuple[str, ...]  # id names that rules may speak of
    domains: Mapping[str, tuple[str, ...]]
    rules: tuple[Rule, ...]
    delegates: tuple[Delegate, ...]
    files: tuple[str, ...]
    domain_places: Mapping[str, Where]

    @property
    def apps(self) -> tuple[str, ...]:
        """Apps that some rule or delegate names."""
        selectors = [rule.subject for rule in self.rules] + [row.subject for row in self.delegates]
        return tuple(sorted({name for selector in selectors for name in selector.names if is_app(name)}))


@dataclass(frozen=True)
class World:
    """Whom and what questions may name, with the numbers that the table needs."""

    services: tuple[str, ...]  # id names by dense index
    actions: Mapping[str, int]
    gates: Mapping[str, int]  # bits
    open_gates: frozenset[str]  # by the boot manifest
    limits: Mapping[str, int]
