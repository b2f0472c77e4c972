# Cases of process runtime that need another one: the keeper serves, this side asks and judges. Run by main.py, before prompt has
# been started. Leaves the keeper restarted, the latch closed and no notification bits behind.

import binascii
import struct

import caps
import client
import contract
import frame
import kernel
import wire

_NUMBER = 0x0123_4567_89AB_CDEF
_KEPT_BYTES = 8192  # of the keeper's row
_FAR = 0x10_0000  # more than any policy has


def _raises(kind, function, *arguments):
    try:
        function(*arguments)
    except kind as error:
        return error.args[0] if error.args else True
    return None


def _keeper(op, payload=b"", form="", behalf=0):
    return client.ask(caps.KEEPER, op, payload, form, _soon(), behalf)


def _soon():
    return client.deadline(contract.EDGE_DEADLINE_KEEPER_ALL)


def _life():
    return _keeper(contract.OP_KEEPER_LIFE, b"", contract.REPLY_KEEPER_LIFE)


# Zero at the first start; then what was written, and nothing else of that life.
def test_kept_memory_outlives_a_restart():
    kernel.supervise(caps.SUPERVISE_KEEPER, contract.SUP_RESUME)
    assert _life() == (1, 1, 0, 0)
    _keeper(contract.OP_KEEPER_PUT, struct.pack(contract.REQUEST_KEEPER_PUT, _NUMBER))
    assert _life() == (1, 1, _NUMBER, _NUMBER)
    kernel.supervise(caps.SUPERVISE_KEEPER, contract.SUP_RESTART)
    assert _life() == (2, 1, _NUMBER, 0)


def test_views_of_kept_memory_and_policy_behave():
    _keeper(contract.OP_KEEPER_VIEWS)


def _reach(area, place):
    return struct.pack(contract.REQUEST_KEEPER_REACH, area, place)


# The last byte is there; the next one is nobody's.
def test_kept_memory_ends_where_the_row_says():
    last = _KEPT_BYTES - 1
    assert _keeper(contract.OP_KEEPER_REACH, _reach(contract.AREA_KEPT, last), "<B") == (_NUMBER >> 56,)
    ends = (contract.AREA_KEPT, contract.VA_KEPT, last + 1), (contract.AREA_POLICY, contract.VA_POLICY, _FAR)
    for area, start, beyond in ends:
        assert _raises(wire.Unreachable, _keeper, contract.OP_KEEPER_REACH, _reach(area, beyond), "<B")
        told = kernel.supervise(caps.SUPERVISE_KEEPER, contract.SUP_STATUS)
        assert told[1:3] == (contract.FAULT_MEMORY, start + beyond)
        kernel.supervise(caps.SUPERVISE_KEEPER, contract.SUP_RESTART)
    assert _life() == (4, 1, _NUMBER, 0)


def test_policy_is_the_images():
    digest = bytes(client.call(caps.KEEPER, contract.OP_KEEPER_POLICY, b"", _soon()))
    kernel.console("policy " + binascii.hexlify(digest).decode())


def _told():
    return _keeper(contract.OP_KEEPER_TOLD, b"", contract.REPLY_KEEPER_TOLD)


