"""What a process can tell of its own functions: the guest module `manual`, made from the docstrings of its modules.

Called by build.py for whoever imports it, and by the tests' stand-in for the machine. The interpreter keeps no docstrings, so that
apps don't pay for them; the shell, which has a `help`, reads them here. Pure: text from syntax trees.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Sequence

from nexus.image.modules import Module


def manual_module(modules: Sequence[Module]) -> str:
    """TEXTS: by module and function its arguments as written, and its docstring."""
    lines = ["# Generated: the docstrings of this process's functions. Do not edit.", "", "TEXTS = {"]
    for module in sorted(modules, key=lambda one: one.name):
        rows = _functions(ast.parse(module.source))
        if rows:
            lines += [f"    {module.name!r}: {{", *rows, "    },"]
    return "\n".join([*lines, "}"]) + "\n"


def _functions(tree: ast.Module) -> list[str]:
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and (text := ast.get_docstring(node, clean=False)) is not None:
            arguments = f"({ast.unparse(node.args)})"
            found.append(f"        {node.name!r}: ({arguments!r}, {inspect.cleandoc(text)!r}),")
    return found
