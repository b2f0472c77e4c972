"""Reads a TOML file of a few keys and named tables of values, each value with its line. Called by trust.py and app.py.

Knows no key; what a value may be is the caller's to say with nexus.recipe.fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nexus.recipe.fields import Problems
from nexus.recipe.raw import Entry, RawTable, Where, index_lines, parse_toml, read_text


def load_table(path: Path, shown: str, tables: Sequence[str] = ()) -> dict[str, RawTable]:
    """The top level under "", then each of `tables`, empty where the file has none of that name."""
    text = read_text(path, shown)
    data = parse_toml(text, shown)
    lines = index_lines(text)

    def where(*keys: str) -> Where:
        spelled = tuple(part for key in keys for part in key.split("."))  # as index_lines takes a quoted key apart
        return Where(shown, lines.get(spelled) or lines.get(spelled[:1], 1))

    found = {"": RawTable("", Where(shown, 1))}
    for name in tables:
        content = data.pop(name, {})
        if not isinstance(content, dict):
            problems = Problems()
            problems.add(where(name), "", name, repr(content), f"a table [{name}]")
            problems.raise_if_any()
        rows = {key: Entry(value, where(name, key)) for key, value in content.items()}
        found[name] = RawTable(name, where(name), rows)
    found[""].entries.update({key: Entry(value, where(key)) for key, value in data.items()})
    return found


def text_of(pattern: str) -> Callable[[Any], str]:
    """Reads a text of that form."""
    compiled = re.compile(pattern)

    def parse(value: Any) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise ValueError
        return value

    return parse


def shown_path(path: Path, root: Path) -> str:
    """As messages name it: relative to the clone where it lies in it."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