# Being asked how often ends a rest too.
def test_server_hears_once_that_it_is_idle():
    before = _told()[0]
    _keeper(contract.OP_KEEPER_IDLE, struct.pack(contract.REQUEST_KEEPER_IDLE, contract.LIMIT_TICK_HZ // 100))
    assert _told()[0] == before
    _rest(contract.LIMIT_TICK_HZ // 10)
    assert _told()[0] == before + 1
    _rest(contract.LIMIT_TICK_HZ // 10)
    assert _told()[0] == before + 2


def _rest(ticks):
    until = kernel.time() + ticks
    while kernel.time() < until:  # deaths of before are told here too
        _raises(kernel.Error, kernel.wait, caps.NOTIFICATION, until)


def test_server_hears_of_malformed_messages_and_lost_answers():
    kernel.buffer[0:8] = bytes((contract.WIRE_VERSION + 1, 5, 0, 0, 1, 2, 3, 4))
    assert kernel.call(caps.KEEPER, 8, _soon()) == contract.WIRE_REPLY_HEADER
    answer = bytes(kernel.buffer[0:8])
    assert answer == bytes(
        (contract.WIRE_VERSION, 5 | contract.WIRE_REPLY_BIT, contract.STATUS_MALFORMED, 0, 1, 2, 3, 4)
    )
    assert _told()[1:] == (1, 0, 5, 0x04030201)
    soon = client.deadline(contract.LIMIT_TICK_HZ // 100)
    assert _raises(wire.Unreachable, client.call, caps.KEEPER, contract.OP_KEEPER_STAY, b"", soon)
    assert _told()[1:4] == (1, 1, contract.OP_KEEPER_STAY)


def _give(status, count, accept, holder=caps.INDEX):
    payload = struct.pack(contract.REQUEST_KEEPER_GIVE, status, count, holder)
    return frame.call(caps.KEEPER, contract.OP_KEEPER_GIVE, payload, _soon(), 0, accept)


def _slots():
    return kernel.process(caps.SYSTEM, caps.INDEX)[9]


# Each slot of one's own table is told as one knows it; of nobody and by nobody else.
def test_the_machine_tells_of_a_slot_what_is_in_it():
    for handle in (caps.SYSTEM, caps.KEEPER, caps.CONSOLE):
        told = kernel.capability(caps.SYSTEM, caps.INDEX, handle - contract.HANDLE_BOOT)
        assert told[:2] + told[3:] == kernel.info(handle)
    assert kernel.capability(caps.SYSTEM, caps.INDEX, contract.LIMIT_CAP_SLOTS - 1) == (contract.OBJ_NONE, 0, 0, 0)
    assert (
        _raises(kernel.Error, kernel.capability, caps.SYSTEM, caps.INDEX, contract.LIMIT_CAP_SLOTS)
        == contract.E_BAD_ARGUMENT
    )
    assert _raises(kernel.Error, kernel.capability, caps.SYSTEM, 0xFF, 0) == contract.E_BAD_ARGUMENT
    assert _raises(kernel.Error, kernel.capability, caps.KEEPER, caps.INDEX, 0) == contract.E_BAD_TYPE
    assert _raises(ValueError, kernel.capability, caps.SYSTEM, 0x100, 0)


# What was given works with its badge; what was not agreed on leaves nothing behind.
def test_capabilities_come_as_they_were_accepted():
    before = _slots()
    assert _give(contract.STATUS_OK, 2, 2) == 0
    first, handle = kernel.caps(0), kernel.caps(1)
    assert kernel.info(handle) == (contract.OBJ_ENDPOINT, contract.RIGHT_CALL, caps.INDEX)
    about = client.ask(handle, contract.OP_KEEPER_ABOUT, b"", contract.REPLY_KEEPER_ABOUT, _soon())
    assert about == (0xFFFF, 0, caps.INDEX)
    kernel.drop(first)
    kernel.drop(handle)
    assert _slots() == before
    assert _give(contract.STATUS_OK, 1, 2) == frame.BAD_REPLY
    assert _give(contract.STATUS_OK, 0, 1) == frame.BAD_REPLY
    assert _give(contract.STATUS_DENIED, 1, 1) == frame.BAD_REPLY
    assert _give(contract.STATUS_DENIED, 0, 1) == -contract.STATUS_DENIED
    assert _give(contract.STATUS_OK, 1, 0) == -contract.STATUS_UNAVAILABLE
    assert _slots() == before


# What every app begins with opens nothing for a service; nor does another one's badge.
def test_badge_of_others_is_refused():
    for holder, status in (
        (caps.INDEX, None),
        (contract.BADGE_ANY_APP, contract.STATUS_DENIED),
        (0x7F, contract.STATUS_DENIED),
    ):
        assert _give(contract.STATUS_OK, 1, 1, holder) == 0
        handle = kernel.caps(0)
        about = contract.OP_KEEPER_ABOUT, b"", contract.REPLY_KEEPER_ABOUT
        assert _refused(client.ask, handle, *about, _soon()) == status
        kernel.drop(handle)


def _refused(function, *arguments):
    try:
        function(*arguments)
    except wire.Refuse as refusal:
        return refusal.status
    return None


def _release(words):
    return _keeper(contract.OP_KEEPER_RELEASE, words, contract.REPLY_KEEPER_RELEASE)[0]


def _status(handle):
    return kernel.supervise(handle, contract.SUP_STATUS)


# Two wait; one gives up. The other has its own answer, once, while its giver serves a third request.
def test_answer_that_was_put_off_reaches_who_still_waits():
    kernel.supervise(caps.SUPERVISE_WAITER, contract.SUP_RESUME)
    soon = client.deadline(contract.LIMIT_TICK_HZ // 10)
    lost = _raises(wire.Unreachable, client.call, caps.KEEPER, contract.OP_KEEPER_PARK, b"of runtime", soon)
    assert lost and kernel.time() >= soon
    assert _status(caps.SUPERVISE_WAITER)[0] == contract.STATE_CALLING
    slots = _status(caps.SUPERVISE_KEEPER)[9]
    assert not _release(b"of runtime")
    assert _status(caps.SUPERVISE_KEEPER)[9] == slots - 1
    assert _refused(_release, b"of nobody") == contract.STATUS_NOT_FOUND
    assert _status(caps.SUPERVISE_WAITER)[0] == contract.STATE_CALLING
    assert _release(b"of the waiter")
    assert not _release(b"of the waiter")
    while _status(caps.SUPERVISE_WAITER)[0] != contract.STATE_STOPPED:
        kernel.wait(caps.NOTIFICATION, _soon())
    assert _status(caps.SUPERVISE_WAITER)[1:3] == (contract.FAULT_EXIT, contract.WAITER_ANSWERED)


# On behalf of a child that does not run yet; a live reply handle is tried by the kernel's own proofs.
def test_subject_is_the_kernels_word():
    told = kernel.supervise(caps.SUPERVISE_PROMPT, contract.SUP_STATUS)
    about = _keeper(contract.OP_KEEPER_ABOUT, b"", contract.REPLY_KEEPER_ABOUT, caps.SUPERVISE_PROMPT)
    assert about[1] == told[5] and about[0] != 0xFFFF
    assert _keeper(contract.OP_KEEPER_ABOUT, b"", contract.REPLY_KEEPER_ABOUT)[:2] == (0xFFFF, 0)
    assert _raises(wire.Unreachable, _keeper, contract.OP_KEEPER_ABOUT, b"", "", caps.SUPERVISE_LEAVER)


# Told to whoever runs, and to whoever starts later.
def test_latch_closes_under_whoever_runs():
    assert kernel.bring_up() and _life()[1] == 1
    kernel.system(caps.SYSTEM, contract.SYSTEM_CLOSE_BRING_UP)
    assert not kernel.bring_up() and _life()[1] == 0
    kernel.supervise(caps.SUPERVISE_KEEPER, contract.SUP_RESTART)
    assert _life()[1] == 0
    assert kernel.wait(caps.NOTIFICATION, _soon())  # of its end: not for the next case


CASES = (
    test_kept_memory_outlives_a_restart,
    test_views_of_kept_memory_and_policy_behave,
    test_kept_memory_ends_where_the_row_says,
    test_policy_is_the_images,
    test_server_hears_once_that_it_is_idle,
    test_server_hears_of_malformed_messages_and_lost_answers,
    test_the_machine_tells_of_a_slot_what_is_in_it,
    test_capabilities_come_as_they_were_accepted,
    test_badge_of_others_is_refused,
    test_answer_that_was_put_off_reaches_who_still_waits,
    test_subject_is_the_kernels_word,
    test_latch_closes_under_whoever_runs,
)
