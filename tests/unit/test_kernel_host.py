"""Runs the kernel's own C on this computer, under AddressSanitizer and UndefinedBehaviorSanitizer: each C case is one test here.

The cases are tests/kernel/cases_*.c. What they say on stdout (how many steps were explored) is shown even when they pass.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from nexus.contract.emit import emit_contract
from nexus.contract.load import load_contract
from nexus.layout import contract_dir, find_root

ROOT = find_root()
SOURCES = ROOT / "tests" / "kernel"
BUILD = ROOT / "build" / "kernel-host"
CASE = re.compile(r"^CASE\((\w+)\)", re.MULTILINE)
SECONDS = 60
CASES = [name for path in sorted(SOURCES.glob("*.c")) for name in CASE.findall(path.read_text(encoding="utf-8"))]


@pytest.fixture(scope="session")
def runner() -> Path:
    """The compiled cases. A kernel that does not compile is an error of the set-up, not a failure of a case."""
    emit_contract(load_contract(contract_dir(ROOT)), BUILD / "gen")
    build = os.path.relpath(BUILD, SOURCES)
    argv = ["make", "-s", "-j2", "-C", str(SOURCES), f"BUILD={build}", f"GEN={build}/gen"]
    made = subprocess.run(argv, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.fail(f"the kernel does not compile here (cc and libc6-dev?):\n{made.stderr[-3000:]}", pytrace=False)
    return BUILD / "kernel-tests"


def run(runner: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([runner, *arguments], capture_output=True, text=True, timeout=SECONDS, check=False)


def test_every_case_is_compiled(runner: Path) -> None:
    assert len(CASES) == len(set(CASES)) > 100
    assert sorted(run(runner).stdout.split()) == sorted(CASES)


@pytest.mark.parametrize("name", CASES)
def test_kernel(name: str, runner: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = run(runner, name)
    assert done.returncode == 0, done.stderr[-3000:]
    if done.stdout:
        with capsys.disabled():
            print(f"\n  {done.stdout.strip()}")
