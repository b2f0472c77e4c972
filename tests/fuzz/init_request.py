"""Any bytes as a request to init: phases close once and in their order, and a process is told of only if it is there."""

from __future__ import annotations

import struct

from served import CONTRACT, Exchange, Service, Way, served
from shims.machine import Machine
from target import Target

OP = CONTRACT.table("op.init")
DONE, PS = OP["phase_done"], OP["ps"]
GOOD = ((PS, b"\x00"), (DONE, b"\x01"))
WAYS = (Way(), Way("ready"), Way(holder="rngd"))


def target() -> Target:
    form = struct.Struct(str(CONTRACT.table("reply.init")["ps"]))
    closed: list[int] = []

    def check(machine: Machine, exchange: Exchange) -> None:
        if exchange.op == PS:
            row = machine.processes[exchange.payload[0]].row
            assert form.unpack(exchange.answer)[5:8:2] == (row.service_id, row.rank)
        if exchange.op == DONE:
            phase = exchange.payload[0]
            if closed and phase <= closed[-1]:
                closed.clear()  # a machine that was started anew
            assert phase == (closed[-1] + 1 if closed else 1), "a phase was closed out of its turn"
            closed.append(phase)

    return served(Service("init", WAYS, GOOD, (0, PS, b"\x00"), check))
