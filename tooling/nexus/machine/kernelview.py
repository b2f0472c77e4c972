"""The kernel's own structures as they lie in the machine's memory: symbols and member offsets from the image's debug
information, page tables walked as the hart does. Called by the kernel proof; reads, never writes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from nexus.errors import MachineError

Read = Callable[[int, int], bytes]
Members = dict[str, tuple[int, int]]  # offset and size by name; "" is the structure itself
PAGE = 4096
LABEL_BYTES = 24  # the most that a recipe gives
LEVELS = 3
INDEX_BITS = 9
ENTRIES = f"<{1 << INDEX_BITS}Q"  # of one table
PTE_V, PTE_R, PTE_W, PTE_X, PTE_U = 1, 2, 4, 8, 16


class KernelView:
    """`read(address, size)` gives physical memory."""

    def __init__(self, elf: Path, read: Read) -> None:
        self.read = read
        self.elf = elf

    def symbol(self, name: str) -> int:
        if name not in self._symbols:
            raise MachineError(f"{self.elf}: no symbol `{name}`")
        return self._symbols[name]

    def number(self, struct: str, at: int, member: str) -> int:
        """One unsigned member of a structure at that physical address."""
        offset, size = self.member(struct, member)
        return int.from_bytes(self.read(at + offset, size), "little")

    def member(self, struct: str, member: str) -> tuple[int, int]:
        """Offset and size of `member` of `struct`."""
        members = self._structs.get(struct, {})
        if member not in members:
            raise MachineError(f"{self.elf}: no `{member}` in struct {struct}")
        return members[member]

    def size(self, struct: str) -> int:
        return self.member(struct, "")[1]

    def element(self, table: str, struct: str, index: int) -> int:
        """Where that element of a table of structures lies."""
        return self.symbol(table) + index * self.size(struct)

    def process(self, index: int) -> int:
        return self.element("processes", "process", index)

    def index_of(self, label: str) -> int:
        """The dense index of the process with that console label, from the image's own table."""
        table = self.number("image", self.symbol("image"), "processes")
        for index in range(self.number("image", self.symbol("image"), "process_count")):
            text = self.number("image_process", table + index * self.size("image_process"), "label")
            if self.read(text, len(label) + 1) == label.encode("ascii") + b"\0":
                return index
        raise MachineError(f"no process has the label `{label}`")

    def running(self) -> str:
        """The console label of the process that the hart runs; "" between two of them."""
        current = int.from_bytes(self.read(self.symbol("current"), 8), "little")
        if current == 0:
            return ""
        row = self.number("process", current, "row")
        return self.text(self.number("image_process", row, "label"), LABEL_BYTES + 1)

    def text(self, address: int, size: int) -> str:
        """Up to its zero, or so many bytes."""
        return self.read(address, size).split(b"\0")[0].decode("ascii", "replace")

    def translate(self, index: int, va: int) -> int | None:
        """Where a process's page lies, or None."""
        entry = self.entry(index, va)
        return (entry >> 10 << 12) + va % PAGE if entry & PTE_V else None

    def bytes_of(self, index: int, va: int, size: int) -> bytes | None:
        """A process's memory by its own addresses, or None where some of it is not mapped."""
        parts = []
        while size > 0:
            place, count = self.translate(index, va), min(size, PAGE - va % PAGE)
            if place is None:
                return None
            parts.append(self.read(place, count))
            va, size = va + count, size - count
        return b"".join(parts)

    def entry(self, index: int, va: int) -> int:
        """The page-table entry of a process for that address; 0 where the walk ends early."""
        table = self.number("process", self.process(index), "root")
        for level in reversed(range(LEVELS)):
            if table == 0:
                return 0
            slot = va >> (12 + INDEX_BITS * level) & (1 << INDEX_BITS) - 1
            entry = int.from_bytes(self.read(table + 8 * slot, 8), "little")
            if level == 0:
                return entry
            table = entry >> 10 << 12 if entry & PTE_V else 0
        return 0

    def mappings(self, index: int) -> Iterator[tuple[int, int]]:
        """Address and entry of every page that a process has mapped."""
        root = self.number("process", self.process(index), "root")
        yield from self._leaves(root, LEVELS - 1, 0) if root else ()

    def _leaves(self, table: int, level: int, va: int) -> Iterator[tuple[int, int]]:
        for slot, entry in enumerate(struct.unpack(ENTRIES, self.read(table, PAGE))):
            if not entry & PTE_V:
                continue
            here = va | slot << 12 + INDEX_BITS * level
            if level == 0 or entry & (PTE_R | PTE_W | PTE_X):
                yield here, entry
            else:
                yield from self._leaves(entry >> 10 << 12, level - 1, here)

    @cached_property
    def _symbols(self) -> dict[str, int]:
        return symbols_of(self.elf)

    @cached_property
    def _structs(self) -> dict[str, Members]:
        return structs_of(self.elf)


