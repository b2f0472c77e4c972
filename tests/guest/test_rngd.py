"""rngd on a device with every fault of the list: exact bytes or a typed error by the deadline, and nothing that failed a
test is ever served.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from shims import device as faults
from shims.asker import Answer, Asker
from shims.device import MILLISECOND, Device, Nature
from shims.machine import Machine

Make = Callable[..., Machine]
SECOND = 1000 * MILLISECOND
STARTUP_DRAWS = 4  # blocks of the start-up test


class Rng:
    """rngd and logd alone, and the test as rngd's caller."""

    def __init__(self, make: Make, device: Device) -> None:
        self.device = device
        self.machine = make(device=device)
        self.contract = self.machine.contract
        for name in ("logd", "policyd", "rngd"):
            self.machine.start(name)
        self.machine.run()
        self.asker = Asker(self.machine)

    @property
    def running(self) -> bool:
        return bool(self.machine.process("rngd").state == self.contract.STATE_RECEIVING)

    def draw(self, count: int, handle: int = 0) -> Answer:
        payload = struct.pack("<H", count)
        return self.asker.ask(handle or self.asker.handle("RNGD"), self.contract.OP_RNGD_GET_ENTROPY, payload)

    def stats(self) -> tuple[int, ...]:
        answer = self.asker.ask(self.asker.handle("RNGD"), self.contract.OP_RNGD_STATS)
        assert answer.status == self.contract.STATUS_OK
        return struct.unpack("<QQQQ", answer.payload)

    def logged(self) -> list[str]:
        """Texts of rngd in the system log."""
        payload = struct.pack("<QB", 0, 0)
        answer = self.asker.ask(self.asker.handle("LOGD_QUERY"), self.contract.OP_LOGD_QUERY, payload)
        count, _, at, texts = answer.payload[0], 0, 9, []
        for _ in range(count):
            size = answer.payload[at + 20]
            texts.append(answer.payload[at + 21 : at + 21 + size].decode())
            at += 21 + size
        return texts


@pytest.fixture
def rng(machine: Make) -> Callable[..., Rng]:
    return lambda nature, **rest: Rng(machine, Device(nature, **rest))


def after_startup(nature: Nature) -> Nature:
    return faults.then(faults.healthy(), STARTUP_DRAWS, nature)


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 32, 255, 256])
def test_draw_has_exact_length(rng: Callable[..., Rng], count: int) -> None:
    one = rng(faults.healthy())
    first, second = one.draw(count), one.draw(count)
    assert first.status == second.status == one.contract.STATUS_OK
    assert len(first.payload) == len(second.payload) == count
    assert count < 4 or first.payload != second.payload


def test_bytes_are_wiped_from_the_window_once_served(rng: Callable[..., Rng]) -> None:
    one = rng(faults.healthy())
    answer = one.draw(256)
    assert answer.payload not in bytes(one.device.memory)
    assert bytes(one.device.memory[:256]) == bytes(256)


def test_stats_agree_with_the_device(rng: Callable[..., Rng]) -> None:
    one = rng(faults.short(7, after=MILLISECOND))
    for count in (32, 256, 1):
        one.draw(count)
    requests, taken, served, short = one.stats()
    assert (requests, served) == (3, 289)
    assert taken == one.device.delivered
    assert short > 1024 // 7


@pytest.mark.parametrize("count", [257, 512, 0xFFFF])
def test_too_large_costs_nothing(rng: Callable[..., Rng], count: int) -> None:
    one = rng(faults.healthy())
    before = one.stats()
    assert one.draw(count) == Answer(one.contract.STATUS_TOO_LARGE, b"")
    assert one.stats() == before


@pytest.mark.parametrize("payload", [b"", b"\x00", b"\x00\x00", b"\x01\x00\x00"])
def test_malformed_request_costs_nothing(rng: Callable[..., Rng], payload: bytes) -> None:
    one = rng(faults.healthy())
    before = one.stats()
    answer = one.asker.ask(one.asker.handle("RNGD"), one.contract.OP_RNGD_GET_ENTROPY, payload)
    assert answer == Answer(one.contract.STATUS_MALFORMED, b"")
    assert one.stats() == before


# starting


@pytest.mark.parametrize("bad", [{"present": False}, {"version": 1}, {"kind": 2}], ids=["absent", "legacy", "wrong-id"])
def test_start_without_a_usable_device_is_final(rng: Callable[..., Rng], bad: dict[str, int]) -> None:
    one = rng(faults.healthy(), **bad)
    process = one.machine.process("rngd")
    assert (process.fault, process.value) == (one.contract.FAULT_EXIT, one.contract.LEAVE_FINAL)
    line = one.contract.LINE_DEVICE_ABSENT if "present" in bad else one.contract.LINE_DEVICE_WRONG
    assert one.machine.said("rngd") == [line]


def test_start_with_a_silent_device_ends_in_time(rng: Callable[..., Rng]) -> None:
    one = rng(faults.silent)
    process = one.machine.process("rngd")
    assert (process.fault, process.value) == (one.contract.FAULT_EXIT, one.contract.LEAVE_FAILED)
    assert one.machine.said("rngd") == [one.contract.LINE_DEVICE_SILENT]
    assert one.machine.now < 2 * SECOND


