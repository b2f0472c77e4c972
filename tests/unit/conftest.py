"""Fixtures that the host tool's tests share: the contract, and clones that a test may fill or change. Loaded by pytest."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nexus import layout
from nexus.contract.load import Contract, load_contract
from nexus.image.build import build_image

PARTS = ("firmware", "guest", "recipes", "tests/recipes", "tests/vectors", "tooling")
LOCKS = ("sources.lock", "requirements.lock")
COMPILED = ("gen", "mpy", "default/caps", "default/native", "default/kernel")
Copy = Callable[..., Path]


@pytest.fixture(scope="session")
def root() -> Path:
    return layout.find_root()


@pytest.fixture(scope="session")
def contract(root: Path) -> Contract:
    return load_contract(layout.contract_dir(root))


def copy_sources(root: Path, folder: Path) -> Path:
    for part in PARTS:
        shutil.copytree(root / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for lock in LOCKS:
        shutil.copy(root / lock, folder)
    return folder


def copy_products(root: Path, folder: Path) -> None:
    """What was compiled for the default system, with the stamps and times that say from what, but no image; of the interpreters
    the ELFs alone."""
    interpreters = [*(root / "build/runtime").glob("*.stamp"), *(root / "build/runtime").glob("*/*.elf")]
    parts = [path for name in COMPILED for path in (root / "build" / name).rglob("*") if path.is_file()]
    for path in [*interpreters, *parts]:
        target = folder / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)


@pytest.fixture(scope="session")
def pristine(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This clone's sources as they are now: one clone for all tests that change nothing in it."""
    return copy_sources(root, tmp_path_factory.mktemp("pristine"))


@pytest.fixture(scope="session")
def interpreters(root: Path, pristine: Path) -> Path:
    """A clone in which the default system is built, from what is compiled in this one: once, whoever else waits for it."""
    build_image("default", root, lambda _: None)
    copy_products(root, pristine)
    build_image("default", pristine, lambda _: None)
    return pristine


@pytest.fixture(scope="session")
def copy(pristine: Path, request: pytest.FixtureRequest) -> Copy:
    """copy(folder, built=True) -> a clone there, with what is compiled for the default system or from nothing."""

    def make(folder: Path, built: bool = True) -> Path:
        copy_sources(pristine, folder)
        if built:
            copy_products(request.getfixturevalue("interpreters"), folder)
        return folder

    return make


@pytest.fixture
def clone(pristine: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone in which verbs work; its sources must not be changed."""
    monkeypatch.setattr(layout, "find_root", lambda: pristine)
    return pristine


@pytest.fixture
def own_clone(copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone that the test may change."""
    folder = copy(tmp_path / "clone")
    monkeypatch.setattr(layout, "find_root", lambda: folder)
    return folder
