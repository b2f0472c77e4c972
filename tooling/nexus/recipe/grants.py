"""The boot capabilities of each process, in slot order: exactly what the recipe's rows say, each with its constant's name.

The order: console, notification, own endpoint; calls, the root's READY questions last; supervision; system, spawn; for the
root, the servers that it hands out routes to; the first capability of each app; devices; regions.
Called by check.py once names, ranks and numbers are known. Pure; the order here is the order of slots in the image.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nexus.contract.load import Contract, constant_name
from nexus.recipe.graph import READY
from nexus.recipe.model import Capability, Device, Edge


class Grants:
    """Turns the rows of one process into its capabilities."""

    def __init__(self, contract: Contract, indices: dict[str, int], endpoints: dict[str, int]) -> None:
        self.rights = contract.table("right")
        self.badge = contract.table("badge")
        self.facets = contract.table("facet")
        self.indices = indices
        self.endpoints = endpoints

    def first(self, name: str, declared: Sequence[str]) -> list[Capability]:
        """Console, notification, own endpoint."""
        use = self.rights["use"]
        caps = []
        if "console" in declared:
            caps.append(Capability("CONSOLE", "console", use, 0))
        if "notification" in declared:
            caps.append(Capability("NOTIFICATION", "notification", use, self.indices[name]))
        if name in self.endpoints:
            own = self.rights["recv"] | self.rights["grant"]
            caps.append(Capability("ENDPOINT", "endpoint", own, self.endpoints[name]))
        return caps

    def calls(self, edges: Sequence[Edge]) -> list[Capability]:
        """One capability per static grant; the badge tells the server facet and holder."""
        return [
            Capability(
                constant_name(*_call_name(edge)),
                "endpoint",
                self.rights["call"],
                self.endpoints[edge.server],
                self._badge(edge),
            )
            for edge in edges
        ]

    def supervision(self, children: Sequence[str]) -> list[Capability]:
        return [
            Capability(constant_name("supervise", child), "supervise", self.rights["use"], self.indices[child])
            for child in children
        ]

    def special(self, declared: Sequence[str]) -> list[Capability]:
        """Those of which the kernel has one only."""
        return [
            Capability(constant_name(kind), kind, self.rights["use"], 0)
            for kind in ("system", "spawn")
            if kind in declared
        ]

    def routes(self, servers: Iterable[str]) -> list[Capability]:
        """One capability per server that somebody may ask a route to; whoever gets one gets it with a badge of its own."""
        rights = self.rights["call"] | self.rights["grant"]
        return [
            Capability(constant_name("route", server), "endpoint", rights, self.endpoints[server])
            for server in sorted(set(servers), key=self.indices.__getitem__)
        ]

    def app_calls(self, edge: Edge | None) -> list[Capability]:
        """What each app has from its start on, made before the app is: so the badge names no holder, the kernel states one."""
        if edge is None:
            return []
        rights = self.rights["call"] | self.rights["grant"]
        badge = self.badge["facet_any"] << self.badge["facet_shift"] | self.badge["any_app"]
        return [Capability(constant_name("apps", edge.server), "endpoint", rights, self.endpoints[edge.server], badge)]

    def devices(self, devices: Sequence[Device]) -> list[Capability]:
        """Window, queues, DMA window and interrupt of each device."""
        use = self.rights["use"]
        caps = []
        for device in devices:
            caps.append(Capability(constant_name("device", device.name), "device", use, device.index))
            for number in range(device.queue_count):
                name = constant_name("queue", device.name, str(number))
                caps.append(Capability(name, "queue", use, device.first_queue + number))
            caps.append(Capability(constant_name("dma", device.name), "dma", use, device.index))
            caps.append(Capability(constant_name("irq", device.name), "irq", use, device.index))
        return caps

    def regions(self, first: int, count: int) -> list[Capability]:
        rights = self.rights["map_r"] | self.rights["map_w"] | self.rights["grant"]
        return [Capability(f"REGION_{number}", "region", rights, first + number) for number in range(count)]

    def _badge(self, edge: Edge) -> int:
        facet = self.badge["facet_any"]
        if edge.facet == READY:
            facet = self.badge["facet_ready"]
        elif edge.facet is not None:
            facet = self.facets[edge.server.replace("-", "_")][edge.facet]
        value: int = facet << self.badge["facet_shift"] | self.indices[edge.caller]
        return value


def _call_name(edge: Edge) -> tuple[str, ...]:
    if edge.facet == READY:
        return ("ready", edge.server)
    return (edge.server, edge.facet or "")
