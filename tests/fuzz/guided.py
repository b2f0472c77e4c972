"""Inputs guided by coverage: atheris around libFuzzer. Called by child.py; instruments the modules that targets.toml names, and no others.

Never returns: libFuzzer ends the process, and prints how many inputs ran and what they covered.
"""

from __future__ import annotations

import argparse
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from random import Random
from types import CodeType, ModuleType

import atheris
import target as targets

TIMEOUT = 60  # seconds for one input; a target takes well under one

Watcher = Callable[[targets.Target, Path], Callable[[bytes], None]]


class _Instrumented(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return patched(compile(self.get_data(path), path, "exec", dont_inherit=True))


class _Finder(MetaPathFinder):
    """Instruments just these modules, however deep they lie in a package."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = frozenset(names)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        found = importlib.machinery.PathFinder.find_spec(fullname, path, target) if fullname in self.names else None
        if found is not None and found.origin is not None:
            found.loader = _Instrumented(fullname, found.origin)
        return found


def patched(code: CodeType) -> CodeType:
    made: CodeType = atheris.patch_code(code, True)
    return made


def instrument_guest(places: Sequence[str]) -> None:
    """Guest modules are compiled by the tests' own loader, for every simulated process anew."""
    if not places:
        return
    sys.path.insert(0, str(targets.TESTS / "guest"))
    guest = targets.TESTS.parent / "guest"
    roots = [guest / place for place in places]

    def compile_guest(text: str, origin: str, mode: str) -> CodeType:
        code = compile(text, origin, mode, dont_inherit=True)
        path = Path(origin)
        return patched(code) if any(root == path or root in path.parents for root in roots) else code

    vars(importlib.import_module("shims.loader"))["compile"] = compile_guest


def run(chosen: argparse.Namespace, watcher: Watcher) -> None:
    row = targets.rows()[chosen.name]
    sys.meta_path.insert(0, _Finder(row.get("modules", ())))
    instrument_guest(row.get("guest", ()))
    target = targets.load(chosen.name)
    corpus = chosen.folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(target.seeds):
        (corpus / f"{number:03}").write_bytes(seed)
    longest = int(row["longest"])
    options = [f"-runs={chosen.runs}", f"-max_total_time={chosen.seconds}", f"-seed={chosen.seed}", "-len_control=0"]
    options += [f"-max_len={longest}", f"-timeout={TIMEOUT}", f"-artifact_prefix={chosen.folder}/", "-reload=0"]
    check = watcher(target, chosen.folder / "history.hex")
    mutator = _mutator(target, longest)
    atheris.Setup([chosen.name, *options, str(corpus)], check, **({"custom_mutator": mutator} if mutator else {}))
    atheris.Fuzz()


def _mutator(target: targets.Target, longest: int) -> Callable[[bytes, int, int], bytes] | None:
    own = target.mutate
    if own is None:
        return None

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        return own(data, Random(seed), lambda whole: bytes(atheris.Mutate(whole, most)))[: min(most, longest)]

    return mutate
