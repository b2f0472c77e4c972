"""What a fuzz target is, and how its file is found. Used by child.py, by every target and by test_found.py; runs nothing itself."""

from __future__ import annotations

import importlib
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

FOLDER = Path(__file__).resolve().parent
TESTS = FOLDER.parent
LIST = FOLDER / "targets.toml"
FOUND = FOLDER / "found"

Generic = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Target:
    """`check` takes one input and raises when a rule is broken. `mutate` makes an input from another, with the engine's own
    mutation at hand; without one, that is all there is. `restart` forgets what earlier inputs have left behind, `close` ends what runs.
    """

    check: Callable[[bytes], None]
    seeds: Sequence[bytes]
    mutate: Callable[[bytes, Random, Generic], bytes] | None = None
    restart: Callable[[], None] | None = None
    close: Callable[[], None] | None = None


def rows() -> dict[str, dict[str, Any]]:
    return tomllib.loads(LIST.read_text(encoding="utf-8"))


def load(name: str) -> Target:
    """The target of tests/fuzz/<name>.py, ready to run."""
    for folder in (FOLDER, *(TESTS / folder for folder in ("bundles", "guest", "policy", "vault"))):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    made: Target = importlib.import_module(name).target()
    return made


def findings(name: str, found: Path = FOUND) -> Mapping[str, list[bytes]]:
    """What once broke a rule, by file: the input as the last line of hex, before it what had to come before."""
    files = sorted((found / name).glob("*.hex")) if (found / name).is_dir() else []
    return {path.name: read_inputs(path) for path in files}


def read_inputs(path: Path) -> list[bytes]:
    lines = path.read_text(encoding="ascii").splitlines()
    return [bytes.fromhex(line) for line in lines if not line.startswith("#")]
