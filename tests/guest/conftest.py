"""Fixtures of the guest's host tests: a simulated machine for a recipe, ended with the test. Loaded by pytest."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from shims import micropython
from shims.device import Device, healthy
from shims.disk import Disk
from shims.keyworld import World
from shims.loader import Loader
from shims.machine import Machine
from shims.shellworld import IDLE, Shell

from nexus import layout
from nexus.contract.load import load_contract
from nexus.recipe.check import load_system
from nexus.recipe.model import System

ROOT = layout.find_root()
CONTRACT = load_contract(layout.contract_dir(ROOT))
SYSTEMS: dict[str, System] = {}


@pytest.fixture(scope="session")
def contract() -> SimpleNamespace:
    """Every generated constant."""
    return SimpleNamespace(**CONTRACT.constants)


@pytest.fixture(scope="session")
def pure(contract: SimpleNamespace) -> Callable[..., Any]:
    """pure(module, folder="lib") -> a guest module that calls no kernel."""

    def load(module: str, folder: str = "lib") -> Any:
        given = {"contract": contract, "micropython": micropython}
        return Loader([ROOT / "guest" / folder], given, {}).load(module)

    return load


@pytest.fixture
def machine() -> Iterator[Callable[..., Machine]]:
    """machine(system="selftest", device=None, sources=None) -> a Machine that has not started yet."""
    made: list[Machine] = []

    def make(system: str = "selftest", **rest: Any) -> Machine:
        if system not in SYSTEMS:
            SYSTEMS[system] = load_system(system, ROOT, CONTRACT)
        rest.setdefault("device", Device(healthy()))
        rest.setdefault("devices", {"drop": Disk()})
        made.append(Machine(SYSTEMS[system], CONTRACT, ROOT, **rest))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def world() -> Iterator[World]:
    """keystored alone, with everybody around it played by the test."""
    made = World()
    yield made
    made.alone.close()


@pytest.fixture
def shell(machine: Callable[..., Machine]) -> Callable[..., Shell]:
    """shell(system="test-shell") -> the shell of a machine that is up, in the test's hand."""

    def start(system: str = "test-shell", **rest: Any) -> Shell:
        made = machine(system, sources={"shell": IDLE}, **rest)
        made.boot()
        return Shell(made)

    return start
