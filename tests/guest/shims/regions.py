"""Memory regions of the simulated kernel, after firmware/kernel/region.c. The part of Machine that maps, seals and frees them.

A view that its process may no longer use is released: using it then raises, where the machine would fault.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nexus.recipe.model import PAGE
from shims.messages import Messages
from shims.objects import Cap, Process


@dataclass
class Region:
    owner: int  # dense index
    memory: bytearray
    sealed: bool = False
    readers: dict[int, memoryview] = field(default_factory=dict)  # by dense index
    writers: dict[int, memoryview] = field(default_factory=dict)

    @property
    def pages(self) -> int:
        return len(self.memory) // PAGE

    def mapped(self, index: int) -> bool:
        return index in self.readers or index in self.writers

    def unmap(self, index: int) -> None:
        for views in (self.readers, self.writers):
            if index in views:
                views.pop(index).release()


class Regions(Messages):
    """Base of Machine."""

    regions: list[Region]

    def _region(self, process: Process, handle: int, right: str = "") -> tuple[int, Region | None]:
        status, cap = self.find(process, handle, "region", right)
        return status, None if cap is None else self.regions[cap.object]

    def region_of(self, process: str, number: int = 0) -> Region:
        """What a test sees of a process's own region; its bytes change under whoever maps it."""
        index = next(known.row.index for known in self.processes if known.name == process)
        return [region for region in self.regions if region.owner == index][number]

    def region_map(self, process: Process, handle: int, write: bool) -> tuple[int, memoryview | None]:
        status, region = self._region(process, handle, "map_w" if write else "map_r")
        if region is None:
            return status, None
        if write and region.sealed:
            return self.contract.E_SEALED, None
        index = process.row.index
        if region.mapped(index):
            return self.contract.E_STATE, None
        view = memoryview(region.memory)
        if write:
            region.writers[index] = view
        else:
            region.readers[index] = view = view.toreadonly()
        return self.contract.E_OK, view

    def region_unmap(self, process: Process, handle: int) -> int:
        status, region = self._region(process, handle)
        if region is not None:
            region.unmap(process.row.index)
        return status

    def region_seal(self, process: Process, handle: int) -> int:
        """For ever: the caller's own write mapping goes, another's refuses it."""
        status, region = self._region(process, handle, "map_w")
        if region is None:
            return status
        if region.sealed:
            return int(self.contract.E_SEALED)
        if set(region.writers) - {process.row.index}:
            return int(self.contract.E_STATE)
        region.unmap(process.row.index)
        region.sealed = True
        return int(self.contract.E_OK)

    def region_free(self, process: Process, handle: int) -> int:
        """Empty, zeroed and writable again, once nobody else holds it, maps it or runs from it."""
        status, region = self._region(process, handle, "map_w")
        if region is None:
            return status
        if region.owner != process.row.index:
            return int(self.contract.E_BAD_RIGHT)
        others = (set(region.readers) | set(region.writers)) - {process.row.index}
        if self.region_uses(region) > 1 or others:
            return int(self.contract.E_STATE)
        region.unmap(process.row.index)
        region.memory[:] = bytes(len(region.memory))
        region.sealed = False
        return int(self.contract.E_OK)

    def region_uses(self, region: Region) -> int:
        """Capabilities to it, and apps that were made from it and not yet freed."""
        number = next(number for number, known in enumerate(self.regions) if known is region)
        over = (self.contract.STATE_STOPPED, self.contract.STATE_EMPTY)  # their tables are only still there for tests
        held = [cap for process in self.processes if process.state not in over for cap in process.caps.values()]
        return sum(self._names(cap, number) for cap in held) + sum(p.region == number for p in self.processes)

    def _names(self, cap: Cap, region: int) -> bool:
        return cap.type == self.contract.OBJ_REGION and cap.object == region

    def _forget_regions(self, process: Process) -> None:
        """It has stopped: it has nothing mapped any more."""
        for region in self.regions:
            region.unmap(process.row.index)
