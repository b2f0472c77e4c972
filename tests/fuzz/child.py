"""One fuzz target in one process: instruments what it is about, then runs inputs until enough have run or one breaks a rule.

Started by nexus.fuzz, which reads what it prints. Guided by coverage where atheris is installed, else by hypothesis, which sees none.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import os
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import target as targets

NO_RANDOM_ADDRESSES = 0x0040000  # of personality(2)
ENGINES = {"atheris": "guided", "hypothesis": "unguided"}
RESTART = 2048  # inputs between two restarts: what a finding may need before it


class Watch:
    """Calls a target, restarts it now and then, and keeps what ran since: the history of a finding."""

    def __init__(self, target: targets.Target, history: Path) -> None:
        self.target, self.file = target, history
        self.executions = 0
        self.since: deque[bytes] = deque(maxlen=RESTART)

    def __call__(self, data: bytes) -> None:
        if (
            self.target.restart is not None and self.executions % RESTART == 1
        ):  # the first input is the engine's own, empty
            self.target.restart()
            self.since.clear()
        self.executions += 1
        self.since.append(data)
        whole = False
        try:
            self.target.check(data)
            whole = True
        finally:
            if not whole:
                self.file.write_text("".join(f"{one.hex()}\n" for one in self.since), encoding="ascii")


def replay(name: str, file: Path) -> None:
    """Raises what the inputs of that file raise."""
    target = targets.load(name)
    for data in targets.read_inputs(file):
        target.check(data)


def fix_addresses() -> None:
    """Begin anew without random addresses, which would make every run choose other inputs; where that is forbidden, go on."""
    libc = ctypes.CDLL(None)
    now = libc.personality(ctypes.c_ulong(0xFFFFFFFF))
    if (
        now != -1
        and not now & NO_RANDOM_ADDRESSES
        and libc.personality(ctypes.c_ulong(now | NO_RANDOM_ADDRESSES)) != -1
    ):
        os.execv(sys.executable, sys.orig_argv)


def engine(name: str | None) -> ModuleType:
    """The one that is named, or the best there is. Says which: the other sees less."""
    name = name or ("atheris" if importlib.util.find_spec("atheris") else "hypothesis")
    if name == "atheris":
        fix_addresses()
    print(f"engine: {name}", flush=True)
    return importlib.import_module(ENGINES[name])


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="child.py")
    parser.add_argument("name")
    parser.add_argument("--runs", type=int, default=-1)
    parser.add_argument("--seconds", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--replay", type=Path)
    parser.add_argument("--engine", choices=ENGINES)
    chosen = parser.parse_args(arguments)
    if chosen.replay is not None:
        replay(chosen.name, chosen.replay)
    else:
        engine(chosen.engine).run(chosen, Watch)


if __name__ == "__main__":
    main(sys.argv[1:])
