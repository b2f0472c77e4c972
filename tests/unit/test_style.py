"""Applies the rules of this source tree to every file of it, and each rule to a text that breaks it. Part of `just lint`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus import style
from nexus.contract.load import load_contract
from nexus.image.toolchain import make_argv
from nexus.layout import contract_dir, find_root

ROOT = find_root()
NOT_SOURCES = {"build", "__pycache__"}
BYTES = ".nxb"  # no text: a bundle, which tests/unit/test_proven_apps.py makes again
NO_PURPOSE = {"LICENSE", "NOTICE", ".gitignore", "py.typed"}
NO_PURPOSE_SUFFIXES = {".patch", ".json", ".txt", ".bin", ".hex"}
# The dispatcher answers for whatever a handler does wrong; the shim of the runtime plays what C does with an uncaught error.
CATCH_ALL = ("guest/lib/server.py", "tests/guest/shims/machine.py", "guest/test/unittest.py")
KERNEL_LINES = 4000
LONGEST_FUNCTION = 60
LONGEST_FILE = 500
SERVICES = "policyd keystored rngd logd vault bundlemgrd execd dropd"


def sources() -> Iterator[Path]:
    """Every file that is no product: folders with a leading dot hold products too, but for .ci."""
    for folder, names, files in os.walk(ROOT):
        names[:] = [
            name for name in names
            if name not in NOT_SOURCES and not name.endswith(".egg-info") and (name == ".ci" or not name.startswith("."))
        ]  # fmt: skip
        for file in files:
            if (not file.startswith(".") or file == ".gitignore") and not file.endswith(BYTES):
                yield Path(folder, file)


FILES = sorted(sources())
PYTHON = [path for path in FILES if path.suffix == ".py"]
C = [path for path in FILES if path.suffix in style.C_SUFFIXES]
KERNEL = [path for path in C if (ROOT / "firmware/kernel") in path.parents]
SCRIPTS = [path for path in FILES if path.parent == ROOT / "scripts" or path == ROOT / ".ci/run"]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_tree_is_found() -> None:
    assert len(PYTHON) > 20
    assert SCRIPTS


def test_every_file_states_its_purpose() -> None:
    checked = [path for path in FILES if path.name not in NO_PURPOSE and path.suffix not in NO_PURPOSE_SUFFIXES]
    assert [name_of(path) for path in checked if not style.states_purpose(path.suffix, read(path))] == []


def test_only_the_dispatcher_catches_everything() -> None:
    found = [f"{name_of(path)}:{line}" for path in PYTHON for line in style.blanket_excepts(read(path))]
    assert [where for where in found if not where.startswith(CATCH_ALL)] == []


def test_no_linter_is_silenced_wholesale() -> None:
    found = [name_of(path) for path in PYTHON if style.BLANKET_NOTES.search(read(path))]
    assert [name for name in found if name not in ("tooling/nexus/style.py", "tests/unit/test_style.py")] == []


def test_nothing_names_a_registry_or_a_persons_folder() -> None:
    own = ("tooling/nexus/style.py", "tests/unit/test_style.py")
    found = [(name_of(path), style.foreign_names(read(path))) for path in FILES if name_of(path) not in own]
    assert [(name, names) for name, names in found if names] == []


def test_marker_texts_stand_in_the_contract_only() -> None:
    rows = load_contract(contract_dir(ROOT)).markers
    # A text of one word is common English; with its label before it, it is the marker.
    texts = {f"{row.label}: {row.text}" for row in rows if row.text} | {
        row.text for row in rows if row.text and " " in row.text
    }
    found = []
    for path in [*PYTHON, *C]:
        strings = style.python_strings(read(path)) if path.suffix == ".py" else style.c_strings(read(path))
        found += [(name_of(path), string) for string in strings if any(text in string for text in texts)]
    assert found == []


def test_kernel_changes_translation_only_where_it_fences() -> None:
    assert [finding for path in KERNEL for finding in style.translation_findings(path.name, read(path))] == []


def test_kernel_stays_small() -> None:
    assert (
        sum(style.code_lines(path.suffix, read(path)) for path in KERNEL if path.suffix in (".c", ".h", ".S"))
        <= KERNEL_LINES
    )


def test_kernel_names_no_service() -> None:
    word = re.compile(rf"\b(?:{SERVICES.replace(' ', '|')})\b")
    assert [name_of(path) for path in KERNEL if word.search(read(path))] == []


def test_makefiles_use_no_absolute_path() -> None:
    """make splits words at the spaces that a clone's path may hold."""
    rules = [path for path in FILES if path.name == "Makefile" or path.suffix == ".mk"]
    assert [name_of(path) for path in rules if re.search(r"\$\((?:abspath|realpath|CURDIR)\b", read(path))] == []
    argv = make_argv(Path("/a clone/firmware/kernel"), {"BUILD": Path("/a clone/build/default/kernel")})
    assert argv[-1] == "BUILD=../../build/default/kernel"


