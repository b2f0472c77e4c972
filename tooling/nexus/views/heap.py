"""How much of its heap a MicroPython process uses, out of the interpreter's own allocation table; and of its stack, by what was written.

Used by sample.py. A process can write whatever it likes there: figures that do not lie within its own heap are none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nexus.machine.kernelview import structs_of, symbols_of

STATE = "mp_state_ctx"
STRUCTS = frozenset(["_mp_state_ctx_t", "_mp_state_mem_t", "_mp_state_mem_area_t"])
WORDS = ("gc_alloc_table_start", "gc_alloc_table_byte_len", "gc_pool_start", "gc_pool_end")
BLOCKS_A_BYTE = 4
USED = bytes(
    sum(byte >> shift & 3 != 0 for shift in range(0, 8, 2)) for byte in range(256)
)  # blocks that a byte of the table takes

ReadProcess = Callable[[int, int], bytes | None]  # by the process's own addresses; None where nothing is mapped


@dataclass(frozen=True)
class Use:
    """Bytes of something that has a bound."""

    used: int
    total: int


@dataclass(frozen=True)
class Interpreter:
    """Where a runtime has the four words that say where its heap lies."""

    places: tuple[int, int, int, int]


def interpreter_of(elf: Path) -> Interpreter | None:
    """From the program's debug information; None if no interpreter is in it."""
    state = symbols_of(elf).get(STATE)
    if state is None:
        return None
    structs = structs_of(elf, STRUCTS)
    area = state + structs["_mp_state_ctx_t"]["mem"][0] + structs["_mp_state_mem_t"]["area"][0]
    first, second, third, fourth = (area + structs["_mp_state_mem_area_t"][name][0] for name in WORDS)
    return Interpreter((first, second, third, fourth))


def heap_of(read: ReadProcess, interpreter: Interpreter, start: int, size: int) -> Use | None:
    """What is used of a heap that the kernel gave from `start` on; None before there is one, and of what can't be true."""
    words = [read(place, 8) for place in interpreter.places]
    table, length, pool, end = (int.from_bytes(word, "little") if word else 0 for word in words)
    if not (start <= table and length > 0 and table + length <= pool < end <= start + size):
        return None
    marks = read(table, length)
    block, rest = divmod(end - pool, length * BLOCKS_A_BYTE)
    return Use(sum(marks.translate(USED)) * block, end - pool) if marks is not None and block and not rest else None


def stack_of(read: ReadProcess, top: int, size: int) -> Use | None:
    """The most that was ever used of a stack: loading fills it with zeros, and it grows down from `top`."""
    data = read(top - size, size)
    return Use(len(data.lstrip(b"\0")), size) if data is not None else None