def test_start_with_a_device_of_one_byte_a_millisecond_succeeds(rng: Callable[..., Rng]) -> None:
    one = rng(faults.short(1, after=MILLISECOND))
    assert one.running
    assert one.machine.now < one.contract.SERVICE_TIME_ALL_READY / 2
    answer = one.draw(256)
    assert (answer.status, len(answer.payload)) == (one.contract.STATUS_OK, 256)


def test_start_with_a_device_too_slow_for_the_test_ends_in_time(rng: Callable[..., Rng]) -> None:
    one = rng(faults.short(1, after=500 * MILLISECOND))
    assert one.machine.process("rngd").value == one.contract.LEAVE_FAILED
    assert one.machine.now < one.contract.SERVICE_TIME_ALL_READY + SECOND


UNHEALTHY = {
    "zeros": faults.stuck(0x00),
    "ones": faults.stuck(0xFF),
    "period-1": faults.periodic(1),
    "period-7": faults.periodic(7),
    "bias": faults.biased,
    "replay": faults.replay(),
}


@pytest.mark.parametrize("nature", UNHEALTHY.values(), ids=UNHEALTHY.keys())
def test_start_with_an_unhealthy_source_is_final(rng: Callable[..., Rng], nature: Nature) -> None:
    one = rng(nature)
    process = one.machine.process("rngd")
    assert (process.fault, process.value) == (one.contract.FAULT_EXIT, one.contract.LEAVE_FINAL)
    assert one.machine.said("rngd") == [one.contract.LINE_HEALTH_FAILED]


def test_start_with_a_device_that_refuses_the_features_is_final(machine: Make) -> None:
    device = Device(faults.healthy())
    device.refuses = 8  # FEATURES_OK does not stick
    one = Rng(machine, device)
    assert one.machine.said("rngd") == [one.contract.LINE_DEVICE_BROKEN]


# serving


@pytest.mark.parametrize("nature", UNHEALTHY.values(), ids=UNHEALTHY.keys())
def test_source_that_turns_unhealthy_serves_nobody_any_more(rng: Callable[..., Rng], nature: Nature) -> None:
    """Within the window of the tests (512 samples) at the latest; and no byte of a failed block leaves."""
    one = rng(after_startup(nature))
    for _ in range(4):
        if one.draw(256).status != one.contract.STATUS_OK:
            break
    else:
        pytest.fail("1,024 bad bytes were served")
    one.device.nature = faults.healthy(9)
    assert one.draw(32) == Answer(one.contract.STATUS_UNAVAILABLE, b"")
    assert one.logged() == [one.contract.LINE_HEALTH_FAILED]
    assert one.running


LIES = {
    "used-above-posted": lambda asked: faults.Answer(bytes(asked), asked + 1),
    "used-4G": lambda asked: faults.Answer(None, 0xFFFFFFFF),
    "used-0": lambda asked: faults.Answer(None, 0),
    "wrong-id-or-jump": lambda asked: faults.Answer(None, -1),
}


@pytest.mark.parametrize("nature", LIES.values(), ids=LIES.keys())
def test_lying_device_is_never_believed(rng: Callable[..., Rng], nature: Nature) -> None:
    one = rng(after_startup(nature))
    assert one.draw(32) == Answer(one.contract.STATUS_UNAVAILABLE, b"")
    one.device.nature = faults.healthy(9)
    assert one.draw(32) == Answer(one.contract.STATUS_UNAVAILABLE, b"")
    assert one.logged() == [one.contract.LINE_DEVICE_BROKEN]


def test_answer_without_bytes_behind_it_is_refused(rng: Callable[..., Rng]) -> None:
    """The device claims a block and writes nothing: what lies there was wiped when it was served, so it fails the test."""
    one = rng(faults.then(faults.healthy(), STARTUP_DRAWS + 1, lambda asked: faults.Answer(None, asked)))
    assert one.draw(256).status == one.contract.STATUS_OK
    assert one.draw(32) == Answer(one.contract.STATUS_UNAVAILABLE, b"")


def test_silence_is_an_error_by_the_deadline_and_may_end(rng: Callable[..., Rng]) -> None:
    one = rng(after_startup(faults.silent))
    before = one.machine.now
    assert one.draw(32) == Answer(one.contract.STATUS_UNAVAILABLE, b"")
    assert SECOND / 2 < one.machine.now - before < 2 * SECOND
    assert one.running


def test_late_answer_goes_to_nobody(rng: Callable[..., Rng]) -> None:
    """It comes when its request is given up: counted as taken, never served, and the next draw is a fresh one."""
    late = faults.Answer(bytes(range(32)), 32, 3 * SECOND)
    one = rng(faults.then(faults.healthy(), STARTUP_DRAWS, faults.then(lambda _: late, 1, faults.healthy(9))))
    assert one.draw(32).status == one.contract.STATUS_UNAVAILABLE
    one.machine.now += 4 * SECOND
    answer = one.draw(32)
    assert (answer.status, len(answer.payload)) == (one.contract.STATUS_OK, 32)
    assert answer.payload != late.data
    assert one.stats()[1] == one.device.delivered


