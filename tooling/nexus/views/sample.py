"""What a machine is doing at one moment, out of its memory alone: the kernel's own tables, and each process's heap and stack.

Made by watch.py and by the report. Pure over a KernelView; asks no process and believes none but about its own heap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nexus.contract.load import Contract
from nexus.machine.kernelview import PAGE, KernelView
from nexus.views.heap import Use, heap_of, interpreter_of, stack_of

TEXT_BYTES = 64  # more than any label or name of a program has
COUNTS = ("incarnation", "life", "cpu_ticks", "messages", "frames")


@dataclass(frozen=True)
class Process:
    """One process that there is."""

    index: int
    label: str
    program: str
    state: str
    fault: str  # why it stopped; "none" while it has not
    incarnation: int
    life: int  # which user of its slot
    cpu_ticks: int
    messages: int  # calls that it has been given
    frames: int
    capabilities: int
    heap: Use | None
    stack: Use | None

    @property
    def restarts(self) -> int:
        return max(0, self.incarnation - 1)


@dataclass(frozen=True)
class Sample:
    """All of them, and the machine's totals. Times are in ticks; `ticks` is up to where all CPU time is accounted for."""

    ticks: int
    idle_ticks: int
    free_frames: int
    frames: int
    lost_lines: int
    processes: tuple[Process, ...]


def read_sample(view: KernelView, contract: Contract, programs: Mapping[str, Path]) -> Sample:
    """`programs`: the ELF of each program, for where its interpreter keeps its heap."""
    word = partial(_word, view)
    ram_end = word("ram_end")
    return Sample(
        ticks=word("last"),
        idle_ticks=word("idle_ticks"),
        free_frames=word("free_count", 4) + (ram_end - word("bump")) // PAGE,
        frames=(ram_end - view.symbol("ld_text_start")) // PAGE,
        lost_lines=word("lost_lines"),
        processes=read_processes(view, contract, programs),
    )


def read_processes(view: KernelView, contract: Contract, programs: Mapping[str, Path]) -> tuple[Process, ...]:
    """By dense index; a slot that nobody is in counts for nothing."""
    slots = contract.number("limit.app_slots") + view.number("image", view.symbol("image"), "process_count")
    empty = contract.number("state.empty")
    used = (n for n in range(slots) if view.number("process", view.process(n), "state") != empty)
    return tuple(_process(view, index, contract, programs) for index in used)


def _process(view: KernelView, index: int, contract: Contract, programs: Mapping[str, Path]) -> Process:
    at = view.process(index)
    number = partial(view.number, "process", at)
    row = number("row")
    program = view.text(view.number("image_program", view.number("image_process", row, "program"), "name"), TEXT_BYTES)
    heap, stack = _memory(view, index, contract, programs.get(program))
    return Process(
        index=index,
        label=view.text(view.number("image_process", row, "label"), TEXT_BYTES),
        program=program,
        state=name_in(contract, "state", number("state")),
        fault=name_in(contract, "fault", number("fault")),
        capabilities=contract.number("limit.cap_slots") - number("free_slots"),
        heap=heap,
        stack=stack,
        **{name: number(name) for name in COUNTS},
    )


def _memory(view: KernelView, index: int, contract: Contract, elf: Path | None) -> tuple[Use | None, Use | None]:
    """Heap and stack. While a process is loaded its memory holds what an earlier one left."""
    at = view.process(index)
    row = view.number("process", at, "row")
    if view.number("process", at, "state") in (contract.number("state.loading"), contract.number("state.suspended")):
        return None, None
    read = partial(view.bytes_of, index)
    stack = stack_of(read, contract.number("va.stack_top"), view.number("image_process", row, "stack_pages") * PAGE)
    interpreter = interpreter_of(elf) if elf is not None else None
    if interpreter is None:
        return None, stack
    size = view.number("image_process", row, "heap_pages") * PAGE
    return heap_of(read, interpreter, contract.number("va.heap"), size), stack


def name_in(contract: Contract, table: str, number: int) -> str:
    return next((name for name, value in contract.table(table).items() if value == number), str(number))


def _word(view: KernelView, symbol: str, size: int = 8) -> int:
    return int.from_bytes(view.read(view.symbol(symbol), size), "little")
