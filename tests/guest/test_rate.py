"""The token bucket: nobody ever gets more than burst and refill allow, and nobody pays for another."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st


@settings(max_examples=200, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40), st.integers(0, 3_000_000)), max_size=60))
def test_no_caller_gets_more_than_its_share(
    pure: Callable[..., Any], contract: SimpleNamespace, steps: list[tuple[int, int, int]]
) -> None:
    burst, per_second = 100, 50
    buckets = pure("rate").Buckets(3, burst, per_second)
    now, got = 0, [0, 0, 0]
    for caller, amount, passed in steps:
        now += passed
        if buckets.take(caller, caller, amount, now):
            got[caller] += amount
        assert got[caller] <= burst + per_second * now / contract.LIMIT_TICK_HZ


def test_refusal_is_free(pure: Callable[..., Any]) -> None:
    buckets = pure("rate").Buckets(1, 10, 1)
    assert buckets.take(0, 7, 4, 0)
    assert not buckets.take(0, 7, 7, 0)
    assert buckets.take(0, 7, 6, 0)


def test_level_comes_back_exactly(pure: Callable[..., Any], contract: SimpleNamespace) -> None:
    buckets = pure("rate").Buckets(1, 10, 2)
    assert buckets.take(0, 7, 10, 0)
    assert not buckets.take(0, 7, 1, contract.LIMIT_TICK_HZ // 2 - 1)
    assert buckets.take(0, 7, 1, contract.LIMIT_TICK_HZ // 2)


def test_level_never_exceeds_the_burst(pure: Callable[..., Any], contract: SimpleNamespace) -> None:
    buckets = pure("rate").Buckets(1, 10, 2)
    later = 1000 * contract.LIMIT_TICK_HZ
    assert not buckets.take(0, 7, 11, later)
    assert buckets.take(0, 7, 10, later)
    assert not buckets.take(0, 7, 1, later)


def test_nobody_pays_for_whoever_had_its_place_before(pure: Callable[..., Any]) -> None:
    buckets = pure("rate").Buckets(1, 10, 1)
    assert buckets.take(0, 7, 10, 0)
    assert buckets.take(0, 8, 10, 0)
    assert not buckets.take(0, 8, 1, 0)
