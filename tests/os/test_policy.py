"""The booted evaluator says what the host's says, verdict and rule, to every point of every sheet.

Scenario: system `equivalence` prints a digest per 4,096 decisions; after a difference it is booted once more to show the block. That
the host's evaluator agrees with the reference is tests/unit/test_policy_agreement.py.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from itertools import islice

import pytest

from nexus import layout
from nexus.contract.load import load_contract
from nexus.plugin import Boot
from nexus.policy.sheets import BLOCK, Sheet, digests, sheets

ROOT = layout.find_root()
CONTRACT = load_contract(layout.contract_dir(ROOT))
DIGEST = re.compile(r"equivalence: block ([0-9a-f]{8}) ([0-9a-f]{64})")
SAID = re.compile(r"equivalence: said [0-9a-f]{8} ([0-9a-f ]+)")
LEAST_POINTS = 250_000
SECONDS = 60.0
DUMP_SHIFT = 8  # of the launch's flags: number of the block to show + 1


@pytest.fixture(scope="module")
def asked() -> tuple[Sheet, ...]:
    return sheets(CONTRACT, ROOT)


def block_of(found: tuple[Sheet, ...], number: int) -> Iterator[tuple[str, int]]:
    """Questions and the host's answers of one block; each sheet begins a new one."""
    for sheet in found:
        blocks = -(-len(sheet) // BLOCK)
        if number < blocks:
            start = number * BLOCK
            for point, answer in islice(zip(sheet.points(), sheet.answers(), strict=True), start, start + BLOCK):
                subject, action, target, setting = point
                yield f"{subject.name} {action.name} {target} {sorted(setting.gates)}", answer
            return
        number -= blocks


def shown(boot: Boot, number: int) -> list[int]:
    """The booted evaluator's answers of one block."""
    machine = boot("equivalence", fw_cfg={"flags": str(number + 1 << DUMP_SHIFT)})
    assert machine.wait(SECONDS) is not None
    words = [word for line in machine.log.splitlines() if (found := SAID.fullmatch(line)) for word in found[1].split()]
    return [int.from_bytes(bytes.fromhex(word), "big", signed=True) for word in words]


def first_difference(boot: Boot, found: tuple[Sheet, ...], number: int) -> str:
    pairs = zip(block_of(found, number), shown(boot, number), strict=True)
    return next(f"{question}: host {host}, machine {booted}" for (question, host), booted in pairs if host != booted)


def test_booted_evaluator_decides_as_the_host_does(boot: Boot, asked: tuple[Sheet, ...]) -> None:
    points = sum(map(len, asked))
    assert points >= LEAST_POINTS
    begun = time.monotonic()
    machine = boot("equivalence")
    ended = machine.wait(SECONDS)
    seconds = time.monotonic() - begun
    assert ended is not None
    assert ended.code == CONTRACT.number("exit.ok")
    lines = machine.log.splitlines()
    said = [found[2] for line in lines if (found := DIGEST.fullmatch(line))]
    expected = [digest for sheet in asked for digest in digests(sheet.answers())]
    assert len(said) == len(expected)
    for number, (booted, host) in enumerate(zip(said, expected, strict=True)):
        assert booted == host, first_difference(boot, asked, number)
    assert f"equivalence: points {points:08x}" in lines
    assert seconds < SECONDS
    print(f"{points} points in {seconds:.1f} s")


def test_a_block_can_be_shown_whole(boot: Boot, asked: tuple[Sheet, ...]) -> None:
    """What a difference is looked for with; the last block of the first sheet is a short one."""
    number = len(asked[0]) // BLOCK
    answers = [answer for _, answer in block_of(asked, number)]
    assert 0 < len(answers) < BLOCK
    assert shown(boot, number) == answers
