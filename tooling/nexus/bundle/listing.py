"""Which files a ROMFS holds, for people who look at a bundle. Called by show.py with bytes of anybody's.

Pure. Whatever the bytes are, the answer is a list and, where it ends early, why; never more depth or files than a bundle can need.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = b"\xd2\xcd\x31"  # of the file system; docs: MicroPython's extmod/vfs_rom.c
VERBATIM, POINTER, DIRECTORY, FILE = 2, 3, 4, 5
DEPTH = 8
ENTRIES = 1000
NUMBER_BYTES = 5


class Unreadable(ValueError):
    """The bytes are no ROMFS from here on."""


@dataclass(frozen=True)
class Entry:
    path: bytes  # as it stands there
    size: int


@dataclass(frozen=True)
class Listing:
    files: tuple[Entry, ...]
    problem: str | None  # why there may be more


def list_files(contents: bytes) -> Listing:
    """Every file that can be found, in the order in which it lies there."""
    found: list[Entry] = []
    try:
        if not contents.startswith(MAGIC):
            raise Unreadable("no ROMFS")
        size, at = _number(contents, len(MAGIC))
        if at + size != len(contents):
            raise Unreadable(f"a ROMFS of {at + size} bytes in {len(contents)}")
        for entry in _entries(contents[at:], b"", DEPTH):
            if len(found) == ENTRIES:
                raise Unreadable(f"more than {ENTRIES} files")
            found.append(entry)
    except Unreadable as error:
        return Listing(tuple(found), str(error))
    return Listing(tuple(found), None)


def _entries(folder: bytes, above: bytes, depth: int) -> Iterator[Entry]:
    for kind, payload in _records(folder):
        if kind not in (DIRECTORY, FILE):
            continue
        size, at = _number(payload, 0)
        name, rest = payload[at : at + size], payload[at + size :]
        if len(name) < size:
            raise Unreadable("a name beyond its record")
        if kind == FILE:
            yield Entry(above + name, sum(len(data) for inner, data in _records(rest) if inner == VERBATIM))
        elif depth == 0:
            raise Unreadable(f"folders more than {DEPTH} deep")
        else:
            yield from _entries(rest, above + name + b"/", depth - 1)


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        kind, at = _number(data, at)
        size, at = _number(data, at)
        if at + size > len(data):
            raise Unreadable("a record beyond its folder")
        yield kind, data[at : at + size]
        at += size


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Seven bits a byte, highest first; and where it ends."""
    value = 0
    for byte in data[at : at + NUMBER_BYTES]:
        value, at = value << 7 | byte & 0x7F, at + 1
        if not byte & 0x80:
            return value, at
    raise Unreadable("a number without end")
