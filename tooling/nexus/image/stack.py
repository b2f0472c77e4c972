"""The deepest stack that the kernel can need, from the call graphs that the compiler writes beside its objects (*.ci).

Called by kernel.py after each link: a kernel whose stack could reach the guard page is refused. Takes nothing on trust: a cycle, an
unbounded frame or a call through a pointer that is not the system call table is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nexus.errors import BuildError

NODE = re.compile(r'node: \{ title: "([^"]+)" label: "[^"]*?\\n(?:[^"\\]*\\n)?(\d+) bytes \((\w+)\)')
EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')
TABLE_ROW = re.compile(r"^\s*\[SYS_\w+\] = (\w+),$", re.MULTILINE)
INDIRECT = "__indirect_call"
DISPATCHER = "syscall_enter"
ROOTS = ("main", "trap_handle")
# In assembly or from the compiler's own library: no frame of their own on this stack.
WITHOUT_FRAME = frozenset(["trap_return", "trap_entry", "trap_nested", INDIRECT])


@dataclass
class Graph:
    frames: dict[str, int] = field(default_factory=dict)
    calls: dict[str, set[str]] = field(default_factory=dict)


def read_graph(texts: Iterable[str], table: Iterable[str]) -> Graph:
    """Functions of all files with their frames, and who calls whom; the dispatcher calls every row of the table."""
    graph = Graph()
    table = list(table)
    for text in texts:
        for name, size, kind in NODE.findall(text):
            if kind != "static":
                raise BuildError(f"kernel: {name} has a stack frame of {kind} size, expected a fixed one")
            graph.frames[name] = int(size)
        for caller, callee in EDGE.findall(text):
            if callee == INDIRECT and caller != DISPATCHER:
                raise BuildError(f"kernel: {caller} calls through a pointer, expected only {DISPATCHER} to")
            targets = _named(table, text) if callee == INDIRECT else [callee]
            graph.calls.setdefault(caller, set()).update(targets)
    return graph


def _named(table: list[str], text: str) -> list[str]:
    """The table's functions as this file's graph names them: those that are static there carry the file's name."""
    local = {name.rpartition(":")[2]: name for name, _, _ in NODE.findall(text)}
    return [local.get(name, name) for name in table]


def deepest(graph: Graph, root: str) -> tuple[int, list[str]]:
    """Bytes and path of the deepest chain of calls from a function."""
    known: dict[str, tuple[int, list[str]]] = {}
    return _deepest(graph.frames, graph.calls, root, known, [])


def _deepest(
    frames: Mapping[str, int],
    calls: Mapping[str, set[str]],
    name: str,
    known: dict[str, tuple[int, list[str]]],
    above: list[str],
) -> tuple[int, list[str]]:
    if name in known:
        return known[name]
    if name in above:
        raise BuildError(
            f"kernel: {' -> '.join([*above[above.index(name) :], name])} is a cycle, expected bounded calls"
        )
    if name not in frames and name not in WITHOUT_FRAME:
        raise BuildError(
            f"kernel: nothing is known of the stack of {name}, called by {above[-1] if above else 'nobody'}"
        )
    below = [_deepest(frames, calls, callee, known, [*above, name]) for callee in sorted(calls.get(name, ()))]
    size, path = max(below, default=(0, []))
    known[name] = (frames.get(name, 0) + size, [name, *path])
    return known[name]


def check_stack(objects: Path, kernel: Path, limit: int) -> int:
    """Bytes of the deepest stack; refuses one above the limit (the kernel stack's size in kernel.ld)."""
    table = TABLE_ROW.findall((kernel / "syscall.c").read_text(encoding="utf-8"))
    graphs = [path for path in sorted(objects.glob("*.ci")) if (kernel / f"{path.stem}.c").is_file()]
    graph = read_graph((path.read_text(encoding="utf-8") for path in graphs), table)
    size, path = max(deepest(graph, root) for root in ROOTS)
    if size > limit:
        raise BuildError(f"kernel: its stack can need {size} bytes by {' -> '.join(path)}, expected at most {limit}")
    return size
