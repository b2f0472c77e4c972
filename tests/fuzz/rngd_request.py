"""Any bytes as a request to rngd: as many bytes as were asked for and never the same block twice, or a typed refusal."""

from __future__ import annotations

import struct

from served import CONTRACT, READY, Exchange, Service, Way, served
from shims.machine import Machine
from target import Target

OP = CONTRACT.table("op.rngd")
ENTROPY, STATS = OP["get_entropy"], OP["stats"]
MOST = CONTRACT.number("limit.entropy_bytes")
LONG = 16  # bytes that never come twice by chance
GOOD = ((0, ENTROPY, b"\x20\x00"), (0, STATS, b""), (1, READY, b""))
WAYS = (Way(), Way("ready"), Way(holder="logd"))


def target() -> Target:
    last: tuple[Machine | None, bytes] = (None, b"")  # a machine that is booted anew draws the same again

    def check(machine: Machine, exchange: Exchange) -> None:
        nonlocal last
        if exchange.op == ENTROPY and exchange.served:
            count = struct.unpack("<H", exchange.payload)[0]
            assert len(exchange.answer) == count in range(1, MOST + 1)
            assert count < LONG or ((machine, exchange.answer) != last and any(exchange.answer)), (
                "entropy that was served before"
            )
            last = (machine, exchange.answer)

    return served(Service("rngd", WAYS, GOOD, (0, STATS, b""), check))