def test_functions_and_files_stay_readable() -> None:
    found = []
    for path in [*PYTHON, *C]:
        text = read(path)
        functions = style.python_functions(text) if path.suffix == ".py" else style.c_functions(text)
        found += [
            f"{name_of(path)}: {one.name}: {one.lines} lines" for one in functions if one.lines > LONGEST_FUNCTION
        ]
        if text.count("\n") > LONGEST_FILE:
            found.append(f"{name_of(path)}: {text.count(chr(10))} lines")
    assert found == []


def test_scripts_pass_shellcheck() -> None:
    checker = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run([checker, "-x", *SCRIPTS], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout + done.stderr == ""


# ---- each rule finds what breaks it ----------------------------------------------------------------------------------

GOOD_MAP = """
static inline void fence(void) { __asm__ volatile("sfence.vma" ::: "memory"); }
void map_free_space(struct process *p) { fence(); }
bool map_run(struct process *p) {
    *entry = 1;
    fence();
}
bool map_fresh(struct process *p) { *entry = 1; fence(); }
uint64_t map_unmap(struct process *p) { *entry = 0; fence(); }
void map_switch(uint64_t satp) { CSR_WRITE(satp, satp); fence(); }
"""


def test_translation_rule_accepts_the_permitted_functions() -> None:
    assert style.translation_findings("map.c", GOOD_MAP) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("map.c", GOOD_MAP.replace("*entry = 1;\n    fence();", "*entry = 1;")),
        ("map.c", GOOD_MAP + "void map_sneak(void) {\n    CSR_WRITE(satp, 0);\n}\n"),
        ("map.c", GOOD_MAP + "void map_sneak(void) {\n    *entry |= PTE_W;\n}\n"),
        ("sched.c", "void sched_next(void) {\n    CSR_WRITE(satp, p->satp);\n}\n"),
        ("trap.S", "    csrw satp, t0\n"),
        ("trap.S", "    csrrw x0, satp, t0\n"),
        ("spawn.c", "void spawn_go(void) {\n    p->root[1] = 3;\n}\n"),
        ("spawn.c", 'void spawn_go(void) {\n    __asm__ volatile("sfence.vma");\n}\n'),
    ],
)
def test_translation_rule_refuses(name: str, text: str) -> None:
    assert style.translation_findings(name, text)


def test_translation_rule_ignores_prose() -> None:
    assert style.translation_findings("sched.c", "/* csrw satp happens in map.c */\n// sfence.vma too\n") == []


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".py", "import os\n"),
        (".py", '"""x"""\n'),
        (".c", "#include <stdint.h>\n"),
        (".toml", "[limit]\nfoo = 1\n"),
        ("", "#!/bin/sh\nset -eu\n"),
    ],
)
def test_purpose_rule_refuses(suffix: str, text: str) -> None:
    assert not style.states_purpose(suffix, text)


@pytest.mark.parametrize(
    "handler", ["except:", "except Exception:", "except (OSError, BaseException):", "except Exception as error:"]
)
def test_except_rule_refuses(handler: str) -> None:
    assert style.blanket_excepts(f"try:\n    pass\n{handler}\n    raise\n") == [3]


def test_except_rule_accepts_a_named_class() -> None:
    assert style.blanket_excepts("try:\n    pass\nexcept (OSError, ValueError):\n    pass\n") == []


@pytest.mark.parametrize("note", ["# noqa", "# type: ignore", "# ruff: noqa", "#noqa  # because"])
def test_silence_rule_refuses(note: str) -> None:
    assert style.BLANKET_NOTES.search(f"x = 1  {note}\n")


@pytest.mark.parametrize("note", ["# noqa: F401", "# type: ignore[arg-type]"])
def test_silence_rule_accepts_a_reasoned_one(note: str) -> None:
    assert not style.BLANKET_NOTES.search(f"x = 1  {note}\n")


@pytest.mark.parametrize(
    ("start", "end"),
    [("see /", "root/x"), ("cd /", "home/alice/x"), ("https://a.", "debian.org/x"), ("files.python", "hosted.org")],
)
def test_name_rule_refuses(start: str, end: str) -> None:
    assert style.foreign_names(start + end)  # in two, so that this file does not break the rule itself


@pytest.mark.parametrize("text", ['"$root/scripts"', "http://www.apache.org/licenses/", "homework/done", "/rom/root/x"])
def test_name_rule_accepts(text: str) -> None:
    assert style.foreign_names(text) == []


def test_code_lines_count_neither_comments_nor_blanks() -> None:
    assert style.code_lines(".c", "/* a\n b */\n\nint x; // y\n// z\n#define A 1\n") == 2
    assert style.code_lines(".S", "# a\n#include <b>\n    nop # c\n") == 2


def test_functions_are_found_with_their_length() -> None:
    assert [
        (one.name, one.lines)
        for one in style.c_functions("int a(void) {\n    if (x) { y(); }\n}\nstruct s { int a; };\n")
    ] == [("a", 3)]
    assert [(one.name, one.lines) for one in style.python_functions("def a() -> None:\n    pass\n")] == [("a", 2)]
