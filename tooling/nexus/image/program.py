"""An ELF as the kernel will map it: segments, entry, and where its copy of the contract digest lies.

Called by the builder for each runtime and native program. Refuses what must never be mapped: a page that can be both
written and executed, overlapping pages, an address outside the program's area.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from nexus.contract.load import Contract
from nexus.errors import BuildError
from nexus.recipe.model import PAGE, pages

READ, WRITE, EXECUTE = 4, 2, 1  # p_flags
DIGEST_SYMBOL = "contract_digest"
DIGEST_BYTES = 32


@dataclass(frozen=True)
class Segment:
    va: int
    data: bytes
    memory_bytes: int
    flags: int  # p_flags

    @property
    def access(self) -> str:
        """As in "r-x"."""
        bits = ((READ, "r"), (WRITE, "w"), (EXECUTE, "x"))
        return "".join(letter if self.flags & bit else "-" for bit, letter in bits)


@dataclass(frozen=True)
class Program:
    """What the image table says of one ELF."""

    name: str
    entry: int
    segments: tuple[Segment, ...]
    digest_segment: int  # place in segments
    digest_offset: int
    symbols: frozenset[str]

    @property
    def writable_pages(self) -> int:
        """Frames that each process with this program needs for its own copy."""
        return sum(pages(segment.memory_bytes) for segment in self.segments if segment.flags & WRITE)


def read_program(name: str, path: Path, contract: Contract) -> Program:
    """Read and check the ELF."""
    try:
        elf = ELFFile(io.BytesIO(path.read_bytes()))
        segments = tuple(_segments(elf))
        symbols = _symbols(elf)
    except ELFError as error:
        raise BuildError(f"{path}: not a readable ELF: {error}") from error
    for number, segment in enumerate(segments):
        _check_segment(path, number, segment, contract)
    _check_overlap(path, segments)
    place, offset = _digest_place(path, segments, symbols, contract)
    return Program(name, elf["e_entry"], segments, place, offset, frozenset(symbols))


def _segments(elf: ELFFile) -> list[Segment]:
    loads = [segment for segment in elf.iter_segments("PT_LOAD") if segment["p_memsz"]]
    return [Segment(load["p_vaddr"], load.data(), load["p_memsz"], load["p_flags"]) for load in loads]


def _symbols(elf: ELFFile) -> dict[str, int]:
    table = elf.get_section_by_name(".symtab")
    if not isinstance(table, SymbolTableSection):
        return {}
    return {symbol.name: symbol["st_value"] for symbol in table.iter_symbols() if symbol.name}


def _check_segment(path: Path, number: int, segment: Segment, contract: Contract) -> None:
    where = f"{path}: segment {number} ({segment.access} at {segment.va:#x})"
    if segment.flags & WRITE and segment.flags & EXECUTE:
        raise BuildError(f"{where}: found writable and executable, expected at most one of the two")
    if segment.va % PAGE:
        raise BuildError(f"{where}: found an address inside a page, expected a multiple of {PAGE:#x}")
    low, high = contract.number("va.image"), contract.number("va.ipc") - PAGE
    if segment.va < low or segment.va + segment.memory_bytes > high:
        raise BuildError(
            f"{where}: found {segment.memory_bytes:#x} bytes there, expected all between {low:#x} and {high:#x}"
        )


def _check_overlap(path: Path, segments: tuple[Segment, ...]) -> None:
    ordered = sorted(segments, key=lambda segment: segment.va)
    for one, other in pairwise(ordered):
        if one.va + pages(one.memory_bytes) * PAGE > other.va:
            raise BuildError(
                f"{path}: found segments at {one.va:#x} and {other.va:#x} in one page, expected pages of their own"
            )


def _digest_place(
    path: Path, segments: tuple[Segment, ...], symbols: dict[str, int], contract: Contract
) -> tuple[int, int]:
    """The digest must lie in read-only bytes and be this contract's."""
    address = symbols.get(DIGEST_SYMBOL)
    if address is None:
        raise BuildError(f"{path}: found no symbol {DIGEST_SYMBOL}, expected the contract's digest in read-only data")
    for number, segment in enumerate(segments):
        offset = address - segment.va
        if 0 <= offset <= len(segment.data) - DIGEST_BYTES and not segment.flags & WRITE:
            found = segment.data[offset : offset + DIGEST_BYTES].hex()
            if found != contract.digest:
                raise BuildError(
                    f"{path}: built from another contract\n  expected {contract.digest}\n  found    {found}"
                )
            return number, offset
    raise BuildError(f"{path}: found {DIGEST_SYMBOL} at {address:#x}, expected it in a read-only segment")
