"""dropd with a disk that behaves: what is dropped reaches bundlemgrd byte for byte, what is no drop reaches nobody, and no change of the
disk is overlooked, whenever it comes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from shims.asker import Answer, Asker
from shims.disk import SECTOR, Disk, Reply, Request, honest
from shims.dropworld import (
    CONTRACT,
    DIES,
    NAME,
    SILENT,
    STATUS,
    DropWorld,
    drop_of,
    file_of,
    installed,
    refused,
    started,
)
from shims.machine import Machine

from nexus.machine.drop import empty_disk

Make = Callable[..., Machine]
MOST = CONTRACT.number("drop.disk_max") - SECTOR
ONE_READ = 120 * SECTOR
SMALL = file_of(1000)


@pytest.fixture
def world(machine: Make) -> Callable[..., DropWorld]:
    """world(data=empty disk, how=None) -> dropd, running."""

    def make(data: bytes | None = None, how: dict[str, int | str] | None = None, **rest: Any) -> DropWorld:
        return DropWorld(machine, Disk(empty_disk(CONTRACT) if data is None else data, **rest), how).start()

    return make


# ---- what is dropped -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size", [232, 495, 496, 497, 511, 512, 513, ONE_READ - 1, ONE_READ, ONE_READ + 1, 2 * ONE_READ, MOST]
)
def test_file_reaches_bundlemgrd_byte_for_byte(world: Callable[..., DropWorld], size: int) -> None:
    one, data = world(), file_of(size)
    assert one.put(drop_of(7, data)) == [installed(7)]
    asked = one.asked()
    assert asked.staged == [(size, NAME)]
    assert asked.files == [data]
    assert asked.what == [f"stage {size} {NAME.hex()}", f"install {NAME.hex()}"]


def test_flag_has_it_started(world: Callable[..., DropWorld]) -> None:
    one = world()
    assert one.put(drop_of(7, SMALL, start=True)) == [installed(7), started(7)]
    assert one.asked().what[-1] == f"exec 0 {NAME.hex()}"


def test_id_that_fills_its_field(world: Callable[..., DropWorld]) -> None:
    one, name = world(), b"d" * 32
    assert one.put(drop_of(7, file_of(1000, name))) == [installed(7)]
    assert one.asked().staged == [(1000, name)]


def test_one_drop_after_the_other(world: Callable[..., DropWorld]) -> None:
    one = world()
    for number in (0xFFFFFFFF, 1, 2):
        assert one.put(drop_of(number, SMALL)) == [installed(number)]


def test_drop_that_was_there_first(world: Callable[..., DropWorld]) -> None:
    assert world(drop_of(7, SMALL)).said == [installed(7)]


def test_nothing_is_taken_before_everybody_is_up(machine: Make) -> None:
    one = DropWorld(machine, Disk(drop_of(7, SMALL)))
    one.machine.bring_up_open = True
    for name in ("bundlemgrd", "execd", "dropd"):
        one.machine.start(name)
    late = one.machine.now + 1_000_000
    one.machine.run(lambda: one.machine.now > late)
    assert (one.said, one.disk.requests) == ([], [])
    one.machine.bring_up_open = False
    one.machine.run()
    assert one.said == [installed(7)]


@pytest.mark.parametrize(
    "data", [b"", bytes(SECTOR), bytes(8 * SECTOR), empty_disk(CONTRACT)], ids=["size-0", "zeros", "more", "made so"]
)
def test_empty_disk_is_no_drop(world: Callable[..., DropWorld], data: bytes) -> None:
    one = world()
    one.put(drop_of(7, SMALL))
    assert one.put(data) == []
    assert one.put(drop_of(8, SMALL)) == [installed(8)]


def test_restarted_dropd_takes_what_lies_there(world: Callable[..., DropWorld]) -> None:
    one = world(drop_of(7, file_of(MOST)))
    one.disk.change(drop_of(8, file_of(MOST)))
    one.machine.run(lambda: len(one.asked().files) == 2)
    one.machine.crash("dropd", one.machine.contract.FAULT_KILLED)
    one.machine.start("dropd")
    one.machine.run()
    assert one.said == [installed(7), installed(8)]
    assert one.asked().files[-1] == file_of(MOST)
    assert one.put(drop_of(9, SMALL)) == [installed(9)]


# ---- changes ---------------------------------------------------------------------------------------------------------


def test_interrupts_without_a_change_change_nothing(world: Callable[..., DropWorld]) -> None:
    one = world(drop_of(7, SMALL))
    before = len(one.disk.requests)
    for _ in range(5):
        one.disk.spurious_interrupt()
        one.machine.run()
        assert not one.disk.masked
    assert (one.said, len(one.disk.requests)) == ([installed(7)], before)


@pytest.mark.parametrize(
    ("data", "told"), [(drop_of(7, SMALL), installed(7)), (bytes(range(256)) * 8, refused(0, "malformed"))]
)
def test_change_that_is_counted_late_is_judged_once(world: Callable[..., DropWorld], data: bytes, told: str) -> None:
    one = world()
    assert one.put(data) == [told]
    one.disk.count_late()
    one.machine.run()
    assert one.said == [told]
    one.put(b"")
    assert one.put(data) == [told]


def test_change_to_a_disk_of_the_same_size_is_seen(world: Callable[..., DropWorld]) -> None:
    one = world(drop_of(7, SMALL))
    one.disk.change(b"")
    assert one.put(drop_of(8, SMALL)) == [installed(8)]


@pytest.mark.parametrize("interrupts", [True, False], ids=["told", "told with the answer"])
@pytest.mark.parametrize("at", range(4))
def test_change_during_a_read_is_not_lost(world: Callable[..., DropWorld], at: int, interrupts: bool) -> None:
    """Its interrupt is taken by the read, or is one with that of the answer."""
    second = drop_of(8, SMALL)
    count = [0]

    def nature(_request: Request, reply: Reply) -> Reply:
        if count[0] == at:
            one.disk.change(second, interrupts)
        count[0] += 1
        return reply

    one = world()
    one.disk.answers = nature
    assert one.put(drop_of(7, file_of(2 * ONE_READ + 1)))[-1] == installed(8)
    assert one.said.count(installed(8)) == 1


def test_header_is_not_judged_by_the_size_of_the_disk_before(world: Callable[..., DropWorld]) -> None:
    second = drop_of(8, file_of(ONE_READ))

    def nature(_request: Request, reply: Reply) -> Reply:
        one.disk.answers = honest
        one.disk.change(second)
        return replace(reply, data=second[:SECTOR])

    one = world()
    one.disk.answers = nature
    assert one.put(drop_of(7, SMALL)) == [installed(8)]


def test_file_is_copied_with_few_reads(world: Callable[..., DropWorld]) -> None:
    one = world()
    one.put(drop_of(7, file_of(MOST)))
    assert len(one.disk.requests) <= 8


# ---- what is no drop -------------------------------------------------------------------------------------------------


def patched(field: str, value: bytes, data: bytes = SMALL, number: int = 7) -> bytes:
    """A disk with a header that is wrong in one field."""
    disk = bytearray(drop_of(number, data))
    at = CONTRACT.number(f"drop_at.{field}")
    disk[at : at + len(value)] = value
    return bytes(disk)


def number(value: int) -> bytes:
    return value.to_bytes(4, "little")


BEYOND = CONTRACT.number("drop_at.id") + 32
WRONG = {
    "magic": (patched("magic", b"nexusdrq"), 0, "malformed"),
    "random": (bytes(range(256)) * 8, 0, "malformed"),
    "number of an empty disk": (patched("number", number(0)), 0, "malformed"),
    "unknown flag": (patched("flags", number(2)), 7, "malformed"),
    "known and unknown flag": (patched("flags", number(0x80000001)), 7, "malformed"),
    "no id": (patched("id", bytes(32)), 7, "malformed"),
    "id begins with zero": (patched("id", b"\0a"), 7, "malformed"),
    "zero within the id": (patched("id", b"dev\0hello"), 7, "malformed"),
    "more behind the id": (patched("id", b"dev".ljust(32, b"\0") + b"\1"), 7, "malformed"),
    "last byte of the sector": (patched("id", NAME.ljust(SECTOR - 21, b"\0") + b"\1"), 7, "malformed"),
    "no bytes": (patched("bytes", number(0)), 7, "malformed"),
    "one byte beyond the disk": (patched("bytes", number(1025)), 7, "malformed"),
    "header alone": (drop_of(7, SMALL)[:SECTOR], 7, "malformed"),
    "the most, beyond the disk": (patched("bytes", number(MOST)), 7, "malformed"),
    "one byte too many": (drop_of(7, file_of(MOST + 1)), 7, "too_large"),
    "4 GiB": (patched("bytes", number(0xFFFFFFFF)), 7, "too_large"),
}


@pytest.mark.parametrize(("disk", "told", "status"), WRONG.values(), ids=WRONG.keys())
def test_wrong_disk_is_refused_and_the_next_one_taken(
    world: Callable[..., DropWorld], disk: bytes, told: int, status: str
) -> None:
    one = world()
    assert one.put(disk) == [refused(told, status)]
    assert one.asked().what == []
    assert one.put(drop_of(8, SMALL)) == [installed(8)]
    assert one.running


def test_wrong_disk_at_the_start_is_told_once(world: Callable[..., DropWorld]) -> None:
    one = world(WRONG["random"][0])
    one.disk.spurious_interrupt()
    one.machine.run()
    assert one.said == [refused(0, "malformed")]


# ---- what others say to it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["denied", "unavailable", "too_large", "rate_limited"])
@pytest.mark.parametrize("op", ["stage", "put", "install"])
def test_refusal_of_bundlemgrd_ends_the_drop(world: Callable[..., DropWorld], op: str, status: str) -> None:
    one = world(how={op: STATUS[status]})
    assert one.put(drop_of(7, SMALL, start=True)) == [refused(7, status)]
    asked = [text.split()[0] for text in one.asked().what]
    assert asked == {"stage": ["stage"], "put": ["stage"], "install": ["stage", "install"]}[op]
    assert one.running


def test_refusal_of_execd_is_told_after_the_installation(world: Callable[..., DropWorld]) -> None:
    one = world(how={"exec": STATUS["denied"]})
    assert one.put(drop_of(7, SMALL, start=True)) == [installed(7), refused(7, "denied")]
    assert one.running


@pytest.mark.parametrize("op", ["stage", "put", "install"])
@pytest.mark.parametrize("how", [DIES, SILENT])
def test_bundlemgrd_that_does_not_answer(world: Callable[..., DropWorld], op: str, how: str) -> None:
    one = world(how={op: how})
    assert one.put(drop_of(7, SMALL)) == [refused(7, "unavailable")]
    assert one.running


def test_bundlemgrd_that_comes_back_is_asked_again(world: Callable[..., DropWorld]) -> None:
    one = world(how={"put": DIES})
    one.put(drop_of(7, SMALL))
    one.machine.sources["bundlemgrd"] = one.machine.sources["bundlemgrd"].replace(f"'put': '{DIES}'", "")
    one.machine.start("bundlemgrd")
    assert one.put(drop_of(8, SMALL)) == [installed(8)]


# ---- what it offers --------------------------------------------------------------------------------------------------


def test_offers_ready_to_init_once_and_nothing_else(world: Callable[..., DropWorld]) -> None:
    one = world()
    contract = one.machine.contract
    asker = Asker(one.machine, "init")
    ready, plain = asker.given("dropd", contract.BADGE_FACET_READY), asker.given("dropd")
    assert asker.ask(plain, contract.OP_ALL_READY) == Answer(STATUS["denied"], b"")
    for op in range(1, 0x80):
        if op != contract.OP_ALL_READY:
            assert asker.ask(plain, op) == Answer(STATUS["unsupported"], b"")
    assert one.said == []
    assert asker.ask(ready, contract.OP_ALL_READY).status == STATUS["ok"]
    assert one.said == [contract.MARK_DROPD_READY]
    assert asker.ask(ready, contract.OP_ALL_READY).status == STATUS["exists"]
