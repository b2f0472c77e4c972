"""sample: every answer counts one up; whoever sends more than was asked for, or has no right to ask, is refused."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from shims.asker import Answer, Asker
from shims.machine import Machine


@pytest.fixture
def asker(machine: Callable[..., Machine]) -> Asker:
    """The selftest's process as the caller of sample, which runs alone."""
    running = machine()
    running.start("sample")
    running.run()
    return Asker(running)


def test_each_answer_counts_one_up(asker: Asker) -> None:
    contract = asker.machine.contract
    answers = [asker.ask(asker.given("sample"), contract.OP_SAMPLE_COUNT) for _ in range(3)]
    assert answers == [Answer(contract.STATUS_OK, struct.pack("<Q", number)) for number in (1, 2, 3)]


def test_request_with_a_payload_is_malformed(asker: Asker) -> None:
    contract = asker.machine.contract
    answer = asker.ask(asker.given("sample"), contract.OP_SAMPLE_COUNT, b"x")
    assert answer == Answer(contract.STATUS_MALFORMED, b"")


def test_badge_of_somebody_else_is_denied(asker: Asker) -> None:
    contract = asker.machine.contract
    stolen = asker.given("sample", holder="init")
    assert asker.ask(stolen, contract.OP_SAMPLE_COUNT) == Answer(contract.STATUS_DENIED, b"")


def test_ready_is_said_when_init_asks(asker: Asker) -> None:
    contract = asker.machine.contract
    init = Asker(asker.machine, "init")
    assert init.ask(init.handle("READY_SAMPLE"), contract.OP_ALL_READY).status == contract.STATUS_OK
    assert asker.machine.lines == [f"sample: {contract.MARK_SAMPLE_READY}"]
