"""Which modules a guest source imports, where it uses their names and what else it gives a name to: one walk of its syntax tree, kept for as long as this program runs.

Called by modules.py and fold.py, which ask the same text about several generated modules. Never runs the source, and never looks at a file.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

ENDS = frozenset([ast.Import, ast.ImportFrom, ast.Name])  # below them stands nothing that is asked for
BINDS = {
    ast.arg: "arg",
    ast.FunctionDef: "name",
    ast.AsyncFunctionDef: "name",
    ast.ClassDef: "name",
    ast.ExceptHandler: "name",
    ast.Global: "names",
    ast.Nonlocal: "names",
    ast.MatchAs: "name",
    ast.MatchStar: "name",
    ast.MatchMapping: "rest",
}  # which field of a node has the name that it binds, or the names; all other ways to bind one are an import or an ast.Name
KEPT = 1024  # texts; a system has some 150, each twice: as written and with its constants folded


@dataclass(frozen=True)
class Import:
    """One `import` or `from ... import` statement."""

    line: int
    start: int  # columns, in bytes
    end: int
    outermost: bool  # not inside of a function, class or condition
    module: str | None  # of `from`; None for `import`, and for a relative one
    relative: bool
    names: tuple[tuple[str, str | None], ...]  # name, name after `as`


@dataclass(frozen=True)
class Use:
    """One place where a name stands, by itself or with an attribute: `name` or `name.attribute`."""

    line: int
    start: int
    end: int
    attribute: str | None
    read: bool
    one_line: bool
    in_fstring: bool


@dataclass(frozen=True)
class Names:
    imports: tuple[Import, ...]  # these and the uses in the order of the text
    uses: dict[str, tuple[Use, ...]]
    bound: frozenset[str]  # by anything but an import, anywhere: assigned, an argument, a function's name


@lru_cache(KEPT)
def names_of(source: bytes) -> Names:
    """Raises SyntaxError."""
    tree = ast.parse(source)
    outermost = {id(node) for node in tree.body}
    imports: list[Import] = []
    uses: dict[str, list[Use]] = {}
    bound: set[str] = set()
    in_fstrings: set[int] = set()
    for node in _nodes(tree):
        if isinstance(node, ast.Name):
            uses.setdefault(node.id, []).append(_use(node, None, id(node) in in_fstrings))
            if not isinstance(node.ctx, ast.Load):
                bound.add(node.id)
        elif isinstance(node, ast.Attribute):
            assert isinstance(node.value, ast.Name)
            uses.setdefault(node.value.id, []).append(_use(node, node.attr, id(node) in in_fstrings))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            imports.append(_import(node, id(node) in outermost))
        elif isinstance(node, ast.JoinedStr):
            in_fstrings.update(id(inner) for inner in ast.walk(node))
        else:
            found = getattr(node, BINDS[type(node)])
            bound.update([found] if isinstance(found, str) else found or ())
    ordered = {name: tuple(sorted(found, key=_place)) for name, found in uses.items()}
    return Names(tuple(sorted(imports, key=_place)), ordered, frozenset(bound))


def _place(found: Import | Use) -> tuple[int, int]:
    return found.line, found.start


def _nodes(tree: ast.Module) -> Iterator[ast.AST]:
    """Imports, names, attributes of names, f-strings and what binds a name; the name of such an attribute is not told once more."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        kind = type(node)
        if kind in ENDS or (kind is ast.Attribute and isinstance(node.value, ast.Name)):  # type: ignore[attr-defined]
            yield node
            continue
        if kind in BINDS or kind is ast.JoinedStr:
            yield node  # before what stands in it
        for field in node._fields:
            value = getattr(node, field)
            if isinstance(value, list):
                waiting += [one for one in value if isinstance(one, ast.AST)]
            elif isinstance(value, ast.AST):
                waiting.append(value)


def _import(node: ast.Import | ast.ImportFrom, outermost: bool) -> Import:
    names = tuple((alias.name, alias.asname) for alias in node.names)
    place = node.lineno, node.col_offset, node.end_col_offset or 0
    if isinstance(node, ast.ImportFrom):
        return Import(*place, outermost, node.module, node.level > 0 or node.module is None, names)
    return Import(*place, outermost, None, False, names)


def _use(node: ast.Name | ast.Attribute, attribute: str | None, in_fstring: bool) -> Use:
    place = node.lineno, node.col_offset, node.end_col_offset or 0
    return Use(*place, attribute, isinstance(node.ctx, ast.Load), node.lineno == node.end_lineno, in_fstring)
