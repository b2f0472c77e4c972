"""What takes how many bytes in an image, as a tree: the kernel by sections and symbols, each program likewise, each ROMFS by modules.
Used by the report. Reads the linked files alone; the manifest says which parts there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nexus.errors import BuildError
from nexus.image.manifest import Manifest, PlacedPart

LARGEST = 12  # symbols of a section that are shown one by one
ROMFS = "romfs_"
ROMFS_HEAD = b"\xd2\xcd\x31"
FOLDER, FILE = 4, 5  # kinds of ROMFS records: both hold a name, then records


@dataclass(frozen=True)
class Node:
    """A part, and the parts of it that are worth telling apart."""

    name: str
    bytes: int
    parts: tuple[Node, ...] = ()


def tree_of(manifest: Manifest, image: Path, build: Path) -> Node:
    """`build`: the folder to which the manifest's program paths are relative."""
    programs = {Path(file.name).stem: build / file.name for file in manifest.programs}
    names = list(dict.fromkeys(_group(part, programs) for part in manifest.parts))
    groups = {name: [part for part in manifest.parts if _group(part, programs) == name] for name in names}
    payload = [_part(name, parts, image, programs.get(name)) for name, parts in groups.items()]
    kernel = elf_node("kernel", image, leave_out=".payload")
    whole = (kernel, *sorted(payload, key=lambda node: -node.bytes))
    return Node("image", sum(node.bytes for node in whole), whole)


def _group(part: PlacedPart, programs: dict[str, Path]) -> str:
    name, _, number = part.name.rpartition("_")
    return name if number.isdecimal() and name in programs else part.name


def _part(name: str, parts: Sequence[PlacedPart], image: Path, elf: Path | None) -> Node:
    size = sum(part.bytes for part in parts)
    if elf is not None and elf.is_file():
        return Node(f"program {name}", size, elf_node(name, elf).parts)
    if name.startswith(ROMFS):
        return Node(f"ROMFS of {name.removeprefix(ROMFS)}", size, tuple(romfs_nodes(bytes_at(image, parts[0]))))
    return Node(name, size)


# ---- ELF -------------------------------------------------------------------------------------------------------------


def elf_node(name: str, elf: Path, leave_out: str = "") -> Node:
    """Its sections that are loaded or take memory, each with its largest symbols."""
    from elftools.elf.elffile import ELFFile

    with elf.open("rb") as stream:
        file = ELFFile(stream)
        sections = [
            (number, section)
            for number, section in enumerate(file.iter_sections())
            if section["sh_flags"] & 2 and section["sh_size"] and section.name != leave_out
        ]
        symbols = _symbols(file)
        nodes = [
            Node(one.name, one["sh_size"], tuple(_largest(symbols.get(number, []), one["sh_size"])))
            for number, one in sections
        ]
    return Node(name, sum(node.bytes for node in nodes), tuple(nodes))


def _symbols(file: Any) -> dict[int, list[Node]]:
    """By number of the section; of several at one address the last."""
    table = file.get_section_by_name(".symtab")
    found: dict[int, dict[int, Node]] = {}
    for symbol in table.iter_symbols() if table else ():
        if symbol["st_size"] and isinstance(symbol["st_shndx"], int):
            found.setdefault(symbol["st_shndx"], {})[symbol["st_value"]] = Node(symbol.name, symbol["st_size"])
    return {section: [*nodes.values()] for section, nodes in found.items()}


def _largest(symbols: Sequence[Node], size: int) -> Iterator[Node]:
    """Then what is left as one."""
    largest = sorted(symbols, key=lambda node: -node.bytes)
    yield from largest[:LARGEST]
    rest = size - sum(node.bytes for node in largest[:LARGEST])
    if largest and rest > 0:
        others = len(largest) - LARGEST
        yield Node(f"{others} others, and what has no name" if others > 0 else "what has no name", rest)


def bytes_at(image: Path, part: PlacedPart) -> bytes:
    from elftools.elf.elffile import ELFFile

    with image.open("rb") as stream:
        for segment in ELFFile(stream).iter_segments("PT_LOAD"):
            offset = part.address - segment["p_paddr"]
            if offset >= 0 and offset + part.bytes <= segment["p_filesz"]:
                data: bytes = segment.data()
                return data[offset : offset + part.bytes]
    raise BuildError(f"{image}: no part {part.name} at {part.address:#x}", "build it again: nexus build-image")


# ---- ROMFS -----------------------------------------------------------------------------------------------------------


def romfs_nodes(data: bytes) -> list[Node]:
    """Files and folders of one; nothing of what is no ROMFS."""
    if not data.startswith(ROMFS_HEAD):
        return []
    length, start = _number(data, len(ROMFS_HEAD))
    return _entries(data[start : start + length])


def _entries(data: bytes) -> list[Node]:
    """The largest first."""
    return sorted(_walk(data), key=lambda node: -node.bytes)


def _walk(data: bytes) -> Iterator[Node]:
    place = 0
    while place < len(data):
        kind, place = _number(data, place)
        length, place = _number(data, place)
        body, place = data[place : place + length], place + length
        if kind in (FOLDER, FILE):
            count, start = _number(body, 0)
            name = body[start : start + count].decode("utf-8", "replace")
            inner = tuple(_entries(body[start + count :])) if kind == FOLDER else ()
            yield Node(f"{name}/" if kind == FOLDER else name, length, inner)


def _number(data: bytes, place: int) -> tuple[int, int]:
    """Seven bits a byte, the highest first; and the place after it."""
    value = 0
    while True:
        value = value << 7 | data[place] & 0x7F
        place += 1
        if not data[place - 1] & 0x80:
            return value, place
