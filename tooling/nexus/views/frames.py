"""Who has which page of a machine's memory: the kernel's frame table and the image's own layout, as runs of pages. Used by the report.

Pure over a KernelView.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from nexus.layout import RAM_BASE
from nexus.machine.kernelview import PAGE, KernelView, enumerators_of

FREE = "free"
KERNEL = "kernel"
IMAGE = (  # parts of the image below its payload: from which symbol to which
    ("text", "ld_text_start", "ld_text_end"),
    ("data", "ld_text_end", "ld_guard"),
    ("guard", "ld_guard", "ld_guard+"),
    ("stack", "ld_guard+", "ld_stack_top"),
    ("page tables", "ld_pool_start", "ld_pool_end"),
    ("programs", "ld_payload_start", "ld_payload_end"),
)


@dataclass(frozen=True)
class Run:
    """Neighbouring pages of one owner and kind."""

    address: int
    bytes: int
    kind: str
    owner: str


def runs_of(view: KernelView, labels: Mapping[int, str]) -> list[Run]:
    """All of RAM, in order. `labels` by dense index; what the kernel took for itself later is its own."""
    image = [*_image(view)]
    end = image[-1].address + image[-1].bytes
    kinds = {
        number: name.removeprefix("FRAME_").lower() for name, number in enumerators_of(view.elf, "frame_type").items()
    }
    pages = _pages(view, end)
    runs, address = list(image), end
    for (kind, owner), group in groupby(pages):
        size = PAGE * sum(1 for _ in group)
        name = kinds.get(kind, str(kind))
        runs.append(Run(address, size, name, "" if name == FREE else labels.get(owner, KERNEL)))
        address += size
    return runs


def _pages(view: KernelView, first: int) -> Iterator[tuple[int, int]]:
    """Type and owner of each page from there on; behind `bump` none has ever been taken."""
    bump, ram_end = (int.from_bytes(view.read(view.symbol(name), 8), "little") for name in ("bump", "ram_end"))
    size = view.size("frame")
    start = view.symbol("table") + (first - RAM_BASE) // PAGE * size
    table = view.read(start, (ram_end - first) // PAGE * size)
    kind, owner = view.member("frame", "type")[0], view.member("frame", "owner")[0]
    for place in range(0, len(table), size):
        free = first + place // size * PAGE >= bump or table[place + kind] == 0
        yield (0, 0) if free else (table[place + kind], table[place + owner])


def _image(view: KernelView) -> Iterator[Run]:
    def place(name: str) -> int:
        return view.symbol(name.removesuffix("+")) + (PAGE if name.endswith("+") else 0)

    for kind, start, end in IMAGE:
        yield Run(place(start), place(end) - place(start), kind, KERNEL if kind != "programs" else "image")


@dataclass(frozen=True)
class Region:
    """A memory region and what the kernel knows of it."""

    number: int
    owner: str
    bytes: int
    state: str


def regions_of(view: KernelView, labels: Mapping[int, str]) -> list[Region]:
    """Those of the image, by number."""
    found = []
    for number in range(view.number("image", view.symbol("image"), "region_count")):
        at = view.element("regions", "region", number)
        sealed, wiping = view.number("region", at, "sealed"), view.number("region", at, "wiping")
        state = "sealed" if sealed else "not zero yet" if wiping else "open"
        owner = labels.get(view.number("region", at, "owner"), "nobody")
        found.append(Region(number, owner, view.number("region", at, "pages") * PAGE, state))
    return found


def shares_of(runs: Sequence[Run]) -> dict[str, dict[str, int]]:
    """Bytes by owner, then by kind; in the order in which they lie."""
    shares: dict[str, dict[str, int]] = {}
    for run in runs:
        if run.kind != FREE:
            kinds = shares.setdefault(run.owner, {})
            kinds[run.kind] = kinds.get(run.kind, 0) + run.bytes
    return shares
