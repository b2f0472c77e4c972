"""Reads recipes/contract/*.toml: the numbers and texts that two languages must agree on, and the digest over all of them.

Called by the emitters, the recipe check and the harness. Never writes, and never knows what a table is for.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from nexus.errors import RecipeError

NAME = re.compile(r"[a-z][a-z0-9_]*")
Table = dict[str, Any]


@dataclass(frozen=True)
class Marker:
    """One row of markers.toml: a line that a run must print. Exactly one of text and pattern is set."""

    name: str
    label: str
    phase: str
    marker_class: str
    text: str | None
    pattern: str | None


@dataclass(frozen=True)
class Contract:
    """All contract files as parsed, and their digest."""

    files: dict[str, Table]
    digest: str
    _found: dict[str, Table] = field(default_factory=dict, init=False, repr=False, compare=False)

    def table(self, path: str) -> Table:
        """The table of that dotted name ("op.rngd"), whichever file it stands in; empty when there is none."""
        if path not in self._found:
            self._found[path] = self._find(path)
        return self._found[path]

    def _find(self, path: str) -> Table:
        for content in self.files.values():
            found: Any = content
            for part in path.split("."):
                found = found.get(part) if isinstance(found, dict) else None
            if isinstance(found, dict):
                return found
        return {}

    def number(self, path: str) -> int:
        """One number by its dotted name ("limit.processes"). The caller names a fact that must exist."""
        table, _, key = path.rpartition(".")
        value = self.table(table).get(key)
        if not isinstance(value, int):
            raise RecipeError(f"recipes/contract: [{table}] {key}: found nothing, expected a number")
        return value

    @property
    def phases(self) -> tuple[str, ...]:
        return tuple(row["name"] for row in self._rows("phase"))

    @property
    def markers(self) -> tuple[Marker, ...]:
        return tuple(
            Marker(row["name"], row["label"], row["phase"], row["class"], row.get("text"), row.get("pattern"))
            for row in self._rows("marker")
        )

    @cached_property
    def constants(self) -> dict[str, int | str]:
        """Every generated name with its value, in the order of the files."""
        names: dict[str, int | str] = {}
        for file, content in sorted(self.files.items()):
            for name, value in _constants(content, file, ""):
                if name in names:
                    raise RecipeError(f"recipes/contract/{file}: {name}: found twice, expected one home for each name")
                names[name] = value
        return names

    def _rows(self, kind: str) -> list[Table]:
        return [row for content in self.files.values() for row in content.get(kind, []) if isinstance(row, dict)]


def load_contract(folder: Path) -> Contract:
    """Parse every contract file of the folder."""
    files: dict[str, Table] = {}
    for path in sorted(folder.glob("*.toml")):
        try:
            files[path.name] = tomllib.loads(path.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise RecipeError(f"{path}: {error}") from error
    if not files:
        raise RecipeError(f"{folder}: found no contract file, expected abi.toml and others")
    return Contract(files, digest_of(files))


def digest_of(files: dict[str, Table]) -> str:
    """SHA-256 over the parsed values, so that comments and layout change nothing."""
    canonical = json.dumps(files, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


def constant_name(*parts: str) -> str:
    """The generated spelling of a contract name: upper case, every dash an underscore."""
    return "_".join(part.replace("-", "_").upper() for part in parts if part)


def _constants(table: Table, file: str, prefix: str) -> list[tuple[str, int | str]]:
    found: list[tuple[str, int | str]] = []
    for key, value in table.items():
        if isinstance(value, list):
            found += _array_constants(key, value, file)
            continue
        if not NAME.fullmatch(key):
            raise RecipeError(f"recipes/contract/{file}: [{prefix}] {key}: found a bad name, expected [a-z0-9_]")
        name = constant_name(prefix, key)
        if isinstance(value, dict):
            found += _constants(value, file, name)
            found += _name_list(key, value, table.get(f"{key}_name"), file)
        elif isinstance(value, (int, str)) and not isinstance(value, bool):
            found.append((name, value))
        else:
            raise RecipeError(f"recipes/contract/{file}: {name}: found {value!r}, expected a number or a text")
    return found


def _name_list(key: str, ids: Table, names: Any, file: str) -> list[tuple[str, int | str]]:
    """[action] and [action_name] also give ACTION_NAMES: the names in the order of their numbers, which count up from 1."""
    if not isinstance(names, dict):
        return []
    if sorted(ids.values()) != list(range(1, len(ids) + 1)) or set(ids) != set(names):
        raise RecipeError(f"recipes/contract/{file}: [{key}]: found other keys or numbers than 1 to {len(names)}")
    ordered = sorted(ids, key=lambda name: int(ids[name]))
    return [(constant_name(key, "names"), " ".join(names[name] for name in ordered))]


def _array_constants(kind: str, rows: list[Any], file: str) -> list[tuple[str, int | str]]:
    """[[phase]] rows count up from 0, PHASES names them; [[marker]] rows are their texts (a pattern has no text to print)."""
    if kind == "phase":
        names = [row["name"] for row in rows]
        return [("PHASES", " ".join(names)), *((constant_name("phase", name), i) for i, name in enumerate(names))]
    if kind == "marker":
        return [(constant_name("mark", row["name"]), row["text"]) for row in rows if "text" in row]
    raise RecipeError(f"recipes/contract/{file}: [[{kind}]]: found an unknown array, expected [[phase]] or [[marker]]")
