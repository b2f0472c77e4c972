"""logd: what was appended is what is read back, the ring drops the oldest and counts it, every bound is exact."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shims.asker import Answer, Asker
from shims.machine import Machine

Make = Callable[..., Machine]


@dataclass(frozen=True)
class Record:
    seq: int
    ticks: int
    sender: int
    kind: int
    level: int
    text: bytes


class Log:
    """logd alone, and the test as its caller with all three facets."""

    def __init__(self, make: Make) -> None:
        self.machine = make()
        self.contract = self.machine.contract
        self.machine.start("logd")
        self.machine.run()
        self.asker = Asker(self.machine)

    def append(self, text: bytes, level: int = 1) -> Answer:
        return self.asker.ask(self.asker.handle("LOGD_APPEND"), self.contract.OP_LOGD_APPEND, bytes([level]) + text)

    def query(self, since: int, level: int = 0) -> tuple[int, list[Record]]:
        payload = struct.pack("<QB", since, level)
        answer = self.asker.ask(self.asker.handle("LOGD_QUERY"), self.contract.OP_LOGD_QUERY, payload)
        assert answer.status == self.contract.STATUS_OK
        return decode(answer.payload)

    def all(self, level: int = 0) -> list[Record]:
        """Page by page, as a reader does it."""
        records: list[Record] = []
        since = 0
        while True:
            following, page = self.query(since, level)
            records += page
            if not page:
                return records
            since = following

    def stats(self) -> tuple[int, ...]:
        answer = self.asker.ask(self.asker.handle("LOGD_STATS"), self.contract.OP_LOGD_STATS)
        return struct.unpack("<QQ", answer.payload)


def decode(payload: bytes) -> tuple[int, list[Record]]:
    count, following = struct.unpack_from("<BQ", payload)
    at, records = 9, []
    for _ in range(count):
        seq, ticks, sender, kind, level, size = struct.unpack_from("<QQHBBB", payload, at)
        records.append(Record(seq, ticks, sender, kind, level, payload[at + 21 : at + 21 + size]))
        at += 21 + size
    assert at == len(payload)
    return following, records


@pytest.fixture
def log(machine: Make) -> Log:
    return Log(machine)


def test_record_bears_the_kernels_word(log: Log) -> None:
    before = log.machine.now
    assert log.append(b"hello", level=2) == Answer(log.contract.STATUS_OK, struct.pack("<Q", 1))
    following, (record,) = log.query(0)
    index = log.machine.process("selftest").row.index
    assert (record.seq, record.sender, record.kind, record.level, record.text) == (1, index, 0, 2, b"hello")
    assert before < record.ticks < log.machine.now
    assert following == 2


@pytest.mark.parametrize("text", [b"x", b"\x00\xff\n", b"a" * 199, b"a" * 200])
def test_text_up_to_the_limit_is_kept_whole(log: Log, text: bytes) -> None:
    assert log.append(text).status == log.contract.STATUS_OK
    assert [record.text for record in log.all()] == [text]


def test_text_above_the_limit_is_refused_not_cut(log: Log) -> None:
    assert log.append(b"a" * 201) == Answer(log.contract.STATUS_TOO_LARGE, b"")
    assert log.append(b"a" * 503) == Answer(log.contract.STATUS_TOO_LARGE, b"")
    assert log.stats() == (0, 0)


@pytest.mark.parametrize(("level", "text"), [(4, b"x"), (255, b"x"), (0, b"")])
def test_append_of_nonsense_is_malformed(log: Log, level: int, text: bytes) -> None:
    assert log.append(text, level) == Answer(log.contract.STATUS_MALFORMED, b"")
    assert log.stats() == (0, 0)


def test_empty_log_has_no_page(log: Log) -> None:
    assert log.query(0) == (1, [])
    assert log.query(2**64 - 1) == (1, [])


def test_level_above_the_highest_is_malformed(log: Log) -> None:
    payload = struct.pack("<QB", 0, 4)
    answer = log.asker.ask(log.asker.handle("LOGD_QUERY"), log.contract.OP_LOGD_QUERY, payload)
    assert answer == Answer(log.contract.STATUS_MALFORMED, b"")


def test_level_selects(log: Log) -> None:
    for number in range(12):
        log.append(b"%d" % number, level=number % 4)
    for least in range(4):
        assert [record.text for record in log.all(least)] == [b"%d" % n for n in range(12) if n % 4 >= least]


def test_page_of_longest_records_fits_a_message(log: Log) -> None:
    for _ in range(3):
        log.append(b"z" * 200)
    following, page = log.query(0)
    assert (following, len(page)) == (1 + log.contract.LIMIT_LOG_PAGE, log.contract.LIMIT_LOG_PAGE)


def test_ring_drops_the_oldest_and_counts_it(log: Log) -> None:
    size = log.contract.LIMIT_LOG_RECORDS
    for number in range(size + 3):
        log.append(b"%d" % number)
    assert log.stats() == (size + 3, 3)
    records = log.all()
    assert [record.seq for record in records] == list(range(4, size + 4))
    assert records[0].text == b"3"
    assert records[-1].text == b"%d" % (size + 2)


def test_other_facets_are_denied(log: Log) -> None:
    contract = log.contract
    rows = {
        "append": (contract.OP_LOGD_APPEND, b"\x01x"),
        "query": (contract.OP_LOGD_QUERY, bytes(9)),
        "stats": (contract.OP_LOGD_STATS, b""),
    }
    for facet in rows:
        for name, (op, payload) in rows.items():
            answer = log.asker.ask(log.asker.handle(f"LOGD_{facet.upper()}"), op, payload)
            assert (answer.status == contract.STATUS_OK) == (facet == name), (facet, name)
            assert answer.status in (contract.STATUS_OK, contract.STATUS_DENIED)
    for op, payload in rows.values():
        assert log.asker.ask(log.asker.given("logd"), op, payload).status == contract.STATUS_DENIED


def test_sender_can_not_be_borrowed(log: Log) -> None:
    """Another process's append capability, had it leaked, would be worth nothing."""
    stolen = log.asker.given("logd", log.contract.FACET_LOGD_APPEND, holder="rngd")
    assert log.asker.ask(stolen, log.contract.OP_LOGD_APPEND, b"\x01x").status == log.contract.STATUS_DENIED
    assert log.stats() == (0, 0)


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.binary(min_size=1, max_size=8), max_size=40), records=st.integers(1, 7))
def test_ring_holds_exactly_the_newest(pure: Callable[..., Any], texts: list[bytes], records: int) -> None:
    ring = pure("ring", "services/logd").Ring(records, 8)
    memory = len(ring.store)
    for number, text in enumerate(texts):
        assert ring.append(number, 1, 0, number % 4, text) == number + 1
    target = bytearray(64)
    held = []
    for seq in range(ring.oldest(), ring.next):
        size = ring.copy(seq, memoryview(target), 0)
        held.append(bytes(target[21:size]))
        assert ring.level(seq) == (seq - 1) % 4
    assert held == texts[-records:]
    assert ring.dropped() == max(0, len(texts) - records)
    assert len(ring.store) == memory