@cache
def symbols_of(elf: Path) -> dict[str, int]:
    """Name to value of every symbol."""
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

    with elf.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        if not isinstance(table, SymbolTableSection):
            return {}
        return {symbol.name: symbol["st_value"] for symbol in table.iter_symbols() if symbol.name}


@cache
def structs_of(elf: Path, wanted: frozenset[str] = frozenset()) -> dict[str, Members]:
    """Every named structure, or those wanted: then no further than the last of them. Bit fields are left out."""
    from elftools.elf.elffile import ELFFile

    found: dict[str, Members] = {}
    with elf.open("rb") as stream:
        file = ELFFile(stream)
        if not file.has_dwarf_info():
            raise MachineError(f"{elf}: no debug information")
        for unit in file.get_dwarf_info().iter_CUs():
            for die in unit.get_top_DIE().iter_children():
                name = _name(die)
                asked = name not in found and (not wanted or name in wanted)
                if asked and die.tag == "DW_TAG_structure_type" and "DW_AT_byte_size" in die.attributes:
                    found[name] = _members(die)
            if wanted and found.keys() == wanted:
                break
    return found


@cache
def enumerators_of(elf: Path, enumeration: str) -> dict[str, int]:
    """Names and numbers of an enumeration."""
    from elftools.elf.elffile import ELFFile

    with elf.open("rb") as stream:
        for unit in ELFFile(stream).get_dwarf_info().iter_CUs():
            for die in unit.get_top_DIE().iter_children():
                if die.tag == "DW_TAG_enumeration_type" and _name(die) == enumeration:
                    return {_name(one): one.attributes["DW_AT_const_value"].value for one in die.iter_children()}
    raise MachineError(f"{elf}: no enumeration {enumeration}")


def _members(die: Any) -> Members:
    placed = [
        member
        for member in die.iter_children()
        if member.tag == "DW_TAG_member" and "DW_AT_data_member_location" in member.attributes
    ]
    whole = {"": (0, die.attributes["DW_AT_byte_size"].value)}
    return whole | {_name(one): (one.attributes["DW_AT_data_member_location"].value, _size(one)) for one in placed}


def _name(die: Any) -> str:
    return die.attributes["DW_AT_name"].value.decode() if "DW_AT_name" in die.attributes else ""


def _size(die: Any) -> int:
    """Bytes of a member's type, through typedefs and qualifiers; of an array all of it."""
    if "DW_AT_byte_size" in die.attributes:
        return int(die.attributes["DW_AT_byte_size"].value)
    if die.tag == "DW_TAG_array_type":
        counts = [child.attributes.get("DW_AT_upper_bound") for child in die.iter_children()]
        total = _size(die.get_DIE_from_attribute("DW_AT_type"))
        for bound in counts:
            total *= (bound.value + 1) if bound else 0
        return total
    return _size(die.get_DIE_from_attribute("DW_AT_type")) if "DW_AT_type" in die.attributes else 8
