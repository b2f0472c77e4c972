"""Every question that tells two policies apart: subjects, actions, targets, settings of the gates, as finite lists.

Used by lint, diff, matrix and the tests of agreement. Of the endlessly many names that targets can have it takes those that are
declared and, for each set of patterns that some name matches, one such name: names that the same patterns match are decided alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from nexus.policy import automaton
from nexus.policy.fields import BUNDLE
from nexus.policy.model import Policy, World, glob_matches
from nexus.policy.world import Names

Gates = frozenset[str]
Point = tuple[str, str, str, Gates]
UNDECLARED_APP = "app:undeclared"
FILLER = "x"  # what a star stands for in a name made from a pattern


@dataclass(frozen=True)
class Universe:
    subjects: tuple[str, ...]
    actions: tuple[str, ...]
    targets: tuple[str, ...]
    settings: tuple[Gates, ...]

    def __len__(self) -> int:
        return len(self.subjects) * len(self.actions) * len(self.targets) * len(self.settings)

    def points(self) -> Iterator[Point]:
        return product(self.subjects, self.actions, self.targets, self.settings)


def gate_settings(gates: Iterable[str]) -> tuple[Gates, ...]:
    """Every set of open gates, from none to all."""
    names = sorted(gates)
    return tuple(frozenset(some) for count in range(len(names) + 1) for some in combinations(names, count))


def universe_of(policies: Sequence[Policy], world: World, names: Names) -> Universe:
    """The questions that matter to any of these policies in this world; diff asks two."""
    apps = sorted({app for policy in policies for app in policy.apps})
    patterns = [rule.target for policy in policies for rule in policy.rules]
    services = [*world.services, *(name for policy in policies for name in policy.services)]
    return Universe(
        (*dict.fromkeys(world.services), *apps, UNDECLARED_APP),
        tuple(names.actions),
        tuple(target_names(patterns, declared_targets(names, services), world.limits["words"])),
        gate_settings(world.gates),
    )


def declared_targets(names: Names, services: Sequence[str]) -> list[str]:
    kinds = dict.fromkeys(names.kinds.values())
    return list(dict.fromkeys(name for kind in kinds for name in names.targets(kind, services)))


def target_names(patterns: Iterable[str], declared: Sequence[str], most_words: int) -> list[str]:
    """Declared names, one that is none of them, and one for each further kind of target; readable where that is possible."""
    patterns = sorted(set(patterns))
    reader = automaton.build(patterns, most_words)
    found = [*declared, *([FILLER] if FILLER not in declared else [])]
    seen = {reader.kind(name) for name in found}
    made = [pattern.replace("*", FILLER) for pattern in patterns]
    for name in [*made, *reader.samples.values()]:
        kind = reader.kind(name)
        if kind not in seen and kind != automaton.NO_NAME:
            seen.add(kind)
            found.append(name)
    return found


def real_targets(universe: Universe, names: Names, action: str) -> list[str]:
    """Those targets that a server would name for the action: routes, purposes, bundles, or none."""
    kind = names.kinds[action]
    if kind == "bundle":
        known = {name for other in ("route", "purpose") for name in names.targets(other, universe.subjects)}
        return [name for name in universe.targets if BUNDLE.fullmatch(name) and name not in known | {names.no_target}]
    return [name for name in universe.targets if name in names.targets(kind, universe.subjects)]


def like(patterns: Iterable[str], name: str) -> list[str]:
    """Patterns of the policy that make a name what it is; the name itself is not told again."""
    return [pattern for pattern in sorted(set(patterns)) if pattern != name and glob_matches(pattern, name)]
