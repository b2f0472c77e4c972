"""Decides on the host by the very module that decides in the guest, guest/lib/nexus_sel.py, on the very table.

Entry points of the image builder (compile_policy, refused_grants) and of every verb that shows decisions. Never decides by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

from nexus import layout
from nexus.contract.load import Contract
from nexus.image.fold import fold
from nexus.policy.check import load_policy
from nexus.policy.compile import Compiled, compile_table
from nexus.policy.model import Policy, World, is_app
from nexus.policy.universe import UNDECLARED_APP, Universe
from nexus.policy.world import world_of
from nexus.recipe.model import Edge, Process, System, service_id

BASE = "base"
ROUTE = "route"
EVERY_ACTION = -1  # the mask of a service


@dataclass(frozen=True)
class Decision:
    """What the evaluator says: the verdict, the number of the rule that decided (0: none), and what was there."""

    allow: bool
    rule: int
    rule_allows: bool
    in_mask: bool
    may_ask: bool


def policy_files(root: Path, system: str | None = None) -> list[Path]:
    """The base, and over it the file named after the system, where there is one."""
    own = layout.policy_dir(root) / f"{system}.toml"
    return [layout.policy_dir(root) / f"{BASE}.toml", *([own] if system not in (None, BASE) and own.is_file() else [])]


def compile_policy(
    system: System, contract: Contract, root: Path, files: Sequence[Path] = (), open_gates: Iterable[str] | None = None
) -> tuple[bytes, str]:
    """The table of this system and its SHA-256: what the image holds and policyd decides by."""
    evaluator = load_evaluator(system, contract, root, files, open_gates)
    return evaluator.compiled.table, evaluator.digest


def load_evaluator(
    system: System, contract: Contract, root: Path, files: Sequence[Path] = (), open_gates: Iterable[str] | None = None
) -> Evaluator:
    """As compile_policy, ready to be asked. The open gates are those of the recipe unless others are given."""
    services = [process.id_name for process in system.processes]
    gates = system.gates if open_gates is None else open_gates
    policy = load_policy(files or policy_files(root, system.name), contract, root, services)
    return evaluator_of(policy, world_of(contract, services, gates), contract, root)


def evaluator_of(policy: Policy, world: World, contract: Contract, root: Path) -> Evaluator:
    return Evaluator(guest_module(root, contract), compile_table(policy, world, contract), policy, world, contract)


def guest_module(root: Path, contract: Contract) -> ModuleType:
    """nexus_sel as the image builder prepares it, but for its compilation for MicroPython."""
    path = root / "guest" / "lib" / "nexus_sel.py"
    module = ModuleType("nexus_sel")
    source = fold(path.read_bytes(), {"contract": contract.constants})
    exec(compile(source, str(path), "exec"), module.__dict__)  # noqa: S102  # the module that the guest runs
    return module


class Evaluator:
    """A compiled policy that is asked by names instead of by what the kernel states."""

    def __init__(self, module: Any, compiled: Compiled, policy: Policy, world: World, contract: Contract) -> None:
        self.sel, self.compiled, self.policy, self.world = module, compiled, policy, world
        self.rules, self.names, self.subjects, self.open_gates = module.load(memoryview(compiled.table).cast("H"))
        self.oneself = contract.number("policy_table.self")
        self.service, self.app = contract.number("kind.service"), contract.number("kind.app")

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.compiled.table).hexdigest()

    def place(self, subject: str) -> int:
        """Of a service of the world, an app, or (any other name) a service that the table does not know."""
        if is_app(subject):
            return int(self.sel.subject(self.subjects, self.app, 0, service_id(subject)))
        known = subject in self.world.services
        index = self.world.services.index(subject) if known else len(self.world.services)
        return int(self.sel.subject(self.subjects, self.service, index, service_id(subject)))

    def kind(self, target: str) -> int:
        return int(self.sel.target(self.names, target.encode("utf-8", "surrogateescape")))

    def gates(self, names: Iterable[str]) -> int:
        """A setting: these, and those that the image opens."""
        return int(self.open_gates) | sum(self.world.gates[name] for name in set(names))

    def action(self, name: str) -> int:
        """Its number; one that the contract does not have, for a name that is none of its."""
        return self.world.actions.get(name, max(self.world.actions.values()) + 1)

    def decide(
        self,
        subject: str,
        action: str,
        target: str,
        gates: Iterable[str] = (),
        asker: str | None = None,
        mask: int = EVERY_ACTION,
    ) -> Decision:
        """As policyd would: `asker` asks about the subject (None: the subject itself does); `mask` is that of an app."""
        place = self.oneself if asker is None else self.place(asker)
        said = self.sel.decide(
            self.rules, place, self.place(subject), mask, self.action(action), self.kind(target), self.gates(gates)
        )
        why = self.sel.reason(said)
        bits = (self.sel.RULE_ALLOWS, self.sel.IN_MASK, self.sel.MAY_ASK)
        return Decision(said > 0, self.sel.rule(said), *(bool(why & bit) for bit in bits))

    def answers(self, universe: Universe) -> Iterator[int]:
        """The evaluator's own answer to each point of the universe, in its order."""
        places = [self.place(name) for name in universe.subjects]
        actions = [self.action(name) for name in universe.actions]
        kinds = [self.kind(name) for name in universe.targets]
        settings = [self.gates(gates) for gates in universe.settings]
        for place, action, kind, gates in product(places, actions, kinds, settings):
            yield self.sel.decide(self.rules, self.oneself, place, EVERY_ACTION, action, kind, gates)


