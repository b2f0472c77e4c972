"""Inputs by chance: hypothesis picks seeds and how they are damaged. Called by child.py where atheris is not installed (it has no wheel for
every Python and machine). Sees no coverage and says none.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import target as targets
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

BATCH = 1000
TRIES = 10  # inputs of one choice of hypothesis, which takes longer than most of them


def damaged(data: bytes, chance: Random, longest: int) -> bytes:
    """One small change."""
    change, place = bytearray(data), chance.randrange(len(data) + 1)
    kind = chance.randrange(5)
    if kind == 0:
        change[place:place] = chance.randbytes(chance.randint(1, 8))
    elif kind == 1:
        del change[place : place + chance.randint(1, 8)]
    elif kind == 2 and place < len(change):
        change[place] ^= 1 << chance.randrange(8)
    elif kind == 3 and place < len(change):
        change[place] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
    else:
        start = chance.randrange(len(data) + 1)
        change[place:place] = data[start : start + chance.randint(1, 32)]
    return bytes(change[:longest])


def run(chosen: argparse.Namespace, watcher: Callable[[targets.Target, Path], Any]) -> None:
    target, longest = targets.load(chosen.name), int(targets.rows()[chosen.name]["longest"])
    check = watcher(target, chosen.folder / "history.hex")
    until = time.monotonic() + chosen.seconds if chosen.seconds else float("inf")
    for one in target.seeds:
        check(one)
    begun = time.monotonic()
    batch = 0
    while (chosen.runs < 0 or check.executions < chosen.runs) and time.monotonic() < until:
        left = BATCH if chosen.runs < 0 else min(BATCH, chosen.runs - check.executions)
        _batch(target, check, longest, left, chosen.seed * 1_000_003 + batch)
        batch += 1
    print(f"Done {check.executions} runs in {time.monotonic() - begun:.0f} second(s)", flush=True)


def _batch(target: targets.Target, check: Callable[[bytes], None], longest: int, runs: int, number: int) -> None:
    @seed(number)
    @settings(
        max_examples=-(-runs // TRIES),
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, (1 << 64) - 1))
    def each(state: int) -> None:
        chance = Random(state)
        for _ in range(TRIES):
            check(_made(target, chance, longest))

    each()


def _made(target: targets.Target, chance: Random, longest: int) -> bytes:
    """A seed after one to four changes."""
    data = chance.choice(target.seeds)
    for _ in range(chance.randint(1, 4)):
        if target.mutate is None:
            data = damaged(data, chance, longest)
        else:
            data = target.mutate(data, chance, lambda whole: damaged(whole, chance, longest))[:longest]
    return data
