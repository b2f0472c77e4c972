"""The gate of `just test`: which steps run, when it stops, what it says; the lock files agree with what asks for them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from nexus import steps
from nexus.layout import find_root

ROOT = find_root()
VERBS = "build run test test-host test-os test-kernel test-all test-micropython fuzz mutants bench lint fmt"


def clock() -> float:
    return 0.0


def test_gate_stops_at_the_first_failure() -> None:
    called: list[str] = []

    def run(step: str) -> int:
        called.append(step)
        return 3 if step == "test-os" else 0

    results = steps.run_steps(steps.TEST, run, clock)
    assert called == ["lint", "test-host", "fuzz", "test-os"]
    assert results[-1].exit_code == 3


def test_table_says_what_was_never_reached() -> None:
    said = steps.table(("lint", "test-os"), [steps.Result("lint", 1.25, 1)])
    assert re.search(r"^lint +1\.2 s  FAILED \(exit code 1\)$", said, re.MULTILINE)
    assert re.search(r"^test-os +- +not run$", said, re.MULTILINE)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), steps.TEST),
        (("test-os", "lint"), ("lint", "test-os")),
        (("lint", "typo"), None),
    ],
)
def test_steps_can_be_named(names: Sequence[str], expected: tuple[str, ...] | None) -> None:
    assert steps.choose("test", names) == expected


def test_short_gate_leaves_out_what_another_test_proves_too() -> None:
    (_, whole), (_, short) = (steps.test_os_commands([], environ) for environ in ({}, {steps.SHORT_VARIABLE: "1"}))
    assert [word for word in short if word not in whole] == [steps.WITHOUT_THOROUGH[1]]
    assert "test-all" not in steps.SHORT


def modules(commands: list[list[str]]) -> list[list[str]]:
    return [command[3:] for command in commands]


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [
        (
            [],
            {},
            [["nexus", "test-os"], ["pytest", "tests/os", *steps.SIDE_BY_SIDE, "--ignore=tests/os/test_kernel.py"]],
        ),
        ([], {"RUN_PHASE": "mmio"}, [["nexus", "test-os"]]),
        (["--phase", "mmio"], {}, [["nexus", "test-os", "--phase", "mmio"]]),
        (["-k", "a or b"], {}, [["pytest", "tests/os", "-k", "a or b"]]),
        (["tests/os/test_reject.py", "-x"], {}, [["pytest", "tests/os/test_reject.py", "-x"]]),
    ],
)
def test_test_os_runs(arguments: list[str], environ: dict[str, str], expected: list[list[str]]) -> None:
    assert modules(steps.test_os_commands(arguments, environ)) == expected


def test_options_of_a_gate_are_for_steps_that_it_has() -> None:
    assert all(set(options) <= set(steps.GATES[gate]) for gate, options in steps.SHORT.items())


def test_justfile_has_exactly_the_verbs() -> None:
    text = (ROOT / "justfile").read_text()
    assert sorted(re.findall(r"^([a-z][\w-]*) \*ARGS:$", text, re.MULTILINE)) == sorted(VERBS.split())
    bodies = re.findall(r"^[a-z][\w-]* \*ARGS:\n((?:    .*\n)+)", text, re.MULTILINE)
    assert max(body.count("\n") for body in bodies) <= 3


def test_ci_runs_what_readme_says() -> None:
    assert 'scripts/just" test "$@"' in (ROOT / ".ci/run").read_text()
    assert "./scripts/just test" in (ROOT / "README.md").read_text()


def test_run_in_which_nothing_passed_fails(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text((ROOT / "tests/conftest.py").read_text())
    (tmp_path / "test_it.py").write_text(
        "import pytest\n\n@pytest.mark.skip(reason='never')\ndef test_it():\n    pass\n"
    )
    argv = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:nexus", str(tmp_path)]
    assert subprocess.run(argv, cwd=tmp_path, capture_output=True, check=False).returncode == 5


def test_files_that_take_longest_come_first(tmp_path: Path) -> None:
    text = (ROOT / "tests/conftest.py").read_text()
    longest = re.findall(r'^    "(tests/.+)",$', text, re.MULTILINE)
    assert longest and [name for name in longest if not (ROOT / name).is_file()] == []
    names = ["tests/unit/test_a.py", longest[1], "tests/unit/test_b.py", longest[0]]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("def test_it():\n    pass\n")
    (tmp_path / "tests/conftest.py").write_text(text)
    argv = [
        sys.executable,
        "-P",
        "-m",
        "pytest",
        "-q",
        "--co",
        "-p",
        "no:nexus",
        "--rootdir",
        str(tmp_path),
        "-c",
        os.devnull,
    ]
    said = subprocess.run([*argv, *names], cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    found = [line.partition("::")[0] for line in said.splitlines() if "::" in line]
    assert found == [longest[0], longest[1], names[0], names[2]]


def pins(requirements: list[str]) -> dict[str, str]:
    return {
        name.replace(".", "-"): version
        for name, version in (line.partition(";")[0].strip().split("==") for line in requirements)
    }


def test_lock_holds_every_pin_and_a_hash_for_each_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = pins(project["project"]["dependencies"] + project["project"]["optional-dependencies"]["dev"])
    lock = (ROOT / "requirements.lock").read_text()
    blocks = dict(re.findall(r"^([a-z0-9-]+)==(.*?)(?=^[a-z]|\Z)", lock, re.MULTILINE | re.DOTALL))
    locked = {name: re.split(r"[ ;\\]", block, maxsplit=1)[0] for name, block in blocks.items()}
    assert {name: locked.get(name) for name in asked} == asked
    assert all("--hash=sha256:" in block for block in blocks.values())


def test_every_dependency_has_a_reason_beside_it() -> None:
    lines = re.findall(r'^    ".+==.+$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert lines
    assert [line for line in lines if not re.search(r"# \w.{10,}", line)] == []
