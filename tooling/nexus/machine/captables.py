"""Every capability table of a machine, as it lies in the kernel's memory: who holds what, and the objects that it names.

Called by tests; capreasons.py says what may be in them. Reads through a KernelView of one moment between two entries of the kernel;
never asks a process and never writes to a machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nexus.contract.load import Contract
from nexus.machine.kernelview import PAGE, PTE_W, KernelView

NAME_BYTES = 64  # more than any label or id has


@dataclass(frozen=True, order=True)
class Held:
    """What one slot gives its holder; two slots with equal ones give no more than one."""

    type: int
    rights: int
    object: int
    badge: int


@dataclass(frozen=True)
class Holder:
    """One process as the kernel has it: who it is to others, what it waits for, and its slots that are in use."""

    index: int
    name: str
    service_id: int
    kind: int
    state: int
    mask: int
    publisher: int
    supervisor: int
    region: int
    server: int  # of whom it waits for an answer, and
    reply_slot: int  # which slot of that one has the reply
    slots: Mapping[int, Held]


@dataclass(frozen=True)
class Region:
    """Who owns it, and what is in it if it is sealed."""

    owner: int
    sealed: bool
    data: bytes = b""


@dataclass(frozen=True)
class Tables:
    """All processes that there are, by dense index, with the objects that their capabilities name."""

    holders: Mapping[int, Holder]
    endpoints: tuple[int, ...]  # owner of each
    regions: tuple[Region, ...]


def read_tables(view: KernelView, contract: Contract) -> Tables:
    """As they are in that memory."""
    image = view.symbol("image")
    counts = {kind: view.number("image", image, f"{kind}_count") for kind in ("process", "endpoint", "region")}
    slots = contract.number("limit.app_slots") + counts["process"]
    holders = (_holder(view, index, contract) for index in range(slots))
    empty = contract.number("state.empty")
    owners = [
        view.number("endpoint", view.element("endpoints", "endpoint", n), "owner") for n in range(counts["endpoint"])
    ]
    regions = [_region(view, number) for number in range(counts["region"])]
    return Tables({one.index: one for one in holders if one.state != empty}, tuple(owners), tuple(regions))


def _holder(view: KernelView, index: int, contract: Contract) -> Holder:
    at = view.process(index)
    row = view.number("process", at, "row")
    numbers = {
        name: view.number("process", at, name)
        for name in Holder.__annotations__
        if name not in ("index", "name", "slots")
    }
    name = _text(view, view.number("image_process", row, "id_name")) if row else ""
    first, size = at + view.member("process", "caps")[0], view.size("cap")
    slots = {slot: _held(view, first + slot * size) for slot in range(contract.number("limit.cap_slots"))}
    none = contract.number("obj.none")
    return Holder(
        index=index, name=name, slots={slot: held for slot, held in slots.items() if held.type != none}, **numbers
    )


def _held(view: KernelView, at: int) -> Held:
    return Held(*(view.number("cap", at, name) for name in ("type", "rights", "object", "badge")))


def _region(view: KernelView, number: int) -> Region:
    at = view.element("regions", "region", number)
    owner, sealed, base, pages = (view.number("region", at, name) for name in ("owner", "sealed", "base", "pages"))
    return Region(owner, bool(sealed), view.read(base, pages * PAGE) if sealed else b"")


def _text(view: KernelView, address: int) -> str:
    return view.read(address, NAME_BYTES).split(b"\0")[0].decode("ascii", "replace")


# ---- memory ----------------------------------------------------------------------------------------------------------


def shared_pages(view: KernelView, tables: Tables, services: int) -> list[str]:
    """Pages that an app can write and somebody else has mapped too, and pages of an app that somebody else can write."""
    mapped: dict[int, list[tuple[int, int]]] = {}
    for index in tables.holders:
        for _, entry in view.mappings(index):
            mapped.setdefault(entry >> 10 << 12, []).append((index, entry))
    found = []
    for page, users in mapped.items():
        writers = {index for index, entry in users if entry & PTE_W}
        others = {index for index, _ in users}
        if writers and len(others) > 1 and max(others) >= services:
            names = ", ".join(tables.holders[index].name for index in sorted(others))
            found.append(f"page {page:#x}: {names} have it mapped, and one of them to write")
    return found
