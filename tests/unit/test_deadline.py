"""Every loop that waits for a machine ends at its deadline, also while the machine prints without a pause. No machine runs."""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from nexus.contract.load import Contract
from nexus.machine.bridge import PIECE, Flow, converse, pump
from nexus.machine.dialogue import Dialogue, Expect
from nexus.machine.judge import judge
from nexus.machine.terminal import Outcome, View
from nexus.verdict.grammar import Seen
from nexus.verdict.ladder import Ladder
from nexus.verdict.rehearsal import Rehearsal

SECONDS = 0.2
SOON = 5.0


@pytest.fixture
def endless() -> Iterator[int]:
    """A descriptor that is readable and writable at any time."""
    descriptor = os.open("/dev/zero", os.O_RDWR)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("reads", [True, False], ids=["readable", "writable"])
def test_time_that_is_up_counts_more_than_what_can_be_moved(endless: int, reads: bool) -> None:
    flow = Flow(endless, endless)
    flow.due += b"x"
    flow.ended = not reads
    assert pump([flow], time.monotonic() + SOON) is False
    assert pump([flow], time.monotonic()) is None


def test_search_that_takes_too_long_is_cut_off(endless: int) -> None:
    """The pattern takes cubic time: tens of seconds for what comes here."""
    handler = signal.getsignal(signal.SIGALRM)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"x" * PIECE)
        dialogue, begun = Dialogue([Expect(re.compile(b"x+x+y"), "slow")]), time.monotonic()
        assert converse(ours, dialogue, endless, None, None, begun + SECONDS) is Outcome.LATE
        assert time.monotonic() - begun < SOON
    assert signal.getsignal(signal.SIGALRM) is handler
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_view_of_endless_lines_ends_at_the_deadline(endless: int) -> None:
    stream: Any = SimpleNamespace(fileno=lambda: endless, recv=lambda _most: b"again\n" * 100)
    begun = time.monotonic()
    assert View(stream, lambda _line: "", out=io.StringIO()).show(SECONDS) is Outcome.LATE
    assert time.monotonic() - begun < SOON


def test_judge_of_endless_lines_ends_at_the_deadline(contract: Contract) -> None:
    rehearsal = Rehearsal(contract)
    lines = rehearsal.transcript()[:2]

    def line(index: int, _timeout: float) -> Seen:
        time.sleep(SECONDS / 100)  # fewer lines than are a flood of their own
        return Seen(0.0, lines[min(index, 1)].encode())

    session: Any = SimpleNamespace(console=SimpleNamespace(line=line, closed=False))
    ladder, begun = Ladder(rehearsal.plan()), time.monotonic()
    judge(session, ladder, SECONDS)
    assert ladder.failure is not None
    assert ladder.failure.code == "timeout"
    assert time.monotonic() - begun < SOON
