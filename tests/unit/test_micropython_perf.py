"""The comparison of MicroPython's benchmarks (tooling/nexus/micropython/perf.py): what is above its target is noticed, and nothing is compared that did not run.

Scenario: two benchmarks in thousands of instructions, in the system, bare, bare with -Os and published.
"""

from __future__ import annotations

import pytest

from nexus.errors import VerdictError
from nexus.micropython.lists import Targets
from nexus.micropython.perf import compare, geometric_mean, judge, parse_results, show

PUBLISHED = {"bm_chaos": 200.0, "misc_aes": 800.0}
TARGETS = Targets(least_passed=1, tax=1.01, ratio=0.92, published=PUBLISHED)
LONG = {"system": 100.0, "bare": 100.0}
SAID = [
    "N=100 M=100 n_average=1",
    "perf_bench/bm_chaos.py: 180.00 0.0000 3899.24 0.0000",
    "perf_bench/misc_aes.py: 720.00 0.0000 4431.52 0.0000",
    "perf_bench/viper_call0.py: SKIP",
]


def scaled(by: float) -> dict[str, float]:
    return {name: value * by for name, value in PUBLISHED.items()}


def test_results_are_read() -> None:
    assert parse_results(SAID) == {"bm_chaos": 180.0, "misc_aes": 720.0}


@pytest.mark.parametrize("end", ["CRASH: 'MemoryError'", "FAIL truth", "FAIL self", ""])
def test_benchmark_that_went_wrong_is_noticed(end: str) -> None:
    with pytest.raises(VerdictError, match=r"run-perfbench.py: perf_bench/bm_fft.py:"):
        parse_results([*SAID, f"perf_bench/bm_fft.py: {end}"])


def test_means_are_geometric() -> None:
    assert geometric_mean([0.5, 2.0]) == pytest.approx(1.0)
    table = compare(scaled(0.9), scaled(0.9), scaled(1.0), PUBLISHED, LONG)
    assert [table.tax, table.ratio, table.to_published] == pytest.approx([1.0, 0.9, 0.9])
    assert judge(table, TARGETS) == []


def test_tax_above_its_target_is_noticed() -> None:
    table = compare(scaled(0.9), scaled(0.88), scaled(1.0), PUBLISHED, LONG)
    assert judge(table, TARGETS) == ["isolation tax: 1.0227, expected at most 1.01"]


def test_tax_of_what_takes_longer_than_the_benchmarks_is_noticed() -> None:
    table = compare(scaled(0.9), scaled(0.9), scaled(1.0), PUBLISHED, {"system": 206.0, "bare": 100.0})
    assert judge(table, TARGETS) == ["isolation tax of a long loop: 2.0600, expected at most 1.01"]


def test_ratio_above_its_target_is_noticed() -> None:
    table = compare(scaled(0.93), scaled(0.93), scaled(1.0), PUBLISHED, LONG)
    assert judge(table, TARGETS) == ["ratio to -Os: 0.9300, expected at most 0.92"]


def test_benchmark_that_ran_on_one_target_only_is_noticed() -> None:
    lost = {"bm_chaos": 180.0}
    for counts in ((lost, PUBLISHED, PUBLISHED), (PUBLISHED, lost, PUBLISHED), (PUBLISHED, PUBLISHED, lost)):
        with pytest.raises(VerdictError, match="misc_aes: ran there or with the peer only"):
            compare(*counts, PUBLISHED, LONG)


def test_table_shows_each_benchmark_and_the_means() -> None:
    lines = show(compare(scaled(0.909), scaled(0.9), scaled(1.0), PUBLISHED, LONG))
    assert lines[2] == "| `bm_chaos` | 182 | 180 | +1.00 % | 200 | 200 |"
    assert lines[-2] == "| a loop of 200,000 | 100 | 100 | +0.00 % | | |"
    assert lines[-1] == "| geometric mean, system for one | 1 | 1.0100 | +1.00 % | 0.9090 | 0.9090 |"
