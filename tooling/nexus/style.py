"""Rules of this source tree that no ready-made linter knows, as pure functions from text to findings.

Called by tests/unit/test_style.py, which applies them to every file, and by bench for the kernel's size. Never opens a file.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

C_SUFFIXES = (".c", ".h", ".S", ".ld")
SLASH_SUFFIXES = (*C_SUFFIXES, ".css", ".js")
HASH_SUFFIXES = (".py", ".toml", ".lock", ".mk", ".sh", ".yml", ".yaml")
PURPOSE_LETTERS = 20
PURPOSE_LINES = 12  # a purpose longer than this hides the file


@dataclass(frozen=True)
class Function:
    """One function of a source file, by its lines."""

    name: str
    first_line: int
    body: str

    @property
    def lines(self) -> int:
        return self.body.count("\n") + 1


# ---- purpose ---------------------------------------------------------------------------------------------------------


def purpose(suffix: str, text: str) -> str:
    """What the file says of itself before its first line of code; empty if it does not."""
    text = re.sub(r"\A#!.*\n", "", text)
    if suffix == ".py":
        found = re.match(r'\s*"""(.*?)"""', text, re.DOTALL) or re.match(r"((?:#.*\n)+)", text)
    elif suffix in SLASH_SUFFIXES:
        found = re.match(r"/\*(.*?)\*/", text, re.DOTALL) or re.match(r"((?:(?://|# ).*\n)+)", text)
    elif suffix == ".md":
        found = re.match(r"((?:> .*\n)+|# .*\n)", text)
    else:
        found = re.match(r"((?:#.*\n)+)", text)
    return found[1] if found else ""


def states_purpose(suffix: str, text: str) -> bool:
    said = purpose(suffix, text)
    least = 3 if suffix == ".md" else PURPOSE_LETTERS
    return sum(map(str.isalpha, said)) >= least and said.count("\n") <= PURPOSE_LINES


# ---- C ---------------------------------------------------------------------------------------------------------------


def without_comments(text: str) -> str:
    """C or assembly with comments blanked and line numbers kept."""

    def blank(found: re.Match[str]) -> str:
        whole = found[0]
        return whole if whole[0] in "\"'" else "\n" * whole.count("\n")

    pattern = r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//[^\n]*'
    return re.sub(pattern, blank, text, flags=re.DOTALL)


def code_lines(suffix: str, text: str) -> int:
    """Lines that are neither blank nor comment alone."""
    text = without_comments(text)
    if suffix == ".S":
        text = re.sub(
            r"^\s*#(?!\s*(?:include|define|if|ifdef|ifndef|else|elif|endif|undef)\b).*$", "", text, flags=re.MULTILINE
        )
    return sum(bool(line.strip()) for line in text.splitlines())


HEAD = re.compile(r"^(?!struct\b|enum\b|union\b|typedef\b)[a-z_][\w \t*]*?\b(\w+)\s*\([^;{}]*\)\s*\{", re.MULTILINE)


def c_functions(text: str) -> Iterator[Function]:
    """Functions that begin at the start of a line, as all here do."""
    text = without_comments(text)
    for head in HEAD.finditer(text):
        end, depth = head.end(), 1
        while depth and end < len(text):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        yield Function(head[1], text.count("\n", 0, head.start()) + 1, text[head.start() : end])


def outside_functions(text: str, allowed: set[str]) -> str:
    """The code of a file but for the functions named."""
    text = without_comments(text)
    for function in c_functions(text):
        if function.name in allowed:
            text = text.replace(function.body, "")
    return text


ADDRESS_SPACE_WRITES = re.compile(
    r"CSR_WRITE\s*\(\s*satp|csr[wsc]i?\s+satp|csrrw[sc]?i?\s+\w+\s*,\s*satp|csrr[wsc]i?\s+\w+\s*,\s*satp"
)
FENCES = re.compile(r"sfence\.vma")
ENTRY_WRITES = re.compile(
    r"(?:^|[{;)])\s*\*\s*entry\s*(?:=(?!=)|[|&^]=)|\broot\s*\[[^\]]*\]\s*(?:=(?!=)|[|&^]=)|\bPTE_[VRWXUAD]\b"
)

# What may change address translation, and where: map.c, in these functions. Each of them ends in fence() or is only called
# by one that does.
MAP_FILE = "map.c"
MAY_WRITE_SATP = {"map_switch"}
MAY_FENCE = {"fence"}
MAY_WRITE_ENTRIES = {"entry_of", "next_entry", "leaf_bits", "map_run", "map_fresh", "map_unmap"}
MUST_FENCE = {"map_switch", "map_run", "map_fresh", "map_unmap", "map_free_space"}


def translation_findings(name: str, text: str) -> list[str]:
    """Writes of satp, of page-table entries, and fences anywhere but in the functions that have to make them."""
    rules = (
        ("writes satp", ADDRESS_SPACE_WRITES, MAY_WRITE_SATP),
        ("fences", FENCES, MAY_FENCE),
        ("touches page-table entries", ENTRY_WRITES, MAY_WRITE_ENTRIES | {"map_free_space", "map_find"}),
    )
    found: list[str] = []
    for what, pattern, functions in rules:
        rest = outside_functions(text, functions if name == MAP_FILE else set())
        if name == MAP_FILE:
            rest = re.sub(r"^enum \{ PTE_.*$", "", rest, flags=re.MULTILINE)
        found += [f"{name}: {what}: {line.strip()}" for line in rest.splitlines() if pattern.search(line)]
    if name == MAP_FILE:
        bodies = {function.name: function.body for function in c_functions(text)}
        found += [
            f"{name}: {one} does not fence" for one in sorted(MUST_FENCE) if "fence();" not in bodies.get(one, "")
        ]
    return found


# ---- Python ----------------------------------------------------------------------------------------------------------

BLANKET_NOTES = re.compile(
    r"#\s*(?:noqa(?!:\s*[A-Z])|type:\s*ignore(?!\[)|ruff:\s*noqa|mypy:\s*ignore-errors|pragma: no cover)"
)
BLANKET_CLASSES = {"Exception", "BaseException"}


def blanket_excepts(text: str) -> list[int]:
    """Lines of `except:` and of handlers for the classes that catch everything."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(kind is None or (isinstance(kind, ast.Name) and kind.id in BLANKET_CLASSES) for kind in kinds):
                found.append(node.lineno)
    return found


def python_functions(text: str) -> Iterator[Function]:
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Function(node.name, node.lineno, "\n".join(lines[node.lineno - 1 : node.end_lineno]))


def python_strings(text: str) -> Iterator[str]:
    """String literals but docstrings, which are prose."""
    tree = ast.parse(text)
    prose = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value


def c_strings(text: str) -> Iterator[str]:
    for found in re.finditer(r'"((?:\\.|[^"\\\n])*)"', without_comments(text)):
        yield found[1]


# ---- any file --------------------------------------------------------------------------------------------------------

# A registry's name in the tree would bind every user to it; a home folder in it is somebody's own.
HOSTS = re.compile(r"\b(?:[\w-]+\.)*(?:debian|ubuntu|pypi|npmjs|pythonhosted|crates)\.(?:org|com|io)\b")
OWN_PATHS = re.compile(r"(?<![\w.$}>])/(?:root|work|Users)/|/home/(?!dev\b)\w+/")


def foreign_names(text: str) -> list[str]:
    return [found[0] for pattern in (HOSTS, OWN_PATHS) for found in pattern.finditer(text)]
