"""How much RAM a system needs: frames of its processes, their page tables, and what the image itself takes.

Called by check.py before anything is built, and by the builder once the real image is known. Pure.
"""

from __future__ import annotations

from nexus.contract.load import Contract
from nexus.recipe.model import PAGE, Process, System, pages

PAGES_PER_TABLE = 512
IPC_PAGES = 1


def process_pages(system: System, process: Process) -> int:
    """Frames that belong to one process; the program's own data is not counted, page tables come from a pool."""
    own = process.heap_pages + process.stack_pages + process.kept_pages + IPC_PAGES
    own += sum(device.dma_pages for device in system.devices if device.owner == process.index)
    return own + sum(region.pages for region in system.regions if region.owner == process.index)


def table_pages(system: System, process: Process, contract: Contract, image_pages: int, romfs_pages: int) -> int:
    """Sv39 tables of one address space: the root, then those that its areas touch."""
    va = contract.table("va")
    areas = [
        (va["image"], image_pages),
        (va["ipc"], IPC_PAGES),
        (va["stack_top"] - process.stack_pages * PAGE, process.stack_pages),
        (va["heap"], process.heap_pages),
        (va["romfs"], romfs_pages),
        (va["kept"], process.kept_pages),
        (va["policy"], pages(contract.number("policy_limit.bytes")) if process.policy else 0),
    ]
    for device in system.devices:
        if device.owner == process.index:
            areas += [(va["dma"], device.dma_pages), (va["device"], 1)]
    owned = [region for region in system.regions if region.owner == process.index]
    areas += [(va["region"] + number * va["region_stride"], region.pages) for number, region in enumerate(owned)]
    leaves = {page // PAGES_PER_TABLE for start, count in areas for page in range(start // PAGE, start // PAGE + count)}
    middles = {leaf // PAGES_PER_TABLE for leaf in leaves}
    return 1 + len(middles) + len(leaves)


def pool_pages(system: System, contract: Contract, image_pages: int = 1, romfs_pages: int = 1) -> int:
    """Page tables of all processes; the kernel has a pool of limit.pool_pages for them."""
    return sum(table_pages(system, process, contract, image_pages, romfs_pages) for process in system.processes)


def needs(system: System, programs: dict[str, int]) -> list[tuple[str, int]]:
    """Bytes of frames per process, largest first; `programs` are the writable pages of each program once it is built."""
    rows = [
        (process.name, (process_pages(system, process) + programs.get(process.program, 0)) * PAGE)
        for process in system.processes
    ]
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def shortage(system: System, image_bytes: int, programs: dict[str, int] | None = None) -> str:
    """Why the system does not fit into its memory, as the expected part of a message; empty when it fits.

    `image_bytes` is all that the image takes from the start of RAM; before it is built, what is known of it.
    """
    rows = needs(system, programs or {})
    total = sum(size for _, size in rows) + pages(image_bytes) * PAGE
    if total <= system.memory:
        return ""
    shown = ", ".join(f"{name} {size >> 10} KiB" for name, size in rows[:5])
    return f"at least {-(-total >> 10)} KiB: image {image_bytes >> 10} KiB, {shown}" + (
        ", ..." if len(rows) > 5 else ""
    )
