"""Looks at a live machine again and again: each look is one moment, for which the machine stands still some milliseconds. Called by
`nexus top`. Never writes to a machine, and holds its control channel for no longer than a look takes.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nexus.contract.load import Contract
from nexus.errors import BuildError, MachineError
from nexus.image.manifest import Manifest, file_entry, load_manifest
from nexus.layout import RAM_BASE
from nexus.machine.control import connected, dump, standing_still
from nexus.machine.kernelview import KernelView, structs_of
from nexus.machine.qmp import Qmp
from nexus.machine.registry import Record, runs_dir
from nexus.views.heap import interpreter_of
from nexus.views.memory import Memory
from nexus.views.sample import Sample, read_sample


@dataclass(frozen=True)
class Look:
    """A sample, and for how many seconds the machine stood still for it."""

    sample: Sample
    still: float


class Watch:
    """Of one machine. Refuses one that does not run what the files beside its image say."""

    def __init__(self, root: Path, record: Record, contract: Contract) -> None:
        self._record, self._contract = record, contract
        self._folder = runs_dir(root) / record.id
        self._image = Path(record.image)
        manifest = load_manifest(self._image.with_name("manifest.json"))
        self._check_files(root, manifest)
        self._programs = {Path(file.name).stem: root / "build" / file.name for file in manifest.programs}
        end = KernelView(self._image, lambda _address, _size: b"").symbol("ld_pool_end")
        self._kernel = (RAM_BASE, end - RAM_BASE)  # with all page tables
        self._ahead: list[tuple[int, int]] = []  # what the last look has read
        self._text: tuple[int, bytes] | None = text_of(self._image)  # until it has been compared
        self._warm_up()

    def look(self) -> Look:
        """The machine as it is now."""
        with connected(self._record) as qmp:
            if not self._ahead:
                self._prepare(qmp)
            begun = time.monotonic()
            with standing_still(qmp):
                memory, sample = self._read(qmp, self._ahead)
            still = time.monotonic() - begun
        self._ahead = memory.pieces
        return Look(sample, still)

    def _prepare(self, qmp: Qmp) -> None:
        """While it still runs: learn what a look reads, so that the first is as short as the others. What is read here counts for nothing."""
        with suppress(MachineError):
            self._ahead = self._read(qmp, [self._kernel])[0].pieces

    def _read(self, qmp: Qmp, ahead: list[tuple[int, int]]) -> tuple[Memory, Sample]:
        memory = Memory(partial(dump, qmp, self._folder), ahead)
        self._check_text(memory)
        return memory, read_sample(KernelView(self._image, memory), self._contract, self._programs)

    def _check_files(self, root: Path, manifest: Manifest) -> None:
        """Their symbols tell where things lie, so they have to be those of the manifest."""
        stale = manifest.contract_digest != self._contract.digest or manifest.image != file_entry(
            manifest.image.name, self._image
        )
        for file in manifest.programs:
            stale = stale or file_entry(file.name, root / "build" / file.name) != file
        if stale:
            raise self._other()

    def _check_text(self, memory: Memory) -> None:
        """What the kernel runs is what the image file has; nothing can change it later."""
        if self._text is not None and memory(self._text[0], len(self._text[1])) != self._text[1]:
            raise self._other()
        self._text = None

    def _warm_up(self) -> None:
        """Read all debug information now, not while the machine stands still for the first time."""
        structs_of(self._image)
        for elf in self._programs.values():
            interpreter_of(elf)

    def _other(self) -> BuildError:
        record = self._record
        return BuildError(
            f"machine {record.id} runs another build than the one that is in {self._image.parent}",
            f"start it anew: nexus console --machine {record.id} --stop; nexus run --detach --system {record.system}",
        )


def text_of(image: Path) -> tuple[int, bytes]:
    """Address and bytes of the kernel's text and constants."""
    from elftools.elf.elffile import ELFFile

    with image.open("rb") as stream:
        segment = next(iter(ELFFile(stream).iter_segments("PT_LOAD")))
        return segment["p_paddr"], segment.data()