def test_interrupt_of_a_late_answer_does_not_block_the_next(rng: Callable[..., Rng]) -> None:
    """The server's recv takes that notification; the source has to be unmasked all the same."""
    late = faults.Answer(bytes(range(32)), 32, 3 * SECOND)
    one = rng(faults.then(faults.healthy(), STARTUP_DRAWS, faults.then(lambda _: late, 1, faults.healthy(9))))
    assert one.draw(32).status == one.contract.STATUS_UNAVAILABLE
    one.machine.run()  # until everybody waits: the late answer has been delivered and its interrupt taken
    assert one.device.delivered == 1024 + 32
    assert not one.device.masked
    assert one.draw(32).status == one.contract.STATUS_OK


def test_answer_whose_interrupt_is_lost_is_found_at_the_deadline(rng: Callable[..., Rng]) -> None:
    one = rng(after_startup(lambda asked: faults.Answer(bytes(range(asked)), asked, interrupts=False)))
    before = one.machine.now
    assert one.draw(32) == Answer(one.contract.STATUS_OK, bytes(range(32)))
    assert one.machine.now - before <= SECOND + MILLISECOND


def test_device_reset_behind_the_driver_is_broken(rng: Callable[..., Rng]) -> None:
    one = rng(faults.healthy())
    one.device.reset_by_host()
    assert one.draw(32).status == one.contract.STATUS_UNAVAILABLE
    assert one.logged() == [one.contract.LINE_DEVICE_BROKEN]


def test_spurious_interrupts_change_nothing(rng: Callable[..., Rng]) -> None:
    one = rng(faults.healthy())
    for _ in range(5):
        one.device.spurious_interrupt()
        one.machine.run()
        assert not one.device.masked
    assert one.draw(32).status == one.contract.STATUS_OK


def test_interrupts_cut_off_by_the_kernel_fail_closed(rng: Callable[..., Rng]) -> None:
    one = rng(faults.healthy())
    one.device.cut_off = True
    assert one.draw(32).status == one.contract.STATUS_UNAVAILABLE
    assert one.logged() == [one.contract.LINE_DEVICE_BROKEN]


def test_caller_that_leaves_early_does_not_stop_the_service(rng: Callable[..., Rng]) -> None:
    """The answer can't be delivered; its bytes are not given to the next caller either."""
    one = rng(after_startup(faults.healthy(9, after=50 * MILLISECOND)))
    payload = struct.pack("<H", 32)
    op = one.contract.OP_RNGD_GET_ENTROPY
    with pytest.raises(one.asker.kernel.Error) as error:
        one.asker.ask(one.asker.handle("RNGD"), op, payload, deadline=one.machine.now + 10 * MILLISECOND)
    assert error.value.args[0] == one.contract.E_DEADLINE
    one.machine.run()
    assert one.running
    assert one.draw(32).status == one.contract.STATUS_OK


# sharing


def test_rate_limit_is_per_caller_and_recovers(rng: Callable[..., Rng], contract: SimpleNamespace) -> None:
    one = rng(faults.healthy(after=10))
    for _ in range(contract.LIMIT_ENTROPY_BURST // 256):
        assert one.draw(256).status == contract.STATUS_OK
    before = one.stats()
    assert one.draw(256) == Answer(contract.STATUS_RATE_LIMITED, b"")
    assert one.stats() == before
    other = Asker(one.machine, "vault")
    handle = other.given("rngd")
    assert other.ask(handle, contract.OP_RNGD_GET_ENTROPY, b"\x00\x01").status == contract.STATUS_OK
    one.machine.now += SECOND
    assert one.draw(256).status == contract.STATUS_OK


@pytest.mark.parametrize("holder", ["init", "logd", "selftest-peer"])
def test_badge_in_other_hands_is_denied(rng: Callable[..., Rng], holder: str) -> None:
    one = rng(faults.healthy())
    assert one.draw(32, one.asker.given("rngd", holder=holder)) == Answer(one.contract.STATUS_DENIED, b"")
    assert one.draw(32, one.asker.given("rngd")).status == one.contract.STATUS_OK


def test_ready_is_answered_once_to_its_own_facet(rng: Callable[..., Rng]) -> None:
    one = rng(faults.healthy())
    contract = one.contract
    op, plain = contract.OP_ALL_READY, one.asker.handle("RNGD")
    assert one.asker.ask(plain, op).status == contract.STATUS_DENIED
    assert one.machine.said("rngd") == []
    ready = one.asker.given("rngd", contract.BADGE_FACET_READY)
    assert one.asker.ask(ready, op).status == contract.STATUS_OK
    assert one.machine.said("rngd") == [contract.MARK_RNGD_READY]
    assert one.asker.ask(ready, op).status == contract.STATUS_EXISTS
    assert one.draw(32, ready).status == contract.STATUS_DENIED
    assert one.machine.said("rngd") == [contract.MARK_RNGD_READY]
