"""What questions can name: actions, gates, targets of the contract, and the World of a system. Called by check.py and the verbs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nexus.contract.load import Contract
from nexus.policy.fields import BUNDLE
from nexus.policy.model import World, glob_matches
from nexus.recipe.graph import READY
from nexus.recipe.raw import did_you_mean


@dataclass(frozen=True)
class Names:
    """The contract's words of policy."""

    actions: Mapping[str, int]
    kinds: Mapping[str, str]  # of each action, what its target is: route, purpose, bundle, none
    servers: Mapping[str, str]  # of each action, who does it
    purposes: tuple[str, ...]
    gates: Mapping[str, int]
    facets: Mapping[str, tuple[str, ...]]  # of each server that has some
    no_target: str

    @staticmethod
    def of(contract: Contract) -> Names:
        spelled = contract.table("action_name")
        facets = [content.get("facet", {}) for content in contract.files.values()]
        return Names(
            {spelled[key]: number for key, number in contract.table("action").items()},
            {spelled[key]: kind for key, kind in contract.table("action_target").items()},
            {spelled[key]: server for key, server in contract.table("action_server").items()},
            tuple(contract.table("purpose_name").values()),
            contract.table("gate"),
            {server.replace("_", "-"): tuple(names) for table in facets for server, names in table.items()},
            contract.table("policy")["no_target"],
        )

    def routes(self, services: Iterable[str]) -> list[str]:
        """Every name that a question for a route can have."""
        found = []
        for service in services:
            facets = (*self.facets.get(service, ()), READY)
            found += [service, *(f"{service}:{facet}" for facet in facets)]
        return found

    def targets(self, kind: str, services: Iterable[str]) -> list[str]:
        """Names of the targets of one kind; bundles are not known before they are there."""
        known = {"route": self.routes(services), "purpose": list(self.purposes), "none": [self.no_target], "bundle": []}
        return known[kind]

    def unknown_target(self, target: str, actions: Iterable[str], services: Sequence[str]) -> str | None:
        """What would be expected instead of a target that none of the actions can have; None for one that some can."""
        kinds = sorted({self.kinds[action] for action in actions})
        if not kinds or (target == "*" and kinds != ["none"]):
            return None
        if "bundle" in kinds and ("*" in target or BUNDLE.fullmatch(target)) and ":" not in target:
            return None
        known = [name for kind in kinds for name in self.targets(kind, services)]
        if any(glob_matches(target, name) for name in known if name != self.no_target or target == self.no_target):
            return None
        words = {
            "route": "a service of [services], or one of its facets as service:facet",
            "purpose": f"a purpose: {', '.join(self.purposes)}",
            "bundle": "the id of a bundle",
            "none": f"{self.no_target!r}, as the action has no target",
        }
        return f"{' or '.join(words[kind] for kind in kinds)}{did_you_mean(target, known)}"


def world_of(contract: Contract, services: Sequence[str], open_gates: Iterable[str] = ()) -> World:
    """The world of a system with these services, by dense index, whose image opens these gates."""
    names = Names.of(contract)
    return World(tuple(services), names.actions, names.gates, frozenset(open_gates), contract.table("policy_limit"))
