"""init's pages of figures: which processes there are, what they have used, what they hold; whole, in order, and for nobody who
may not have them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

import pytest
from shims.asker import Asker
from shims.machine import Machine
from shims.objects import Cap

Make = Callable[..., Machine]
IDLE = "import kernel, caps\nkernel.exit(0)\n"
CAP, TOP = "<BBBHQ", "<BBIIQQQ"
PAGE = 512 - 8 - 2  # of a message, less the answer's header and the head of a page
END = 0xFF


class Page(NamedTuple):
    rows: list[tuple[int, ...]]
    following: int


@pytest.fixture
def asker(machine: Make) -> Asker:
    m = machine(sources={"selftest": IDLE})
    m.boot()
    return Asker(m)


def page(asker: Asker, op: str, form: str, *which: int) -> Page:
    answer = asker.ask(asker.handle("INIT"), getattr(asker.machine.contract, op), bytes(which))
    assert answer.status == asker.machine.contract.STATUS_OK
    count, following = answer.payload[:2]
    assert len(answer.payload) == 2 + count * struct.calcsize(form), "whole rows and nothing else"
    return Page(list(struct.iter_unpack(form, answer.payload[2:])), following)


def status(asker: Asker, op: str, *which: int) -> int:
    return asker.ask(asker.handle("INIT"), getattr(asker.machine.contract, op), bytes(which)).status


def top(asker: Asker, first: int = 0) -> Page:
    return page(asker, "OP_INIT_TOP", TOP, first)


def held(asker: Asker, index: int, first: int = 0) -> Page:
    return page(asker, "OP_INIT_CAPS", CAP, index, first)


def said_by_policyd(asker: Asker) -> list[str]:
    """Also what it has held back."""
    contract = asker.machine.contract
    assert asker.ask(asker.handle("POLICYD_STATS"), contract.OP_POLICYD_STATS).status == contract.STATUS_OK
    return asker.machine.said("policyd")


# top


def test_top_has_each_process_that_there_is_once_and_in_order(asker: Asker) -> None:
    m = asker.machine
    first = top(asker)
    rows = first.rows + (top(asker, first.following).rows if first.following != END else [])
    there = [process for process in m.processes if process.state != m.contract.STATE_EMPTY]
    assert [row[0] for row in rows] == [process.row.index for process in there]
    assert [row[6] for row in rows] == [process.row.service_id for process in there]
    assert [row[2] for row in rows] == [process.incarnation for process in there]


def test_top_states_what_the_kernel_states(asker: Asker) -> None:
    m = asker.machine
    m.crash("rngd", m.contract.FAULT_MEMORY)
    m.run()
    rngd = m.process("rngd")
    rngd.cpu_ticks = 1 << 40
    (row,) = [row for row in top(asker).rows if row[0] == rngd.row.index]
    assert row == (rngd.row.index, m.contract.STATE_RECEIVING, 2, 0, 1 << 40, 2, rngd.row.service_id), "two READYs"


def test_top_counts_calls_and_not_signals(asker: Asker) -> None:
    m = asker.machine
    of_logd = m.process("logd").row.index

    def delivered() -> int:
        return next(row[5] for row in top(asker).rows if row[0] == of_logd)

    first = delivered()
    assert delivered() == first + 1, "the decision about the question itself"
    m.signal(m.process("logd"), 1 << 20)
    m.run()
    assert delivered() == first + 2


def test_top_leaves_out_what_is_not_there_and_goes_on_behind_it(asker: Asker) -> None:
    m = asker.machine
    m.add_app("one.app", 0, 0, m.system_row.root.index)
    index = m.process("app:one.app").row.index
    assert index > len(m.system_row.processes) - 1
    assert [row[0] for row in top(asker, index).rows] == [index]
    assert top(asker, index + 1) == Page([], END)


@pytest.mark.parametrize("first", [38, 100, 0xFF])
def test_top_behind_the_last_process_is_an_empty_page(asker: Asker, first: int) -> None:
    assert top(asker, first) == Page([], END)


def test_full_page_names_the_process_that_did_not_fit(asker: Asker) -> None:
    m = asker.machine
    room = PAGE // struct.calcsize(TOP)
    while sum(process.state != m.contract.STATE_EMPTY for process in m.processes) <= room:
        m.add_app(f"app{len(m.processes)}", 0, 0, m.system_row.root.index)
    first = top(asker)
    assert len(first.rows) == room
    rest = top(asker, first.following)
    assert rest.rows[0][0] == first.following
    assert first.rows[-1][0] < first.following
    assert rest.following == END


# caps


def test_caps_are_those_that_the_recipe_grants(asker: Asker) -> None:
    m = asker.machine
    row = m.process("selftest-peer").row
    found = held(asker, row.index)
    assert found.following == END
    stated = [(cap.type, cap.rights, cap.object, cap.badge) for cap in m.process("selftest-peer").caps.values()]
    assert [found.rows[slot][1:] for slot in range(len(row.capabilities))] == stated[: len(row.capabilities)]
    assert [one[0] for one in found.rows] == list(range(len(found.rows)))


def test_reply_says_who_is_to_be_answered_and_a_dead_one_nobody(asker: Asker) -> None:
    m = asker.machine
    init = m.process("init")
    mine = [row for row in held(asker, init.row.index).rows if row[1] == m.contract.OBJ_REPLY]
    assert [row[3] for row in mine] == [asker.machine.process(asker.name).row.index]
    peer = m.process("selftest-peer")
    peer.put(Cap(m.contract.OBJ_REPLY, 0, 0))
    assert held(asker, peer.row.index).rows[-1][1:] == (m.contract.OBJ_REPLY, 0, 0xFFFF, 0)


def test_table_that_fills_more_than_a_page_is_told_whole(asker: Asker) -> None:
    m = asker.machine
    peer = m.process("selftest-peer")
    while len(peer.caps) < m.contract.LIMIT_CAP_SLOTS:
        peer.put(Cap(m.contract.OBJ_CONSOLE, m.contract.RIGHT_USE, 3, len(peer.caps)))
    first = held(asker, peer.row.index)
    assert len(first.rows) == PAGE // struct.calcsize(CAP)
    second = held(asker, peer.row.index, first.following)
    assert second.following == END
    assert [row[0] for row in first.rows + second.rows] == list(range(m.contract.LIMIT_CAP_SLOTS))
    assert [row[4] for row in second.rows] == [cap.badge for cap in list(peer.caps.values())[len(first.rows) :]]


@pytest.mark.parametrize("first", [64, 0xFF])
def test_caps_behind_the_last_slot_are_an_empty_page(asker: Asker, first: int) -> None:
    assert held(asker, 0, first) == Page([], END)


def test_caps_of_a_process_that_is_none_are_not_found(asker: Asker) -> None:
    for index in (len(asker.machine.processes), 37, 0xFF):
        assert status(asker, "OP_INIT_CAPS", index, 0) == asker.machine.contract.STATUS_NOT_FOUND


# for whom


@pytest.mark.parametrize(
    ("op", "which"),
    [("OP_INIT_CAPS", (0, 0)), ("OP_INIT_CAPS", (0xFF, 0)), ("OP_INIT_TOP", (0,)), ("OP_INIT_TOP", (0xFF,))],
)
def test_figures_are_denied_by_the_rule_for_ps_whatever_is_asked_for(
    asker: Asker, op: str, which: tuple[int, ...]
) -> None:
    m = asker.machine
    peer = Asker(m, "selftest-peer")
    before = len(said_by_policyd(asker))
    assert status(peer, op, *which) == m.contract.STATUS_DENIED
    assert status(asker, "OP_INIT_TOP", 0) == m.contract.STATUS_OK
    lines = said_by_policyd(asker)[before:]
    asked = " action=system.stats)"
    assert lines == [
        f"{m.contract.LINE_DENY}selftest-peer{asked}",
        f"{m.contract.LINE_ALLOW}selftest-client{asked}",
    ]
