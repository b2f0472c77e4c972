"""Any bytes as a request to init: phases close once and in their order, and a process is told of only if it is there."""

from __future__ import annotations

import struct

from policyd_request import SYSTEM, reference
from served import CLIENT, CONTRACT, STATUS, Exchange, Service, Way, served
from shims.machine import Machine
from target import Target

from nexus.policy.evaluate import route_name

OP = CONTRACT.table("op.init")
DONE, PS, ROUTE = OP["phase_done"], OP["ps"], OP["route_get"]
CAPS, TOP = OP["caps"], OP["top"]
PAGES = {CAPS: CONTRACT.table("record")["cap"], TOP: CONTRACT.table("record")["top"]}
END = CONTRACT.table("init")["end"]
ENDS = (OP["shutdown"], OP["reboot"])
GOOD = (
    (0, PS, b"\x00"),
    (0, CAPS, b"\x00\x00"),
    (0, TOP, b"\x00"),
    (0, DONE, b"\x01"),
    (0, ROUTE, b"rngd"),
    (0, ROUTE, b"logd:query"),
    (0, ENDS[0], b""),
    (0, ENDS[1], b""),
)
WAYS = (Way(), Way("ready"), Way(holder="rngd"))


def target() -> Target:
    form = struct.Struct(str(CONTRACT.table("reply.init")["ps"]))
    closed: list[int] = []
    second, subject = reference(), SYSTEM.process(CLIENT).id_name
    given = {route_name(edge) for edge in SYSTEM.routes}

    def check(machine: Machine, exchange: Exchange) -> None:
        assert exchange.op not in ENDS or exchange.status == STATUS["denied"], "a client may end the run"
        if exchange.op == ROUTE:
            name = exchange.payload.decode("latin-1")
            allowed = second.allows(subject, "route", name, set(SYSTEM.gates))
            assert exchange.served == (allowed and name in given), exchange
        if exchange.op == PS and exchange.served:
            row = machine.processes[exchange.payload[0]].row
            assert form.unpack(exchange.answer)[5:8:2] == (row.service_id, row.rank)
        if exchange.op in PAGES and exchange.served:
            count, following = exchange.answer[:2]
            rows = list(struct.iter_unpack(str(PAGES[exchange.op]), exchange.answer[2:]))
            numbers = [row[0] for row in rows]
            assert len(rows) == count and numbers == sorted(set(numbers)), "rows of a page"
            assert all(exchange.payload[-1] <= number < following <= END for number in numbers), "what follows"
        if exchange.op == DONE and exchange.served:
            phase = exchange.payload[0]
            if closed and phase <= closed[-1]:
                closed.clear()  # a machine that was started anew
            assert phase == (closed[-1] + 1 if closed else 1), "a phase was closed out of its turn"
            closed.append(phase)

    return served(Service("init", WAYS, GOOD, (0, PS, b"\x00"), check, starts=False))