def route_name(edge: Edge) -> str:
    """How a rule names what an edge of the call graph grants."""
    return f"{edge.server}:{edge.facet}" if edge.facet else edge.server


@dataclass(frozen=True)
class Granted:
    """A static grant of the recipe and what policy says of it."""

    holder: Process
    key: str  # of the row: where it is written
    subject: str  # whom policy was asked about
    edge: Edge
    decision: Decision


def granted(system: System, evaluator: Evaluator) -> list[Granted]:
    """Every static grant of the recipe, the root's READY questions too, and what spawners hold for their apps."""
    found = []
    for process in system.processes:
        for edge in process.calls:
            said = evaluator.decide(process.id_name, ROUTE, route_name(edge))
            found.append(Granted(process, "calls", process.id_name, edge, said))
        if process.app_calls:
            found.append(_granted_to_apps(process, process.app_calls, evaluator))
    return found


def _granted_to_apps(holder: Process, edge: Edge, evaluator: Evaluator) -> Granted:
    """Whichever app comes is given it: so it must be allowed to one that no rule names, and to each that some rule names."""
    asked = [
        Granted(holder, "app_calls", app, edge, evaluator.decide(app, ROUTE, route_name(edge)))
        for app in (UNDECLARED_APP, *evaluator.policy.apps)
    ]
    return next((one for one in asked if not one.decision.allow), asked[0])


def refused_grants(system: System, evaluator: Evaluator) -> list[Granted]:
    """Static grants that policy denies: a builder that finds one must not build."""
    return [one for one in granted(system, evaluator) if not one.decision.allow]


def denial(refused: Granted, evaluator: Evaluator) -> str:
    """Of a refused grant: where it stands, what it grants, and which rule is against it."""
    why = "no rule allows it"
    if refused.decision.rule:
        rule = evaluator.policy.rules[refused.decision.rule - 1]
        why = f"rule {rule.number}, {rule.where}"
    row, place = refused.holder.name, getattr(refused.holder.places, refused.key)
    found = f"found {route_name(refused.edge)!r}, which policy denies {refused.subject!r} ({why})"
    return f"{place}: [process {row}] {refused.key}: {found}, expected a route that it allows"
