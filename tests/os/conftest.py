"""A second clone that tests may damage, and the whole `nexus` command run in it, as a user would.

Scenario of every test that uses it: one change to the sources, then `nexus test-os`, judged by exit code and JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nexus.image.build import build_image
from nexus.layout import find_root

SOURCES = ("recipes", "guest", "firmware", "tooling", "tests/vectors", "sources.lock", "requirements.lock")
PRODUCTS = ("gen", "mpy", "runtime", "selftest", "sources")  # so that a copy compiles only what a test has changed
SECONDS = 180


@dataclass(frozen=True)
class Answer:
    """What a run of `nexus test-os` said."""

    exit_code: int
    verdict: dict[str, Any]
    text: str

    @property
    def code(self) -> str | None:
        reason = self.verdict.get("reason")
        return reason["code"] if reason else None

    @property
    def reason(self) -> str:
        return str((self.verdict.get("reason") or {}).get("text", ""))


class Clone:
    """A copy of the sources and of what was built from them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._saved: dict[Path, bytes] = {}

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace one piece of a file; a piece that is not there would test nothing."""
        path = self.root / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{name}: `{old}` is there {text.count(old)} times"
        self._saved.setdefault(path, path.read_bytes())
        path.write_text(text.replace(old, new), encoding="utf-8")

    def restore(self) -> None:
        for path, data in self._saved.items():
            path.write_bytes(data)
        self._saved.clear()

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("RUN_")}
        environ |= {"PYTHONPATH": str(self.root / "tooling"), **variables}
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "nexus", *arguments],
            cwd=self.root,
            env=environ,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def finish(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        with process:
            try:
                text, _ = process.communicate(timeout=SECONDS)
            finally:
                process.kill()
        return process.returncode, text

    def nexus(self, *arguments: str, **variables: str) -> tuple[int, str]:
        return self.finish(self.start(*arguments, **variables))

    def test_os(self, *arguments: str, **variables: str) -> Answer:
        report = self.root / "verdict.json"
        report.unlink(missing_ok=True)
        exit_code, text = self.nexus("test-os", "--json", str(report), *arguments, **variables)
        return Answer(exit_code, json.loads(report.read_text()) if report.exists() else {}, text)


@pytest.fixture(scope="session")
def one_clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    root = find_root()
    build_image("selftest", root, lambda _text: None)
    copy = tmp_path_factory.mktemp("clone")
    for name in SOURCES:
        _copy(root / name, copy / name)
    for name in PRODUCTS:
        _copy(root / "build" / name, copy / "build" / name)
    yield Clone(copy)
    shutil.rmtree(copy)


@pytest.fixture
def clone(one_clone: Clone) -> Iterator[Clone]:
    """The clone, undamaged again after the test."""
    yield one_clone
    one_clone.restore()


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    elif source.exists():
        shutil.copy2(source, target)
