"""Fixtures that the host tool's tests share: the contract, and clones that a test may fill or change. Loaded by pytest."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nexus import layout
from nexus.contract.load import Contract, load_contract

PARTS = ("firmware", "guest", "recipes", "tests/recipes", "tests/vectors", "tooling")


@pytest.fixture(scope="session")
def root() -> Path:
    return layout.find_root()


@pytest.fixture(scope="session")
def contract(root: Path) -> Contract:
    return load_contract(layout.contract_dir(root))


def copy_clone(root: Path, folder: Path) -> Path:
    """This clone's sources, without what has been built."""
    for part in PARTS:
        shutil.copytree(root / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "sources.lock", folder)
    return folder


@pytest.fixture(scope="session")
def pristine(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One copy for all tests that change nothing in it."""
    return copy_clone(root, tmp_path_factory.mktemp("pristine"))


@pytest.fixture
def clone(pristine: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone in which verbs work; its sources must not be changed."""
    monkeypatch.setattr(layout, "find_root", lambda: pristine)
    return pristine


@pytest.fixture
def own_clone(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone that the test may change; the interpreters that this clone has built are there already."""
    folder = copy_clone(root, tmp_path / "clone")
    if (root / "build" / "runtime").is_dir():
        shutil.copytree(root / "build" / "runtime", folder / "build" / "runtime")
    monkeypatch.setattr(layout, "find_root", lambda: folder)
    return folder
