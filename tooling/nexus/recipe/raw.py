"""Reads a recipe and its bases as written: every value keeps the file and line it came from.

Called by check.py. Knows the shape of a recipe (top level, [[process]], [devices.*]) but no rule about its values.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nexus.errors import RecipeError, UsageError

TABLE = re.compile(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?$")
ARRAY = re.compile(r"\s*\[\[([^\[\]]+)\]\]\s*(?:#.*)?$")
KEY = re.compile(r"\s*([A-Za-z0-9_.\-\"']+)\s*=(.*)$")
NOT_STRUCTURE = re.compile(r"\"(?:\\.|[^\"\\])*\"|'[^']*'|#.*")
TOP_KEYS = ("base", "memory", "flags", "gates", "app", "app_routes", "trust", "process", "devices")

INSTEAD = {
    "service": "native",
    "native": "service",
}  # what an overlay gives a row to run takes the place of what it ran


@dataclass(frozen=True)
class Where:
    """A line of a recipe."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Entry:
    value: Any
    where: Where


@dataclass
class RawTable:
    """A table as written; `title` is how messages name it."""

    title: str
    where: Where
    entries: dict[str, Entry] = field(default_factory=dict)

    def at(self, key: str) -> Where:
        """Where the key stands, or the table if it does not stand anywhere."""
        return self.entries[key].where if key in self.entries else self.where


@dataclass
class RawSystem:
    """A recipe with all its bases merged, later files over earlier ones."""

    name: str
    top: RawTable
    processes: dict[str, RawTable]
    devices: dict[str, RawTable]
    files: list[Path]


def find_recipe(name: str, systems: Path) -> Path:
    """The recipe of a system: `name` is that of a recipe of the clone, or a path to one."""
    if name.endswith(".toml"):
        path = Path(name).absolute()
        if not path.is_file():
            raise UsageError(
                f"system {name!r}: found no such file, expected a recipe", "give its path, or a name alone"
            )
        return path
    known = {path.stem: path for path in systems.glob("*.toml")}
    if name not in known:
        raise UsageError(f"system {name!r}: expected one of {', '.join(sorted(known))}{did_you_mean(name, known)}")
    return known[name]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The nearest known name as the tail of a message, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def load_raw(path: Path, systems: Path, root: Path) -> RawSystem:
    """Read the recipe and, first, what its `base` names: a recipe beside it, or one of the folder of systems."""
    return _load(path, systems, root, ())


def read_text(path: Path, shown: str) -> str:
    """The file's text, or the message that says where it is none, or why it can't be read."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise RecipeError(f"{shown}:{line}: found byte 0x{error.object[error.start]:02x}, expected UTF-8") from error
    except OSError as error:
        raise UsageError(f"{shown}: {error.strerror}, expected a file that can be read") from error


def parse_toml(text: str, shown: str) -> dict[str, Any]:
    """The values of a text, or the message that says where it is no TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        raise RecipeError(f"{shown}:{line[1] if line else 1}: {error}") from error
    except RecursionError as error:  # its parser calls itself for every bracket
        raise RecipeError(f"{shown}:1: found values within values too deep to read, expected a few") from error


def _load(path: Path, systems: Path, root: Path, above: tuple[Path, ...]) -> RawSystem:
    shown = _shown(path, root)
    text = read_text(path, shown)
    data = parse_toml(text, shown)
    lines = index_lines(text)
    raw = _base(data, path, systems, root, (*above, path), Where(shown, lines.get(("base",), 1)))
    raw.name, raw.top.where = path.stem, Where(shown, 1)
    raw.files.append(path)
    _merge(raw, data, lines, shown)
    return raw


def _base(
    data: dict[str, Any], path: Path, systems: Path, root: Path, above: tuple[Path, ...], where: Where
) -> RawSystem:
    name = data.get("base")
    if name is None:
        return RawSystem(path.stem, RawTable("", Where(where.file, 1)), {}, {}, [])
    folders = [path.parent, systems]
    known = {recipe.stem: recipe for folder in reversed(folders) for recipe in folder.glob("*.toml")}
    found = known.get(str(name))
    if found is None:
        expected = "the name of a recipe beside this one or in recipes/systems"
        raise RecipeError(f"{where}: base: found {name!r}, expected {expected}{did_you_mean(str(name), known)}")
    if found in above:
        raise RecipeError(f"{where}: base: found {name!r}, which is built on this recipe, expected no circle")
    return _load(found, systems, root, above)


def _merge(raw: RawSystem, data: dict[str, Any], lines: dict[tuple[str | int, ...], int], file: str) -> None:
    def where(*path: str | int) -> Where:
        while path and path not in lines:
            path = path[:-1]
        return Where(file, lines.get(path, 1))

    for key, value in data.items():
        if key not in ("process", "devices"):
            raw.top.entries[key] = Entry(value, where(key))
    for index, row in enumerate(_tables(data.get("process", []), "[[process]]", where("process"))):
        name = str(row.get("name", f"number {index + 1}"))
        table = raw.processes.setdefault(name, RawTable(f"process {name}", where("process", index)))
        for key, value in row.items():
            entry = Entry(value, where("process", index, key))
            if key in table.entries and table.entries[key].where.file == file:
                raise RecipeError(
                    f"{entry.where}: [process {name}] {key}: found a second row of that name, expected one"
                )
            table.entries[key] = entry
            if key in INSTEAD and INSTEAD[key] not in row:
                table.entries.pop(INSTEAD[key], None)
    devices = data.get("devices", {})
    if not isinstance(devices, dict):
        raise RecipeError(f"{where('devices')}: devices: found {devices!r}, expected tables [devices.<name>]")
    for name, row in zip(devices, _tables(list(devices.values()), "[devices]", where("devices")), strict=True):
        table = raw.devices.setdefault(name, RawTable(f"devices.{name}", where("devices", name)))
        table.entries.update({key: Entry(value, where("devices", name, key)) for key, value in row.items()})


def _tables(rows: Any, title: str, where: Where) -> list[dict[str, Any]]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise RecipeError(f"{where}: {title}: found {rows!r}, expected tables")
    return rows


def index_lines(text: str) -> dict[tuple[str | int, ...], int]:
    """The line of every table header and key; tomllib gives values but no positions.

    Keys of inline tables are not listed: their positions are that of the key they belong to.
    """
    lines: dict[tuple[str | int, ...], int] = {}
    counts: dict[tuple[str | int, ...], int] = {}
    table: tuple[str | int, ...] = ()
    depth = 0
    for number, line in enumerate(text.splitlines(), 1):
        if depth > 0:
            depth += _open_brackets(line)
        elif match := ARRAY.match(line):
            path = _path(match[1])
            counts[path] = counts.get(path, -1) + 1
            table = (*path, counts[path])
            lines.setdefault(path, number)
            lines[table] = number
        elif match := TABLE.match(line):
            table = _path(match[1])
            lines[table] = number
        elif match := KEY.match(line):
            lines[table + _path(match[1])] = number
            depth = _open_brackets(match[2])
    return lines


def _path(name: str) -> tuple[str | int, ...]:
    return tuple(part.strip().strip("\"'") for part in name.split("."))


def _open_brackets(text: str) -> int:
    bare = NOT_STRUCTURE.sub("", text)
    return sum(bare.count(mark) for mark in "[{") - sum(bare.count(mark) for mark in "]}")


def _shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
