"""A service that `nexus new-service` wrote is built, up, and judged so, in the first boot after it; forgetting its marker is seen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nexus.image.build import build_image
from nexus.image.manifest import load_manifest
from nexus.layout import find_root, manifest_path

PARTS = ("firmware", "guest", "recipes", "tests/guest", "tests/vectors", "tooling")
PRODUCTS = (
    "build/gen",
    "build/mpy",
    "build/runtime",
    "build/selftest",
    "build/sources",
)  # as tests/os/conftest.py says


def nexus(clone: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"PYTHONPATH": str(clone / "tooling")}
    argv = [sys.executable, "-P", "-m", "nexus", *words]
    return subprocess.run(argv, cwd=clone, env=environ, capture_output=True, text=True, check=False)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the sources, and of what was built from them, with the new service in it."""
    root, folder = find_root(), tmp_path / "clone"
    build_image("selftest", root, lambda _text: None)
    for part in (*PARTS, *PRODUCTS):
        shutil.copytree(root / part, folder / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for lock in ("sources.lock", "requirements.lock"):
        shutil.copy(root / lock, folder)
    assert nexus(folder, "new-service", "clockd").returncode == 0
    return folder


def test_new_service_is_up_in_the_next_boot(clone: Path) -> None:
    done = nexus(clone, "test-os")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split("  ")[-1] for line in done.stdout.splitlines() if "bring-up" in line]
    assert lines[-2].startswith("clockd: ")
    assert lines[-1].startswith("init: ")
    built = load_manifest(manifest_path(clone, "selftest"))
    assert "clockd" in [row.label for row in built.processes]
    assert "romfs_clockd" in [part.name for part in built.parts]
    module = clone / "guest/services/clockd/main.py"
    module.write_text(module.read_text(encoding="utf-8").replace("contract.MARK_CLOCKD_READY", '""'), encoding="utf-8")
    done = nexus(clone, "test-os")
    assert done.returncode == 1
    assert "clockd: " in done.stdout + done.stderr
