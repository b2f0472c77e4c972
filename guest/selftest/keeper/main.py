# A server for process runtime to try: what outlives a restart, the policy, what frame and server do besides plain requests. Each
# operation does one thing and tells what it saw; runtime judges.

import struct

import caps
import contract
import crypto
import frame
import kernel
import later
import micropython
import server
from wire import Refuse

_AREAS = {contract.AREA_KEPT: kernel.kept, contract.AREA_POLICY: kernel.policy}
_words = kernel.kept(caps.KEPT_BYTES, "Q")


class Seen:
    number = idle = malformed = gone = op = nonce = 0


def on_life():
    open_ = kernel.bring_up()
    return struct.pack(contract.REPLY_KEEPER_LIFE, kernel.incarnation(), open_, _words[0], Seen.number)


def on_put(number):
    _words[0] = number
    _words[len(_words) - 1] = number
    Seen.number = number


def _raises(kind, function, *arguments):
    try:
        function(*arguments)
    except kind:
        return True
    return False


def _store(view):
    view[0] = 1


# One memory, seen in four sizes; numbers below 2**62 need no heap, and what may not be written is not.
def on_views():
    single, half, word = (kernel.kept(caps.KEPT_BYTES, code) for code in "BHI")
    _words[1] = 0x1122_3344_5566_7788
    assert (word[2], word[3]) == (0x5566_7788, 0x1122_3344)
    assert half[4] == 0x7788 and bytes(single[8:10]) == b"\x88\x77"
    half[5], word[3] = 0xAABB, 0xCCDD_EEFF
    assert _words[1] == 0xCCDD_EEFF_AABB_7788
    _words[1] = 2**64 - 1
    assert bytes(single[8:16]) == b"\xff" * 8
    micropython.heap_lock()
    _words[1] = _words[0] + 1
    _words[1] = _words[1] + 1
    micropython.heap_unlock()
    assert _words[1] == _words[0] + 2
    limits = (
        (kernel.kept, contract.VA_POLICY - contract.VA_KEPT),
        (kernel.policy, contract.VA_REGION - contract.VA_POLICY),
    )
    for make, limit in limits:
        assert len(make(limit, "Q")) == limit // 8
        assert _raises(ValueError, make, limit + 8, "Q")
        assert _raises(ValueError, make, 12, "Q")
        assert _raises(OverflowError, make, -8, "Q")
        for code in ("", "b", "L", "O", "QQ"):
            assert _raises(ValueError, make, 8, code)
    for code in "BHIQ":
        assert _raises(TypeError, _store, kernel.policy(8, code))


# Past what the process's row says: the fault of whoever reaches there.
def on_reach(area, place):
    return bytes((_AREAS[area](place + 1, "B")[place],))


def on_policy():
    return crypto.sha256(kernel.policy(caps.POLICY_BYTES, "B"))


def on_idle_after(ticks):
    frame.idle_after(ticks)


def on_idle():
    Seen.idle += 1


def on_malformed():
    Seen.malformed += 1
    Seen.op, Seen.nonce = frame.op(), frame.nonce()


def on_gone():
    Seen.gone += 1
    Seen.op, Seen.nonce = frame.op(), frame.nonce()


def on_told():
    form = contract.REPLY_KEEPER_TOLD
    return struct.pack(form, Seen.idle, Seen.malformed, Seen.gone, Seen.op, Seen.nonce)


# A wait ends with the deadline of the call that is being served.
def on_stay():
    try:
        kernel.wait(caps.NOTIFICATION, kernel.time() + contract.EDGE_DEADLINE_KEEPER_ALL)
    except kernel.Error:
        pass


def on_give(status, count, holder):
    for index in range(count):
        kernel.grant(index, caps.ENDPOINT, contract.RIGHT_CALL, holder)
    given = server.grant(count)
    return (status,) + given[1:]


def on_about():
    return struct.pack(contract.REPLY_KEEPER_ABOUT, kernel.subject() & 0xFFFF, kernel.subject_id(), kernel.badge())


_parked = {}


def on_park(words):
    _parked[bytes(words)] = later.keep()
    return later.LATER


# Another caller's answer, while this one is served.
def on_release(words):
    words = bytes(words)
    if words not in _parked:
        raise Refuse(contract.STATUS_NOT_FOUND)
    kernel.buffer[server.PAYLOAD : server.PAYLOAD + len(words)] = words
    delivered = later.answer(_parked[words], contract.STATUS_OK, len(words))
    return struct.pack(contract.REPLY_KEEPER_RELEASE, delivered)


HANDLERS = {
    contract.OP_KEEPER_LIFE: (on_life, contract.REQUEST_KEEPER_LIFE, contract.BADGE_FACET_ANY),
    contract.OP_KEEPER_PUT: (on_put, contract.REQUEST_KEEPER_PUT, contract.BADGE_FACET_ANY),
    contract.OP_KEEPER_VIEWS: (on_views, contract.REQUEST_KEEPER_VIEWS, contract.BADGE_FACET_ANY),
    contract.OP_KEEPER_REACH: (on_reach, contract.REQUEST_KEEPER_REACH, contract.BADGE_FACET_ANY),
    contract.OP_KEEPER_POLICY: (on_policy, contract.REQUEST_KEEPER_POLICY, contract.BADGE_FACET_ANY),
    contract.OP_KEEPER_IDLE: (on_idle_after, contract.REQUEST_KEEPER_IDLE, contract.BADGE_FACET_ANY),
    contract.OP_KEEPER_TOLD: (on_told, contract.REQUEST_KEEPER_TOLD, contract.BADGE_FACET_ANY),
    contract.OP_KEEPER_STAY: (on_stay, contract.REQUEST_KEEPER_STAY, contract.BADGE_FACET_ANY),
    contract.OP_KEEPER_GIVE: (on_give, contract.REQUEST_KEEPER_GIVE, contract.BADGE_FACET_ANY),
    contract.OP_KEEPER_ABOUT: (on_about, contract.REQUEST_KEEPER_ABOUT, contract.BADGE_FACET_ANY),
    contract.OP_KEEPER_PARK: (on_park, contract.REQUEST_KEEPER_PARK, contract.BADGE_FACET_ANY),
    contract.OP_KEEPER_RELEASE: (on_release, contract.REQUEST_KEEPER_RELEASE, contract.BADGE_FACET_ANY),
}

server.serve(HANDLERS, on_idle=on_idle, on_malformed=on_malformed, on_gone=on_gone)
