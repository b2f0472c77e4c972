"""Brings a live machine and a ladder together: feeds lines as they come, until the verdict, the end or the deadline.

Called by the trial and the fixture. Decides nothing itself: the ladder does, in pure code.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from nexus.machine.session import Session
from nexus.verdict.grammar import Seen
from nexus.verdict.ladder import Exit, Ladder

QUIET_SECONDS = 0.5  # how long a torn line waits for its explanation, and a failed machine for its end
EXIT_SECONDS = 5.0
PUSHED = re.compile(r"virtio_rng_pushed rng 0x[0-9a-f]+: (\d+) bytes pushed")


def judge(
    session: Session, ladder: Ladder, seconds: float, first: int = 0, on_line: Callable[[Seen], None] | None = None
) -> None:
    """Feed the console from line `first` on. Afterwards the ladder holds the answer; the machine may still run."""
    deadline = time.monotonic() + seconds
    index = first
    while ladder.failure is None and not (ladder.done and ladder.plan.keep):
        left = deadline - time.monotonic()
        if left <= 0 and not session.console.closed:  # whether lines come or not: a guest can print for ever
            ladder.time_out(seconds)
            return
        seen = session.console.line(index, max(0.0, min(left, QUIET_SECONDS) if ladder.waiting else left))
        if seen is not None:
            index += 1
            ladder.feed(seen)
            if on_line:
                on_line(seen)
        elif session.console.closed:
            ladder.end(session.wait(EXIT_SECONDS) or Exit(why="it closed its console"), session.console.rest)
            return
        elif ladder.waiting:
            ladder.settle()


def delivered(trace: Path) -> int:
    """How many bytes of entropy QEMU says it gave to the guest."""
    return sum(int(count) for count in PUSHED.findall(trace.read_text(encoding="ascii", errors="replace")))
