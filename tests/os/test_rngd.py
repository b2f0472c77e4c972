"""rngd on the real machine with sources that misbehave: the host feeds the device's bytes through a FIFO, one scenario each."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from nexus.contract.load import load_contract
from nexus.layout import contract_dir, find_root
from nexus.machine.live import Machine
from nexus.plugin import Boot

CONTRACT = load_contract(contract_dir(find_root()))
LINES = CONTRACT.table("line")
READY = next(f"{row.label}: {row.text}" for row in CONTRACT.markers if row.name == "rngd_ready")
STARTUP = CONTRACT.number("limit.entropy_startup_bytes")
BLOCK = secrets.token_bytes(CONTRACT.number("limit.entropy_bytes"))
DRAWS = 4 * STARTUP  # more than a whole run takes


def booted(boot: Boot, folder: Path) -> Machine:
    return boot(rng=f"fifo={folder / 'entropy'}", trace_rng=True)


def feed_slowly(machine: Machine, pieces: Iterable[bytes], pause: float) -> threading.Event:
    """Write the pieces one by one while somebody else waits for the machine; set the event to stop."""
    stop = threading.Event()

    def feed() -> None:
        for piece in pieces:
            if stop.wait(pause):
                return
            machine.session.feed_rng(piece)

    threading.Thread(target=feed, daemon=True).start()
    return stop


UNHEALTHY = {
    "zeros": bytes(DRAWS),
    "ones": b"\xff" * DRAWS,
    "period-3": b"\x12\x34\x56" * (DRAWS // 3),
    "replay": BLOCK * (DRAWS // len(BLOCK)),
    "bias": bytes(secrets.choice((0x41, 0x41, 0x41, byte)) for byte in secrets.token_bytes(DRAWS)),
}


@pytest.mark.parametrize("data", UNHEALTHY.values(), ids=UNHEALTHY.keys())
def test_unhealthy_source_never_gets_ready(boot: Boot, tmp_path: Path, data: bytes) -> None:
    machine = booted(boot, tmp_path)
    machine.session.feed_rng(data)
    verdict = machine.judge()
    assert verdict.failure is not None
    assert verdict.exit_code == CONTRACT.number("exit.selftest_failed")
    assert machine.log.count(f"rngd: {LINES['health_failed']}") == 1
    assert READY not in machine.log


def test_source_that_turns_bad_after_the_start_serves_nothing(boot: Boot, tmp_path: Path) -> None:
    machine = booted(boot, tmp_path)
    machine.session.feed_rng(secrets.token_bytes(STARTUP) + bytes(DRAWS))
    failure = machine.judge().failure
    assert failure is not None
    assert "rng entropy FAIL refused status=05" in machine.log
    assert machine.session.wait(1.0) is not None


def test_source_that_runs_dry_is_a_typed_error_in_time(boot: Boot, tmp_path: Path) -> None:
    machine = booted(boot, tmp_path)
    machine.session.feed_rng(secrets.token_bytes(STARTUP + 40))
    begin = time.monotonic()
    verdict = machine.judge()
    assert time.monotonic() - begin < 5
    assert verdict.exit_code == CONTRACT.number("exit.selftest_failed")
    assert "rng entropy FAIL refused status=05" in machine.log


def test_answers_of_odd_lengths_with_pauses_are_added_up(boot: Boot, tmp_path: Path) -> None:
    machine = booted(boot, tmp_path)
    machine.session.feed_rng(secrets.token_bytes(STARTUP))
    sizes = (1, 5, 64, 63, 2, 127, 3, 31) * 20
    stop = feed_slowly(machine, (secrets.token_bytes(size) for size in sizes), 0.02)
    try:
        verdict = machine.judge(60, entropy=True)
    finally:
        stop.set()
    assert verdict.failure is None


def test_stall_that_ends_in_time_costs_nothing(boot: Boot, tmp_path: Path) -> None:
    machine = booted(boot, tmp_path)
    machine.session.feed_rng(secrets.token_bytes(STARTUP + 10))
    stop = feed_slowly(machine, (secrets.token_bytes(DRAWS),), 0.4)
    try:
        verdict = machine.judge(60, entropy=True)
    finally:
        stop.set()
    assert verdict.failure is None
