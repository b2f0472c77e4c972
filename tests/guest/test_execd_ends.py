"""execd alone: how a child ends, whom that is told, how often it is started again, and what is kept of it.

Around it policyd, bundlemgrd, logd and a kernel of apps are played by shims/execworld.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from shims.asker import Answer
from shims.execworld import CLIENT, CONTRACT, DROPD, HELLO, LEVEL, STATUS, E, World, app, refused, result

CHILDREN = CONTRACT.number("limit.app_children")
RESTARTS = CONTRACT.number("limit.app_restarts")
FAULTS = ("memory", "instruction", "misaligned", "hung", "syscall")
BUNDLES = (HELLO, b"selftest.two", b"dev.three", b"dev.four", b"dev.five")


@pytest.fixture
def execd() -> Iterator[World]:
    made = World()
    yield made
    made.alone.close()


# ---- what is told ----------------------------------------------------------------------------------------------------


def test_wait_is_answered_when_the_child_is_over(execd: World) -> None:
    number = execd.started()
    assert execd.wait(number) is None
    execd.signal()
    assert execd.kernel.later == []
    execd.end(value=7, ticks=1234)
    assert execd.kernel.later == [(CLIENT, result("exit", 7, ticks=1234))]


def test_wait_for_one_that_is_over_is_answered_at_once(execd: World) -> None:
    number = execd.started()
    execd.end(fault="memory", value=0x40800000, pc=0x10004, ticks=9)
    assert execd.wait(number) == result("memory", 0x40800000, 0x10004, 9)


@pytest.mark.parametrize("before", [True, False])
def test_end_is_told_once(execd: World, before: bool) -> None:
    number = execd.started()
    if before:
        assert execd.wait(number) is None
    execd.end()
    if not before:
        assert execd.wait(number) == result("exit")
    assert execd.wait(number) == refused("denied")
    assert execd.kill(number) == STATUS["denied"]
    assert execd.list() == refused("not_found")


def test_each_waiter_hears_of_its_own_child(execd: World) -> None:
    number, other = execd.started(), execd.started(b"dev.three", caller=DROPD)
    assert execd.wait(number) is None and execd.wait(other, DROPD) is None
    execd.end(b"dev.three", value=3)
    assert execd.kernel.later == [(DROPD, result("exit", 3))]
    execd.end(HELLO, value=1)
    assert execd.kernel.later[1:] == [(CLIENT, result("exit", 1))]


def test_whichever_bit_comes_every_child_is_looked_at(execd: World) -> None:
    numbers = [execd.started(bundle) for bundle in BUNDLES[:3]]
    for place, bundle in enumerate(BUNDLES[:3]):
        execd.stop(bundle, "exit", place)
    execd.signal(1 << 63)
    assert [execd.wait(number) for number in numbers] == [result("exit", place) for place in range(3)]


def test_others_are_served_while_one_waits(execd: World) -> None:
    number = execd.started()
    assert execd.wait(number) is None
    other = execd.started(b"dev.three", caller=DROPD)
    assert execd.kill(other, DROPD) == STATUS["ok"]
    assert execd.kernel.later == []


def test_waiter_that_gave_up_loses_nothing(execd: World) -> None:
    """Its time was over before the child was: it can ask again and hears the end."""
    number = execd.started()
    assert execd.wait(number) is None
    execd.give_up(CLIENT)
    execd.end(value=5)
    assert execd.kernel.later == []
    assert execd.wait(number) == result("exit", 5)


def test_second_question_ends_the_first(execd: World) -> None:
    number = execd.started()
    assert execd.wait(number) is None and execd.wait(number) is None
    assert execd.kernel.later == [(CLIENT, refused("unavailable"))]
    execd.end(value=6)
    assert execd.kernel.later[1:] == [(CLIENT, result("exit", 6))]


def test_end_is_in_the_log_and_on_the_console(execd: World) -> None:
    number = execd.started()
    execd.end(value=7, pc=0x12344)
    line = f"ended child={number:08x} cause=01 value=0000000000000007 starts=01"
    assert execd.kernel.lines == [line]
    assert execd.log == [(LEVEL["info"], f"{line} pc=0000000000012344")]


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_a_warning_in_the_log(execd: World, fault: str) -> None:
    number = execd.started()
    execd.end(fault=fault, value=0xFEDCBA9876543210, pc=0xFFFFFFFFFFFFFFFF)
    cause = CONTRACT.number(f"fault.{fault}")
    line = f"ended child={number:08x} cause={cause:02x} value=fedcba9876543210 starts=01"
    assert execd.log == [(LEVEL["warning"], f"{line} pc=ffffffffffffffff")]
    assert execd.kernel.lines == [line]


def test_without_a_log_the_end_is_told_all_the_same(execd: World) -> None:
    number = execd.started(restarts=1)
    assert execd.wait(number) is None
    execd.log_up = False
    execd.end(fault="memory")
    execd.end(value=2)
    assert execd.kernel.later == [(CLIENT, result("exit", 2, starts=2))]


def test_memory_of_an_ended_app_is_given_back(execd: World) -> None:
    execd.started()
    execd.end()
    assert execd.kernel.apps == {}
    execd.started()


# ---- kill ------------------------------------------------------------------------------------------------------------


def test_kill_ends_the_child_and_answers_who_waits(execd: World) -> None:
    number = execd.started(restarts=RESTARTS)
    assert execd.wait(number) is None
    assert execd.kill(number) == STATUS["ok"]
    assert execd.kernel.later == [(CLIENT, result("killed"))]
    assert execd.kernel.apps == {}
    execd.signal()
    assert len(execd.kernel.made) == 1


def test_kill_of_one_that_is_over_changes_nothing(execd: World) -> None:
    number = execd.started()
    execd.end(value=4)
    assert execd.kill(number) == STATUS["ok"]
    assert execd.wait(number) == result("exit", 4)


def test_kill_of_one_that_has_just_faulted_starts_no_other(execd: World) -> None:
    number = execd.started(restarts=RESTARTS)
    execd.stop(HELLO, "memory", 1)
    assert execd.kill(number) == STATUS["ok"]
    assert execd.wait(number) == result("memory", 1)
    assert len(execd.kernel.made) == 1 and execd.kernel.apps == {}


# ---- restarts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("restarts", range(RESTARTS + 1))
def test_child_is_started_again_after_faults_as_often_as_asked(execd: World, fault: str, restarts: int) -> None:
    number = execd.started(restarts=restarts)
    assert execd.wait(number) is None
    for turn in range(restarts + 1):
        assert execd.kernel.later == [] and execd.app().resumed
        execd.end(fault=fault, value=turn, pc=16, ticks=10)
    assert execd.kernel.later == [(CLIENT, result(fault, restarts, 16, 10 * (restarts + 1), restarts + 1))]
    assert execd.kernel.apps == {}
    assert execd.opened == [HELLO] * (restarts + 1)
    assert len(execd.log) == restarts + 1
    assert len(execd.kernel.lines) == 1
    assert [who for who, _ in execd.asked] == [CLIENT] * 2  # EXEC and WAIT; a restart is part of what was allowed


@pytest.mark.parametrize("value", [0, 1, 2, 7])
def test_exit_is_no_fault(execd: World, value: int) -> None:
    number = execd.started(restarts=RESTARTS)
    execd.end(value=value)
    assert execd.wait(number) == result("exit", value)
    assert len(execd.kernel.made) == 1


def test_restart_that_fails_is_the_end(execd: World) -> None:
    number = execd.started(restarts=RESTARTS)
    execd.installed.clear()
    execd.end(fault="memory", value=1)
    assert execd.wait(number) == result("memory", 1)
    assert execd.kernel.apps == {}


def test_restart_does_not_start_another_bundle(execd: World) -> None:
    number = execd.started(restarts=RESTARTS)
    execd.gives[HELLO] = b"dev.other"
    execd.end(fault="memory", value=1)
    assert execd.wait(number) == result("memory", 1)
    assert execd.kernel.apps == {}


def test_name_that_somebody_else_took_meanwhile_ends_the_restarts(execd: World) -> None:
    number = execd.started(restarts=RESTARTS)
    execd.kernel.refuses = E["exists"]
    execd.end(fault="hung")
    assert execd.wait(number) == result("hung")


# ---- what is kept ----------------------------------------------------------------------------------------------------


def over(execd: World, count: int, caller: object = CLIENT) -> list[int]:
    """So many children that nobody waits for."""
    numbers = []
    for place in range(count):
        numbers.append(execd.started(caller=caller))  # type: ignore[arg-type]
        execd.end(value=place)
        execd.kernel.now += 10_000_000
    return numbers


def test_oldest_end_that_nobody_asked_for_makes_room(execd: World) -> None:
    numbers = over(execd, CHILDREN + 2)
    assert [execd.wait(number) for number in numbers[:2]] == [refused("denied")] * 2
    assert [execd.wait(number) for number in numbers[2:]] == [result("exit", place + 2) for place in range(CHILDREN)]


def test_nobody_makes_room_for_another(execd: World) -> None:
    numbers = over(execd, CHILDREN)
    others = over(execd, CHILDREN + 3, DROPD)
    assert [execd.wait(number) for number in numbers] == [result("exit", place) for place in range(CHILDREN)]
    assert execd.wait(others[-1], DROPD) == result("exit", CHILDREN + 2)


def test_what_runs_makes_no_room(execd: World) -> None:
    running = [execd.started(bundle) for bundle in BUNDLES[1:CHILDREN]]
    ended = over(execd, 3)
    assert [execd.wait(number) for number in ended] == [refused("denied")] * 2 + [result("exit", 2)]
    assert all(execd.kill(number) == STATUS["ok"] for number in running)


def test_start_that_fails_makes_no_room(execd: World) -> None:
    numbers = over(execd, CHILDREN)
    execd.installed.clear()
    assert execd.exec() == refused("not_found")
    assert execd.wait(numbers[0]) == result("exit", 0)


def test_records_of_an_app_go_with_it(execd: World) -> None:
    """Apps come and go, so what they have not asked for must not stay for ever."""
    one = app("selftest.two")
    execd.allowed.add(one)
    execd.started(b"selftest.two")
    ended, running = over(execd, 1, one), execd.started(b"dev.three", caller=one)
    execd.end(b"selftest.two")
    records = execd.alone.module("main")._children.all
    assert [child.number for child in records if child.owner[0] == 1] == [running]
    execd.end(b"dev.three")
    assert [child.number for child in records if child.owner[0] == 1] == []
    assert execd.wait(ended[0], one) == refused("denied")


def test_record_of_an_app_stays_while_it_is_started_again(execd: World) -> None:
    one = app("selftest.two")
    execd.allowed.add(one)
    execd.started(b"selftest.two", restarts=1)
    ended = over(execd, 1, one)
    execd.end(b"selftest.two", fault="memory")
    assert execd.wait(ended[0], one) == result("exit")


def test_records_are_bounded_whoever_asks(execd: World) -> None:
    """As many apps one after the other as one likes, each with an end that nobody asks for."""
    for turn in range(40):
        name = f"app.n{turn}"
        one = app(name, turn)
        execd.installed.add(name.encode())
        execd.allowed.add(one)
        execd.started(name.encode(), caller=DROPD)
        over(execd, 2, one)
        execd.end(name.encode())
        execd.kernel.now += 10_000_000
    assert len(execd.alone.module("main")._children.all) <= CHILDREN


def test_answer_of_the_wrong_kind_never_goes_out(execd: World) -> None:
    """What a parked answer is written into is the buffer of whoever is served; that one's answer is whole all the same."""
    number = execd.started()
    assert execd.wait(number) is None
    assert execd.ask("kill", number.to_bytes(4, "little")) == Answer(STATUS["ok"], b"")
