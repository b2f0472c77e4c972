"""Writes the values of generated constants into guest sources before they are compiled: `contract.E_OK` becomes `0`.

Called by build.py. A look-up in another module costs the interpreter some 250 instructions each time and the module itself
costs heap; a literal costs neither. Lines stay where they are, so tracebacks stay true. Never changes what a program means.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

Values = Mapping[str, int | str]


def fold(source: bytes, generated: Mapping[str, Values]) -> bytes:
    """The source with each `module.NAME` of `generated` replaced by its value.

    An `import module` whose last use is gone goes too. Names without a value here, and modules that are imported in any
    other way than `import module`, are left alone.
    """
    tree = ast.parse(source)
    lines = source.splitlines(keepends=True)
    edits = [edit for module, values in generated.items() for edit in _edits(tree, lines, module, values)]
    for line, start, end, text in sorted(edits, reverse=True):
        lines[line - 1] = lines[line - 1][:start] + text + lines[line - 1][end:]
    return b"".join(lines)


Edit = tuple[int, int, int, bytes]  # line, from column to column in bytes, new text


def _edits(tree: ast.Module, lines: list[bytes], module: str, values: Values) -> Iterator[Edit]:
    imported = [node for node in tree.body if isinstance(node, ast.Import) and _names(node) == [module]]
    others = [
        node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom) and module in _names(node)
    ]
    if len(imported) != 1 or len(others) != 1:
        return
    uses = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == module]
    folded = [edit for node in ast.walk(tree) if (edit := _value(node, lines, module, values)) is not None]
    yield from folded
    if len(folded) == len(uses):
        node = imported[0]
        yield node.lineno, node.col_offset, node.end_col_offset or 0, b"pass"


def _names(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [alias.name if alias.asname is None else "" for alias in node.names] or [""]


def _value(node: ast.AST, lines: list[bytes], module: str, values: Values) -> Edit | None:
    """How one use is replaced; None for what is no use, has no value, or does not stand in the text as it does in the tree."""
    if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == module):
        return None
    if node.attr not in values or not isinstance(node.ctx, ast.Load) or node.lineno != node.end_lineno:
        return None
    start, end = node.col_offset, node.end_col_offset or 0
    if lines[node.lineno - 1][start:end] != f"{module}.{node.attr}".encode():
        return None  # inside an f-string the compiler's columns mean something else
    return node.lineno, start, end, repr(values[node.attr]).encode()
