"""dropd with a disk that misbehaves: what it read is exactly what the disk holds, or nothing is handed on; a disk that lies is told of once,
one that fails or is silent for a while is used again, and dropd stays up in any case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from shims import disk as faults
from shims.asker import Asker
from shims.device import MILLISECOND
from shims.disk import OK, SECTOR, Disk, Nature, Reply, Request
from shims.dropworld import CONTRACT, STATUS, DropWorld, drop_of, file_of, installed, refused
from shims.machine import Machine

from nexus.machine.drop import empty_disk

Make = Callable[..., Machine]
SECOND = 1000 * MILLISECOND
LINE = CONTRACT.table("line")
BROKEN = str(LINE["device_broken"])
SMALL = file_of(1000)
DROP = drop_of(7, SMALL)
HEADER, DATA = 0, 1  # requests of a drop


@pytest.fixture
def world(machine: Make) -> Callable[..., DropWorld]:
    def make(data: bytes | None = None, **rest: Any) -> DropWorld:
        return DropWorld(machine, Disk(empty_disk(CONTRACT) if data is None else data, **rest)).start()

    return make


def check_ready(one: DropWorld) -> None:
    """It answers init whatever the disk does."""
    contract = one.machine.contract
    asker = Asker(one.machine, "init")
    handle = asker.given("dropd", contract.BADGE_FACET_READY)
    assert asker.ask(handle, contract.OP_ALL_READY).status == STATUS["ok"]
    assert one.running


def check_given_up(one: DropWorld, line: str) -> None:
    """Told once, and the disk is left alone."""
    assert one.said.count(line) == 1
    before, said = len(one.disk.requests), len(one.said)
    one.disk.answers = faults.honest
    assert one.put(drop_of(9, SMALL)) == []
    assert (len(one.disk.requests), len(one.said)) == (before, said)
    check_ready(one)


# ---- starting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "line"),
    [({"present": False}, "device_absent"), ({"version": 1}, "disk_wrong"), ({"kind": 4}, "disk_wrong")],
    ids=["absent", "legacy", "wrong-id"],
)
def test_start_without_a_usable_disk(world: Callable[..., DropWorld], bad: dict[str, Any], line: str) -> None:
    one = world(DROP, **bad)
    assert one.said == [LINE[line]]
    assert one.disk.requests == []
    check_given_up(one, LINE[line])


def test_disk_that_refuses_the_features(machine: Make) -> None:
    disk = Disk(DROP)
    disk.refuses = 8  # FEATURES_OK does not stick
    one = DropWorld(machine, disk).start()
    assert one.said == [BROKEN]
    check_given_up(one, BROKEN)


# ---- lies ------------------------------------------------------------------------------------------------------------

LIES: dict[str, Callable[[Reply], Reply]] = {
    "used without the status": lambda reply: replace(reply, used=reply.used - 1),
    "used short": lambda reply: replace(reply, used=1),
    "used 0": lambda reply: replace(reply, used=0),
    "used above what was posted": lambda reply: replace(reply, used=reply.used + 1),
    "used 4G": lambda reply: replace(reply, used=0xFFFFFFFF),
    "no status": lambda reply: replace(reply, status=None),
    "no data, no status": lambda reply: replace(reply, data=None, status=None),
    "unsupported": lambda reply: replace(reply, status=2),
    "status of no meaning": lambda reply: replace(reply, status=255),
}


@pytest.mark.parametrize("at", [HEADER, DATA], ids=["header", "data"])
@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_lying_disk_is_never_believed(world: Callable[..., DropWorld], lie: Callable[[Reply], Reply], at: int) -> None:
    one = world()
    one.disk.answers = faults.from_request(at, lambda _request, reply: lie(reply))
    assert one.put(DROP) == [refused(0 if at == HEADER else 7, "unavailable"), BROKEN]
    assert not any(text.startswith(("put", "install")) for text in one.asked().what)
    assert one.asked().files in ([], [b""])
    check_given_up(one, BROKEN)


def test_status_of_the_read_before_is_not_taken_for_this_one(world: Callable[..., DropWorld]) -> None:
    """It stays in the window: the device must write it anew."""
    one = world()
    one.disk.answers = faults.from_request(DATA, lambda _request, reply: replace(reply, status=None))
    one.put(DROP)
    assert one.disk.memory[one.disk.requests[-1].status_at] != OK
    assert one.said[-1] == BROKEN


def test_size_that_is_never_the_same_is_no_size(world: Callable[..., DropWorld]) -> None:
    one = world()

    def grow() -> None:
        one.disk.generation += 1

    one.disk.on_config = grow
    assert one.put(DROP) == [BROKEN]
    one.disk.on_config = None
    check_given_up(one, BROKEN)


def test_size_is_never_made_of_two_halves(world: Callable[..., DropWorld]) -> None:
    """It changes between the halves: the lower one of the old size and the upper one of the new would be a disk of two sectors, of which
    not even the first is read.
    """
    one, data = world(), drop_of(8, file_of(100_000))
    old, new = 1 << 32 | 2, len(data) // SECTOR

    def change() -> None:
        if one.disk.claimed == old:
            one.disk.claimed = new
            one.disk.generation += 1

    one.disk.claimed, one.disk.on_config = old, change
    before = len(one.disk.requests)
    assert one.put(data) == [installed(8)]
    assert one.disk.claimed == new
    assert [request.sector for request in one.disk.requests[before:]].count(0) == 1


@pytest.mark.parametrize("claimed", [len(DROP) // SECTOR + 1000, 1 << 32, (1 << 64) - 1], ids=hex)
def test_size_beyond_what_can_be_read(world: Callable[..., DropWorld], claimed: int) -> None:
    """The disk says that it is larger than it is: what lies there is read, and what does not is an error of the read."""
    one = world()
    one.disk.claimed = claimed
    assert one.put(DROP) == [installed(7)]
    assert one.put(drop_of(8, file_of(100000))[: 4 * SECTOR]) == [refused(8, "unavailable")]
    assert one.put(drop_of(9, SMALL)) == [installed(9)]


def test_size_of_nothing_is_not_read(world: Callable[..., DropWorld]) -> None:
    one = world()
    one.disk.claimed = 0
    before = len(one.disk.requests)
    assert one.put(DROP) == []
    assert len(one.disk.requests) == before


def test_file_that_changes_while_it_is_read_is_handed_over_as_it_was_read(world: Callable[..., DropWorld]) -> None:
    """Nobody looks at it twice here: what counts is the signature, of what was copied."""
    one, data, other = world(), file_of(200_000), file_of(200_000, b"dev.other")

    def nature(request: Request, reply: Reply) -> Reply:
        if request.sector > 0:
            one.disk.data = drop_of(8, other)
        return reply

    one.disk.answers = nature
    assert one.put(drop_of(7, data)) == [installed(7)]
    copied = one.asked().files[0]
    assert len(copied) == len(data)
    assert copied[:1000] == data[:1000]


# ---- what may pass ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [HEADER, DATA], ids=["header", "data"])
def test_read_error_refuses_that_drop_alone(world: Callable[..., DropWorld], at: int) -> None:
    one = world()
    one.disk.answers = faults.from_request(at, faults.failing)
    assert one.put(DROP) == [refused(0 if at == HEADER else 7, "unavailable")]
    one.disk.answers = faults.honest
    assert one.put(drop_of(8, SMALL)) == [installed(8)]


def test_disk_that_is_gone_under_its_header(world: Callable[..., DropWorld]) -> None:
    """Its file was cut while it was read."""
    one = world()

    def nature(request: Request, reply: Reply) -> Reply | None:
        one.disk.data = b""
        return faults.failing(request, reply)

    one.disk.answers = faults.from_request(1, nature)
    assert one.put(DROP) == [refused(7, "unavailable")]
    one.disk.answers = faults.honest
    assert one.put(drop_of(8, SMALL)) == [installed(8)]


@pytest.mark.parametrize("at", [HEADER, DATA], ids=["header", "data"])
def test_silence_ends_by_its_deadline_and_the_disk_is_used_again(world: Callable[..., DropWorld], at: int) -> None:
    one = world()
    one.disk.answers = faults.from_request(at, faults.silent)
    before = one.machine.now
    assert one.put(DROP) == [refused(0 if at == HEADER else 7, "unavailable")]
    assert one.machine.now - before < CONTRACT.number("limit.drop_ticks") + SECOND
    one.disk.answers = faults.honest
    assert one.put(drop_of(8, SMALL)) == [installed(8)]


def test_answer_that_comes_too_late_is_for_nobody(world: Callable[..., DropWorld]) -> None:
    """The request was given up: what it brings must not be taken for the answer to the next one."""
    one = world()
    late = 3 * CONTRACT.number("limit.drop_ticks")
    one.disk.answers = faults.from_request(DATA, lambda _request, reply: replace(reply, after=late))
    one.put(DROP)
    one.disk.answers = faults.honest
    data = file_of(1000, b"dev.other")
    assert one.put(drop_of(8, data)) == [installed(8)]
    assert one.asked().files[-1] == data


def test_answer_whose_interrupt_is_lost_is_found_at_the_deadline(world: Callable[..., DropWorld]) -> None:
    one = world()
    one.disk.answers = lambda _request, reply: replace(reply, interrupts=False)
    assert one.put(DROP) == [installed(7)]


def test_disk_that_is_silent_is_left_alone_until_something_is_dropped(world: Callable[..., DropWorld]) -> None:
    """A reset could keep the whole machine waiting for what the device still has to do."""
    one = world()
    one.disk.answers = faults.silent
    one.put(DROP)
    assert one.disk.status & CONTRACT.number("virtio.status_driver_ok")
    assert one.disk.resets == 1
    one.disk.answers = faults.honest
    one.put(drop_of(8, SMALL))
    assert one.disk.resets == 2


def test_change_that_is_told_while_the_disk_is_started_again(world: Callable[..., DropWorld]) -> None:
    """Nobody is told: a device that is being reset has no interrupts."""
    one, last = world(), drop_of(9, SMALL)
    one.disk.answers = faults.silent
    one.put(DROP)

    def nature(_request: Request, reply: Reply) -> Reply:
        one.disk.answers = faults.honest
        one.disk.change(last, interrupts=False)
        return reply

    one.disk.answers = nature
    assert one.put(drop_of(8, SMALL))[-1] == installed(9)


@pytest.mark.parametrize("nature", [faults.failing, faults.silent], ids=["failing", "silent"])
def test_header_that_is_changed_while_it_is_read_is_not_judged(world: Callable[..., DropWorld], nature: Nature) -> None:
    one, second = world(), drop_of(8, SMALL)

    def change(request: Request, reply: Reply) -> Reply | None:
        one.disk.answers = faults.honest
        one.disk.change(second)
        return nature(request, reply)

    one.disk.answers = change
    assert one.put(bytes(range(256)) * 2) == [installed(8)]


# ---- what may not ----------------------------------------------------------------------------------------------------


def test_disk_that_was_reset_behind_its_driver(world: Callable[..., DropWorld]) -> None:
    one = world()
    one.disk.reset_by_host()
    assert one.put(DROP) == [refused(0, "unavailable"), BROKEN]
    check_given_up(one, BROKEN)


def test_interrupts_that_the_kernel_has_cut_off(world: Callable[..., DropWorld]) -> None:
    one = world()
    one.disk.cut_off = True
    assert one.put(DROP) == [BROKEN]
    check_given_up(one, BROKEN)


NATURES: dict[str, Nature] = {"silent": faults.silent, "failing": faults.failing}


@pytest.mark.parametrize("nature", NATURES.values(), ids=NATURES.keys())
def test_disk_that_never_answers_does_not_keep_dropd_from_being_ready(
    world: Callable[..., DropWorld], nature: Nature
) -> None:
    one = world(DROP, nature=nature)
    assert one.said == [refused(0, "unavailable")]
    check_ready(one)
