"""Reads one file of policy as written: services, domains, rules, delegates, every value with its line.

Called by check.py. Knows the shape of a policy file but no rule about its values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nexus.errors import UsageError
from nexus.recipe.fields import Problems
from nexus.recipe.raw import Entry, RawTable, Where, did_you_mean, index_lines, parse_toml, read_text

TABLES = ("services", "domains")
ROWS = ("rule", "delegate")


@dataclass
class RawPolicy:
    """One file; a policy is a list of them, later ones laid over earlier ones."""

    file: str
    tables: dict[str, RawTable]
    rows: dict[str, list[RawTable]] = field(default_factory=dict)


def load_raw(path: Path, root: Path) -> RawPolicy:
    """The file, or the message that says where its text is no policy."""
    shown = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
    if not path.is_file():
        raise UsageError(f"no policy file {shown}")
    return parse_raw(read_text(path, shown), shown)


def parse_raw(text: str, shown: str) -> RawPolicy:
    """As load_raw, of a text; `shown` is what messages call it."""
    data = parse_toml(text, shown)
    lines = index_lines(text)
    problems = Problems()
    for key in data.keys() - {*TABLES, *ROWS}:
        expected = f"one of [services], [domains], [[rule]], [[delegate]]{did_you_mean(key, [*TABLES, *ROWS])}"
        problems.add(Where(shown, lines.get((key,), 1)), "", key, "an unknown key", expected)
    tables = {name: _table(data, name, lines, shown, problems) for name in TABLES}
    rows = {name: _rows(data, name, lines, shown, problems) for name in ROWS}
    problems.raise_if_any()
    return RawPolicy(shown, tables, rows)


Lines = dict[tuple[str | int, ...], int]


def _table(data: dict[str, Any], name: str, lines: Lines, shown: str, problems: Problems) -> RawTable:
    where = Where(shown, lines.get((name,), 1))
    table = RawTable(name, where)
    content = data.get(name, {})
    if not isinstance(content, dict):
        problems.add(where, "", name, repr(content), f"a table [{name}]")
        return table
    for key, value in content.items():
        table.entries[key] = Entry(value, Where(shown, lines.get((name, key), where.line)))
    return table


def _rows(data: dict[str, Any], name: str, lines: Lines, shown: str, problems: Problems) -> list[RawTable]:
    where = Where(shown, lines.get((name,), 1))
    content = data.get(name, [])
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        problems.add(where, "", name, repr(content), f"rows [[{name}]]")
        return []
    return [_row(f"{name} {index + 1}", row, (name, index), lines, where) for index, row in enumerate(content)]


def _row(title: str, row: dict[str, Any], path: tuple[str | int, ...], lines: Lines, above: Where) -> RawTable:
    where = Where(above.file, lines.get(path, above.line))
    entries = {key: Entry(value, Where(above.file, lines.get((*path, key), where.line))) for key, value in row.items()}
    return RawTable(title, where, entries)
