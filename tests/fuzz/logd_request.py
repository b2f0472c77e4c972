"""Any bytes as a request to logd: what is appended can be read back as it was, pages hold what was asked for, and nobody writes as another."""

from __future__ import annotations

import struct

from served import CLIENT, CONTRACT, READY, Exchange, Service, Way, served
from shims.machine import Machine
from target import Target

OP = CONTRACT.table("op.logd")
APPEND, QUERY, STATS = OP["append"], OP["query"], OP["stats"]
LIMIT = CONTRACT.table("limit")
HEAD = struct.Struct(str(CONTRACT.table("record")["log"]))
PAGE = struct.Struct("<BQ")
FACETS = tuple(CONTRACT.table("facet.logd"))
WAYS = (*(Way(facet) for facet in FACETS), Way(), Way("ready"), Way("append", "rngd"))
FACET_OF = {"close": "event", "bundle": "audit"}
AT = {facet: place for place, facet in enumerate(FACETS)}
WORDS = {name: number for name, number in CONTRACT.constants.items() if isinstance(number, int)}
DRAFT = bytes([WORDS["AUDIT_KIND_DECISION"], WORDS["AUDIT_VERDICT_ALLOW"]]) + bytes(WORDS["AUDIT_AT_PREVIOUS"] - 2)
GOOD = (
    (AT["append"], APPEND, b"\x01text"),
    (AT["append"], APPEND, b"\x03" + b"x" * LIMIT["log_bytes"]),
    (AT["query"], QUERY, bytes(9)),
    (AT["stats"], STATS, b""),
    (AT["decision"], OP["decision"], DRAFT),
    (AT["audit"], OP["audit"], b"\x01\x06\x00-"),
    (AT["audit"], OP["bundle"], b"\x03\x11\0\x01\0dev.one"),
    (AT["event"], OP["event"], bytes([WORDS["AUDIT_KIND_LATCH"], 0, 1, 0])),
    (AT["audit_own"], OP["audit_own"], bytes(8)),
    (AT["audit_all"], OP["audit_all"], bytes(8)),
    (AT["head"], OP["head"], b""),
    (AT["event"], OP["close"], b""),
    (len(FACETS) + 1, READY, b""),
)
ALIVE = (AT["stats"], STATS, b"")


def own_page(machine: Machine, exchange: Exchange) -> None:
    row, size = machine.process(CLIENT).row, WORDS["AUDIT_RECORD_BYTES"]
    records = exchange.answer[PAGE.size :]
    assert len(records) == exchange.answer[0] * size
    for at in range(0, len(records), size):
        ident = struct.unpack_from("<Q", records, at + WORDS["AUDIT_AT_SUBJECT"])[0]
        index = struct.unpack_from("<H", records, at + WORDS["AUDIT_AT_SUBJECT_IX"])[0]
        assert (ident, index) == (row.service_id, row.index), "a record about another"


def target() -> Target:
    kept: dict[int, tuple[int, bytes]] = {}
    newest = 0

    def appended(exchange: Exchange) -> None:
        nonlocal newest
        seq = struct.unpack("<Q", exchange.answer)[0]
        level, text = exchange.payload[0], exchange.payload[1:]
        assert level <= CONTRACT.number("level.error")
        assert 0 < len(text) <= LIMIT["log_bytes"]
        if seq <= newest:
            kept.clear()  # another incarnation, after a restart
        newest = seq
        kept[seq] = level, text
        kept.pop(seq - LIMIT["log_records"], None)

    def page(machine: Machine, exchange: Exchange) -> None:
        since, least = struct.unpack("<QB", exchange.payload)
        count, following = PAGE.unpack_from(exchange.answer)
        at, before = PAGE.size, since - 1
        assert count <= LIMIT["log_page"]
        for _ in range(count):
            seq, _, sender, kind, level, size = HEAD.unpack_from(exchange.answer, at)
            text = exchange.answer[at + HEAD.size : at + HEAD.size + size]
            assert (kind, len(text)) == (CONTRACT.number("kind.service"), size)
            assert before < seq < following, "records out of their order"
            assert level >= least, "a level that was not asked for"
            if sender == machine.process(CLIENT).row.index:
                assert kept.get(seq) == (level, text), "another text than was appended"
            at, before = at + HEAD.size + size, seq
        assert at == len(exchange.answer)

    def check(machine: Machine, exchange: Exchange) -> None:
        if not exchange.served:
            return
        if exchange.op == APPEND:
            appended(exchange)
        elif exchange.op == QUERY:
            page(machine, exchange)
        elif exchange.op == OP["audit_own"]:
            own_page(machine, exchange)

    return served(Service("logd", WAYS, GOOD, ALIVE, check, lambda name: FACET_OF.get(name, name)))
