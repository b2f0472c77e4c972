"""The entropy health tests (firmware/runtime/health.c), compiled for this computer under ASan and UBSan.

Scenario: a driver program reads blocks in hex from stdin and prints the verdict of each; the cut-offs are computed anew.
"""

from __future__ import annotations

import random
import re
import subprocess
from fractions import Fraction
from math import comb
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.contract.emit import emit_contract
from nexus.contract.load import load_contract

ROOT = Path(__file__).resolve().parents[2]
RUNTIME = ROOT / "firmware" / "runtime"
CONTRACT = load_contract(ROOT / "recipes" / "contract")
OK, REPETITION, PROPORTION, DUPLICATE, TOO_SHORT = (
    CONTRACT.constants[f"HEALTH_{name}"] for name in ("OK", "REPETITION", "PROPORTION", "DUPLICATE", "TOO_SHORT")
)
LEAST = int(CONTRACT.constants["LIMIT_ENTROPY_BLOCK"])

DRIVER = r"""
#include <stdio.h>
#include <string.h>
#include "health.h"

/* Equal blocks, equal digests; that is all that the tests need of it. */
void health_digest(uint8_t digest[HEALTH_DIGEST_BYTES], const uint8_t *samples, size_t count) {
    uint64_t hash[4] = {0xcbf29ce484222325u, 1, 2, 3};
    for (size_t i = 0; i < count; i++) hash[i % 4] = (hash[i % 4] ^ samples[i]) * 0x100000001b3u + i;
    memcpy(digest, hash, sizeof hash);
}

int main(void) {
    static char line[65536];
    static uint8_t block[32768];
    while (fgets(line, sizeof line, stdin)) {
        size_t n = 0;
        unsigned byte;
        if (strcmp(line, "start\n") == 0) { health_start(); continue; }
        while (sscanf(line + 2 * n, "%2x", &byte) == 1) block[n++] = (uint8_t)byte;
        printf("%d\n", health_block(block, n));
    }
    return 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("health")
    emit_contract(CONTRACT, folder)
    (folder / "driver.c").write_text(DRIVER, encoding="utf-8")
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    sources = [folder / "driver.c", RUNTIME / "health.c"]
    subprocess.run(["cc", *flags, f"-I{folder}", f"-I{RUNTIME}", "-o", folder / "health", *sources], check=True)
    return folder / "health"


def verdicts(program: Path, *blocks: bytes | str) -> list[int]:
    text = "".join(block + "\n" if isinstance(block, str) else block.hex() + "\n" for block in blocks)
    done = subprocess.run([program], input=text, capture_output=True, text=True, check=True)
    return [int(line) for line in done.stdout.split()]


def good(seed: int, size: int = 256) -> bytes:
    return random.Random(seed).randbytes(size)


def header(name: str) -> int:
    found = re.search(
        rf"^#define HEALTH_{name} (\d+)$", (RUNTIME / "health.h").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert found is not None
    return int(found[1])


def test_proportion_cutoff_is_the_one_that_follows_from_h_and_alpha() -> None:
    chance, window = Fraction(1, 2 ** header("ENTROPY_BITS")), header("WINDOW")
    below, matches = Fraction(0), -1
    while below < 1 - Fraction(1, 2 ** header("ALPHA_BITS")):
        matches += 1
        below += comb(window, matches) * chance**matches * (1 - chance) ** (window - matches)
    assert header("PROPORTION_CUTOFF") == 1 + matches


def test_duplicates_are_no_accident_at_the_shortest_block() -> None:
    assert header("BLOCKS_KEPT") * 2 ** header("ALPHA_BITS") <= 2 ** (header("ENTROPY_BITS") * LEAST)


def test_a_good_source_passes_for_long(program: Path) -> None:
    assert verdicts(program, *(good(seed) for seed in range(1000))) == [OK] * 1000


def test_repetition_fails_at_the_cutoff_and_not_before(program: Path) -> None:
    spread = bytes(range(100))
    assert verdicts(program, spread + b"\xff" * 5 + spread) == [OK]
    assert verdicts(program, spread + b"\xff" * 6 + spread) == [REPETITION]


def test_repetition_is_seen_across_blocks(program: Path) -> None:
    assert verdicts(program, bytes(range(100)) + b"\xff" * 3, b"\xff" * 3 + bytes(range(100))) == [OK, REPETITION]


def test_a_stuck_device_fails_in_its_first_block(program: Path) -> None:
    assert verdicts(program, bytes(LEAST)) == [REPETITION]


def test_proportion_fails_at_the_cutoff_and_not_before(program: Path) -> None:
    def window(matches: int) -> bytes:
        rest = bytes(1 + number % 255 for number in range(512 - matches))
        mixed = bytearray(rest)
        for number in range(matches):
            mixed.insert(number * 8, 0)
        return bytes(mixed)

    assert verdicts(program, window(61)) == [OK]
    assert verdicts(program, window(62)) == [PROPORTION]


def test_a_repeated_block_fails_while_it_is_remembered(program: Path) -> None:
    others = [good(seed) for seed in range(1, 16)]
    assert verdicts(program, good(0), *others, good(0))[-1] == DUPLICATE
    assert verdicts(program, good(0), *others, good(99), good(0))[-1] == OK


def test_what_failed_stays_failed(program: Path) -> None:
    assert verdicts(program, bytes(32), good(1), "start", good(2)) == [REPETITION] * 3


def test_start_forgets_the_samples_before_it(program: Path) -> None:
    blocks = (bytes(range(100)) + b"\xff" * 3, "start", b"\xff" * 3 + bytes(range(100)))
    assert verdicts(program, *blocks) == [OK, OK]


def test_a_block_too_short_to_compare_is_refused(program: Path) -> None:
    assert verdicts(program, good(1, LEAST - 1)) == [TOO_SHORT]
    assert verdicts(program, good(1, LEAST)) == [OK]


@given(blocks=st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=20))
def test_verdict_never_returns_to_ok(program: Path, blocks: list[bytes]) -> None:
    seen = verdicts(program, *blocks)
    failures = [verdict for verdict in seen if verdict != OK]
    assert seen == [OK] * (len(seen) - len(failures)) + failures[:1] * len(failures)
