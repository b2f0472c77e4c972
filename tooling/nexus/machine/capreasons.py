"""What explains a capability: the recipe's row, a route decision on record, a signed manifest, or the work of its holder. Whatever
nothing explains is found by wrong(), which is pure.

Called by tests on the tables that captables.py has read. Believes no process: the audit trail, the policy and the sealed bundles say
who may have what.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from nexus.audit.trail import Trail
from nexus.bundle.model import BundleRefused, Form
from nexus.bundle.sign import verify
from nexus.contract.load import Contract
from nexus.machine.captables import Held, Holder, Region, Tables
from nexus.machine.kernelview import PAGE
from nexus.policy.evaluate import EVERY_ACTION, ROUTE, Evaluator, route_name
from nexus.recipe.model import Edge, Process, System, service_id

APP = "app:"
NOBODY = 0xFFFF  # a reply's caller that is gone
RouteRights = Callable[[str, int], frozenset[str]]  # id name and mask -> names of the routes that it may have


@dataclass(frozen=True)
class Stated:
    """What a signed manifest in a sealed region makes of the app that runs from it."""

    name: str
    mask: int
    publisher: int


def stated_in(region: Region, contract: Contract) -> Stated | None:
    """What the kernel has to state of an app that runs from it; None if it holds no bundle with a right signature."""
    form = Form(contract)
    end = int.from_bytes(region.data[form.places["manifest_bytes"]], "little") + form.signature_bytes
    size = int.from_bytes(region.data[form.places["contents_bytes"]], "little")
    try:
        manifest = verify(form, region.data[:end] + region.data[PAGE : PAGE + size]).manifest
    except BundleRefused:
        return None
    mask = sum(1 << request.action for request in manifest.requests)
    return Stated(APP + manifest.id, mask, int.from_bytes(form.key_id(manifest.public_key), "little"))


@dataclass(frozen=True)
class Reasons:
    """All that can explain a capability."""

    system: System
    contract: Contract
    routes: Counter[tuple[int, str]]  # how often init was told to give it: service id, name of the route
    opened: frozenset[int]  # service ids of those who were allowed to open a bundle
    rights: RouteRights

    @cached_property
    def names(self) -> Mapping[tuple[int, int], str]:
        """Name of the route by endpoint and facet."""
        everybody = self.contract.number("badge.facet_any")
        found = {}
        for process in self.system.processes:
            facets: dict[str, int] = self.contract.table(f"facet.{process.name.replace('-', '_')}")
            for facet, number in {"": everybody, **facets}.items():
                if process.endpoint is not None:
                    found[process.endpoint, number] = route_name(Edge("", process.name, facet or None))
        return found

    def number(self, name: str) -> int:
        return self.contract.number(name)


def audited_routes(trail: Trail, system: System, contract: Contract) -> Counter[tuple[int, str]]:
    """What init was told to hand out, by the records of decisions; what a process asks policyd itself gives it nothing."""
    found: Counter[tuple[int, str]] = Counter()
    for _, row in trail.records:
        asked = (row.via_ix, row.op, row.action) == (
            system.root.index,
            contract.number("op.policyd.route"),
            trail.form.actions[ROUTE],
        )
        if asked and _allowed(trail, row.kind, row.verdict):
            found[row.subject, row.target.rstrip(b"\0").decode("latin-1")] += row.count
    return found


def audited_opens(trail: Trail) -> frozenset[int]:
    """Service ids of those who were allowed to open some bundle."""
    action = trail.form.actions["bundle.open"]
    rows = (row for _, row in trail.records if row.action == action and _allowed(trail, row.kind, row.verdict))
    return frozenset(row.subject for row in rows)


def _allowed(trail: Trail, kind: int, verdict: int) -> bool:
    return (kind, verdict) == (trail.form.kinds["decision"], trail.form.verdicts["allow"])


def route_rights(system: System, evaluator: Evaluator) -> RouteRights:
    """By the rules alone: what init would be told about somebody of that name, and with that mask if it is an app."""
    routes, app_routes = (frozenset(map(route_name, edges)) for edges in (system.routes, system.app_routes))

    def rights(name: str, mask: int) -> frozenset[str]:
        asked = app_routes if name.startswith(APP) else routes
        root = system.root.id_name
        return frozenset(one for one in asked if evaluator.decide(name, ROUTE, one, asker=root, mask=mask).allow)

    return rights


def wrong(tables: Tables, reasons: Reasons) -> list[str]:
    """Whatever nothing explains, a line each: who, which slot, what."""
    found = []
    if tables.endpoints != reasons.system.endpoints:
        found.append(f"endpoints: owners are {tables.endpoints}, in the recipe {reasons.system.endpoints}")
    for holder in tables.holders.values():
        judge = _App if holder.index >= len(reasons.system.processes) else _Static
        found += [f"{holder.name or holder.index}: {text}" for text in judge(holder, tables, reasons).wrong()]
    return found


class _Judge:
    """One holder: who it has to be, and an explanation for each slot."""

    def __init__(self, holder: Holder, tables: Tables, reasons: Reasons) -> None:
        self.holder, self.tables, self.reasons = holder, tables, reasons
        self.rights: Mapping[str, int] = reasons.contract.table("right")
        self.objects: Mapping[str, int] = reasons.contract.table("obj")

    def first(self) -> Counter[Held]:
        """What it had at its start."""
        raise NotImplementedError

    def identity(self) -> Iterator[str]:
        raise NotImplementedError

    def work(self, slot: int, held: Held) -> bool:
        """Whether its work explains this one."""
        raise NotImplementedError

    def wrong(self) -> Iterator[str]:
        yield from self.identity()
        first, routes = self.first(), +self.reasons.routes
        allowed = self.reasons.rights(self.holder.name, self.mask())
        for slot, held in sorted(self.holder.slots.items()):
            if first[held]:
                first[held] -= 1
                continue
            route = self.route_of(held)
            if route in allowed and routes[self.holder.service_id, route]:
                routes[self.holder.service_id, route] -= 1
            elif not self.own_bit(held) and not self.work(slot, held):
                yield f"slot {slot}: {self.show(held)}, which nothing explains"
        yield from (f"lacks {self.show(held)}" for held in sorted(+first) if self.keeps_all())

    def own_bit(self, held: Held) -> bool:
        """A way to wake itself, made of its own notification."""
        most = self.rights["call"] | self.rights["grant"]
        mine = (held.type, held.object) == (self.objects["notification"], self.holder.index)
        return mine and not held.rights & ~most and any(one.type == held.type for one in self.first())

    def mask(self) -> int:
        return self.holder.mask

    def keeps_all(self) -> bool:
        """Whether it must still have all that it had at first."""
        return False

    def route_of(self, held: Held) -> str:
        """Name of the route that this is, if it is what init hands out."""
        facet, owner = held.badge >> self.reasons.number("badge.facet_shift"), held.badge & 0xFFFF_FFFF
        if (held.type, held.rights, owner) != (self.objects["endpoint"], self.rights["call"], self.holder.index):
            return ""
        return self.reasons.names.get((held.object, facet), "")

    def show(self, held: Held) -> str:
        kind = next((name for name, number in self.objects.items() if number == held.type), str(held.type))
        rights = "+".join(name for name, bit in self.rights.items() if held.rights & bit) or "no rights"
        route = self.reasons.names.get((held.object, held.badge >> self.reasons.number("badge.facet_shift")), "")
        what = f" ({route})" if held.type == self.objects["endpoint"] and route else ""
        return f"{kind} {held.object}{what} with {rights}, badge {held.badge:#x}"


class _Static(_Judge):
    """A row of the recipe: its boot capabilities, all of them while it lives, routes on record, and what its work brings."""

    @property
    def row(self) -> Process:
        return self.reasons.system.processes[self.holder.index]

    def first(self) -> Counter[Held]:
        return Counter(Held(self.objects[cap.type], cap.rights, cap.object, cap.badge) for cap in self.row.capabilities)

    def identity(self) -> Iterator[str]:
        said = (self.holder.name, self.holder.service_id, self.holder.kind)
        if said != (self.row.id_name, self.row.service_id, self.reasons.number("kind.service")):
            yield f"it is {said}, in the recipe {self.row.id_name}"

    def mask(self) -> int:
        return EVERY_ACTION

    def keeps_all(self) -> bool:
        running = range(self.reasons.number("state.ready"), self.reasons.number("state.waiting") + 1)
        return self.holder.state in running

    def work(self, slot: int, held: Held) -> bool:
        names = {number: name for name, number in self.objects.items()}
        works = {"reply": self._reply, "supervise": self._child, "region": self._opened}
        explains = works.get(names.get(held.type, ""))
        return explains is not None and explains(slot, held)

    def _reply(self, slot: int, held: Held) -> bool:
        """Of a call that it serves: its caller waits for exactly this one, or is gone."""
        caller = self.tables.holders.get(held.object)
        waits = caller is not None and caller.state == self.reasons.number("state.calling")
        mine = waits and caller is not None and (caller.server, caller.reply_slot) == (self.holder.index, slot)
        return self.row.endpoint is not None and not held.rights and (mine or held.object == NOBODY)

    def _child(self, slot: int, held: Held) -> bool:
        """One app that it has spawned, and has it once."""
        child = self.tables.holders.get(held.object)
        others = [one for place, one in self.holder.slots.items() if place != slot and one == held]
        spawned = child is not None and child.kind == self.reasons.number("kind.app")
        mine = spawned and child is not None and child.supervisor == self.holder.index
        return self._spawns() and held.rights == self.rights["use"] and mine and not others

    def _opened(self, _slot: int, held: Held) -> bool:
        """A bundle that it may open, to read; nothing that could be written."""
        sealed = held.object < len(self.tables.regions) and self.tables.regions[held.object].sealed
        asked = self.holder.service_id in self.reasons.opened
        return self._spawns() and held.rights == self.rights["map_r"] and sealed and asked

    def _spawns(self) -> bool:
        return any(cap.type == "spawn" for cap in self.row.capabilities)


class _App(_Judge):
    """What every app starts with, and routes that policy and its own manifest grant; it may have let go of any of it."""

    def first(self) -> Counter[Held]:
        use, index = self.rights["use"], self.holder.index
        root = self.reasons.system.root.endpoint or 0
        ask = Held(self.objects["endpoint"], self.rights["call"], root, self.reasons.number("badge.any_app"))
        return Counter(
            [Held(self.objects["console"], use, index, 0), Held(self.objects["notification"], use, index, 0), ask]
        )

    def identity(self) -> Iterator[str]:
        """As the kernel states it to others, against what its publisher signed."""
        holder = self.holder
        if holder.kind != self.reasons.number("kind.app") or holder.service_id != service_id(holder.name):
            yield f"it is of kind {holder.kind} with service id {holder.service_id:#018x}"
        region = self.tables.regions[holder.region]
        stated = stated_in(region, self.reasons.contract)
        if stated != Stated(holder.name, holder.mask, holder.publisher):
            yield f"it has mask {holder.mask:#x} and publisher {holder.publisher:#018x}; its region {holder.region} says {stated}"

    def work(self, _slot: int, _held: Held) -> bool:
        return False
