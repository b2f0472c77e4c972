"""The policy as a live machine has it mapped: hashed from its physical memory through its own page tables, not from the image.

Called by the trial and by the `boot` fixture's machine. problem_of is pure: it reads a snapshot. Nothing here writes to a machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nexus.contract.load import Contract
from nexus.errors import DeadlineError, MachineError
from nexus.layout import RAM_BASE
from nexus.machine.debugger import attached
from nexus.machine.kernelview import PAGE, PTE_U, PTE_V, PTE_W, PTE_X, KernelView, Read, symbols_of
from nexus.machine.session import Session
from nexus.machine.target import Target
from nexus.verdict.ladder import Ladder

BUILT = "sched_run"  # the kernel comes here first when every row has its address space


@dataclass(frozen=True)
class Stated:
    """What the manifest says: the table's digest and size, and who has it mapped."""

    digest: str
    bytes: int
    readers: Mapping[int, str]  # dense index -> label


class PolicyLook:
    """Takes the image's part of RAM before any process runs, and once more when all are up; judged after the run.

    The machine is stopped for the first look where the kernel has built every address space: a run takes less than a
    tenth of a second from there on and might end before a look that does not hold it. All that matters (page tables,
    their roots, the policy) lies in the image's part.
    """

    def __init__(self, session: Session, elf: Path, image_end: int, stated: Stated, contract: Contract) -> None:
        self.session, self.elf, self.stated = session, elf, stated
        self.size = image_end - RAM_BASE
        self.va = contract.number("va.policy")
        self.slots = contract.number("limit.processes")
        self._snapshots: list[bytes] = []
        self._failed = ""
        self._seen_up = False

    def at_start(self) -> None:
        """With the machine paused before its first instruction; it runs afterwards."""
        try:
            with attached(self.session) as hart:
                hart.run_to(symbols_of(self.elf)[BUILT], satp=0)
                self._snapshots.append(self.session.read_phys(RAM_BASE, self.size))
        except (MachineError, DeadlineError, OSError) as error:
            self._failed = str(error)

    def on_line(self, ladder: Ladder) -> None:
        """A machine that has ended by now shows nothing any more; what it was built as has been seen."""
        if not self._seen_up and _all_up(ladder):
            self._seen_up = True
            with suppress(MachineError, DeadlineError):
                self.take()

    def take(self) -> None:
        """As it is now."""
        self._snapshots.append(self.session.read_phys(RAM_BASE, self.size))

    def problem(self) -> str:
        """What is wrong with any snapshot, in a few words; nothing if nothing is."""
        if not self._snapshots:
            return f"nobody could read it ({self._failed})"
        views = (KernelView(self.elf, _reader(ram)) for ram in self._snapshots)
        return next((wrong for view in views if (wrong := problem_of(view, self.stated, self.va, self.slots))), "")


def look_of(session: Session, target: Target, contract: Contract) -> PolicyLook | None:
    """None for a system in which nobody decides."""
    if not target.deciders:
        return None
    stated = Stated(target.policy, target.policy_bytes, target.deciders)
    return PolicyLook(session, target.elf, target.image_end, stated, contract)


def problem_of(view: KernelView, stated: Stated, va: int, slots: int) -> str:
    """Whether each reader's pages at `va` are read-only and hash to the digest, and nobody can write to their frames."""
    frames: set[int] = set()
    for index, label in stated.readers.items():
        entries = [view.entry(index, va + offset) for offset in range(0, stated.bytes, PAGE)]
        if wrong := _wrong_entry(entries) or _wrong_bytes(view, entries, stated):
            return f"{label}: {wrong}"
        frames |= {_frame(entry) for entry in entries}
    pages = range(va, va + stated.bytes)
    for index in range(slots):
        for place, entry in view.mappings(index):
            if entry & PTE_W and _frame(entry) in frames:
                return f"process {index} can write to it at {place:#x}"
            if place in pages and index not in stated.readers:
                return f"process {index} has it mapped and its row does not say so"
    return ""


def _wrong_entry(entries: list[int]) -> str:
    for number, entry in enumerate(entries):
        if not entry & PTE_V or not entry & PTE_U:
            return f"page {number} of it is not mapped"
        if entry & (PTE_W | PTE_X):
            return f"page {number} of it is not read-only"
    return ""


def _wrong_bytes(view: KernelView, entries: list[int], stated: Stated) -> str:
    table = b"".join(view.read(_frame(entry), PAGE) for entry in entries)[: stated.bytes]
    found = hashlib.sha256(table).hexdigest()
    return "" if found == stated.digest else f"digest {found} of {len(table)} bytes"


def _frame(entry: int) -> int:
    return entry >> 10 << 12


def _all_up(ladder: Ladder) -> bool:
    first = ladder.plan.phases[0]
    return len(ladder.reached) >= sum(row.phase == first for row in ladder.plan.markers)


def _reader(ram: bytes) -> Read:
    """Physical memory as far as the snapshot goes; beyond it there is nothing."""
    return lambda address, size: ram[address - RAM_BASE : address - RAM_BASE + size] if address >= RAM_BASE else b""
