"""Puts a System together from rows that satisfy every rule: numbers, ranks, capabilities.

Called by check.py as its last step. Refuses nothing; the order of everything here is the order in the image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nexus.contract.load import Contract
from nexus.recipe import graph
from nexus.recipe.fields import DeviceRow, ProcessRow, TopRow
from nexus.recipe.grants import Grants
from nexus.recipe.model import Capability, Device, Edge, Places, Process, Region, System, pages

MICROSECONDS = 1_000_000  # of a second


@dataclass(frozen=True)
class Resolved:
    """Rows whose names have been looked up."""

    rows: list[ProcessRow]
    devices: list[DeviceRow]
    calls: dict[str, tuple[Edge, ...]]  # by caller; the root's include its READY questions
    routes: dict[str, tuple[Edge, ...]]
    app_calls: dict[str, Edge]  # by the one who spawns
    app_routes: tuple[Edge, ...]
    edges: list[Edge]  # all of them
    supervisors: dict[str, str]  # by name; of the root: itself
    identify: Callable[[str], int]

    @property
    def indices(self) -> dict[str, int]:
        return {row.name: row.index for row in self.rows}

    @property
    def endpoints(self) -> dict[str, int]:
        return {row.name: number for number, row in enumerate(row for row in self.rows if row.endpoint)}

    def children(self, name: str) -> list[str]:
        """Whom a process supervises, by dense index."""
        return [row.name for row in self.rows if row.name != name == self.supervisors[row.name]]


def assemble(resolved: Resolved, name: str, top: TopRow, files: tuple[str, ...], contract: Contract) -> System:
    """The system that the rows describe."""
    ranks = graph.ranks([row.name for row in resolved.rows], resolved.edges)
    grants = Grants(contract, resolved.indices, resolved.endpoints)
    devices = _devices(resolved)
    regions: list[Region] = []
    processes = []
    for row in resolved.rows:
        caps = grants.first(row.name, row.capabilities)
        caps += grants.calls(resolved.calls[row.name])
        caps += grants.supervision(resolved.children(row.name))
        caps += grants.special(row.capabilities)
        if "root" in row.flags:
            asked = [edge for edges in (*resolved.routes.values(), resolved.app_routes) for edge in edges]
            caps += grants.routes(edge.server for edge in asked)
        caps += grants.app_calls(resolved.app_calls.get(row.name))
        caps += grants.devices([device for device in devices if device.owner == row.index])
        caps += grants.regions(len(regions), len(row.regions))
        regions += [Region(row.index, pages(size)) for size in row.regions]
        processes.append(_process(resolved, row, ranks[row.name], caps, contract))
    return System(
        name=name,
        memory=top.memory,
        flags=top.flags,
        processes=tuple(processes),
        devices=devices,
        regions=tuple(regions),
        gates=top.gates,
        app=top.app,
        app_routes=resolved.app_routes,
        trust=top.trust,
        trust_place=str(top.table.at("trust")),
        files=files,
    )


def _process(resolved: Resolved, row: ProcessRow, rank: int, caps: list[Capability], contract: Contract) -> Process:
    return Process(
        name=row.name,
        index=row.index,
        id_name=row.id_name,
        label=row.label,
        service_id=resolved.identify(row.id_name),
        rank=rank,
        service=row.service,
        modules=row.modules,
        native=row.native,
        runtime=row.runtime,
        heap_pages=pages(row.heap),
        stack_pages=pages(row.stack),
        kept_pages=pages(row.kept),
        policy=row.policy,
        request_budget=row.request_budget * contract.number("limit.tick_hz") // MICROSECONDS,
        restarts=row.restarts,
        share=row.share,
        flags=row.flags,
        endpoint=resolved.endpoints.get(row.name),
        supervisor=resolved.indices[resolved.supervisors[row.name]],
        calls=resolved.calls[row.name],
        routes=resolved.routes[row.name],
        app_calls=resolved.app_calls.get(row.name),
        supervises=tuple(resolved.children(row.name)),
        capabilities=tuple(caps),
        bundles=row.bundles,
        specimens=row.specimens,
        places=Places(*(str(row.table.at(key)) for key in ("calls", "app_calls", "bundles", "specimens"))),
    )


def _devices(resolved: Resolved) -> tuple[Device, ...]:
    devices: list[Device] = []
    for index, row in enumerate(resolved.devices):
        devices.append(
            Device(
                name=row.name,
                index=index,
                virtio_id=row.virtio_id,
                owner=next(process.index for process in resolved.rows if row.name in process.devices),
                first_queue=sum(device.queue_count for device in devices),
                queue_count=row.queues,
                dma_pages=pages(row.dma),
                features=row.features,
                qemu=row.qemu,
            )
        )
    return tuple(devices)
