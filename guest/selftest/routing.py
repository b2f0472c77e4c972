# Proofs of phase routing: whoever may have a route is given exactly that, and whoever may not learns nothing, not even whether
# there is such a route. That no capability came with a refusal is the kernel's count, as init tells it.

import struct

import caps
import client
import contract
import frame
import kernel
import proxy
import route
import ways
from proof import check, check_alike, raw_status, status_of
from proof import frame as framed

_UNTIL = contract.EDGE_DEADLINE_INIT_ALL
_GET = contract.OP_INIT_ROUTE_GET
_SINCE = struct.pack(contract.REQUEST_LOGD_AUDIT_OWN, 0)
_CHECK = struct.pack("<H", contract.ACTION_RUN_PHASE) + b"-"
_LIST = bytes(4) + b"selftest.hello"

# Each route of the recipe: its facet, a request that this way alone has to open, and what it is answered where that is not OK.
_OWN = (
    (b"policyd", 0, contract.OP_POLICYD_CHECK, _CHECK),
    (b"policyd:stats", contract.FACET_POLICYD_STATS, contract.OP_POLICYD_STATS, b""),
    (b"rngd", 0, contract.OP_RNGD_STATS, b""),
    (b"keystored", 0, contract.OP_KEYSTORED_PUT, b"\x05route"),
    (b"logd:query", contract.FACET_LOGD_QUERY, contract.OP_LOGD_QUERY, struct.pack(contract.REQUEST_LOGD_QUERY, 0, 0)),
    (b"logd:stats", contract.FACET_LOGD_STATS, contract.OP_LOGD_STATS, b""),
    (b"logd:audit_own", contract.FACET_LOGD_AUDIT_OWN, contract.OP_LOGD_AUDIT_OWN, _SINCE),
    (b"selftest-peer", 0, contract.OP_SELFTEST_PEER_ASK, bytes((contract.PEER_ROUTE_INIT, 0x7E, 0))),
    (b"bundlemgrd", 0, contract.OP_BUNDLEMGRD_STAGE, b"\x01\0\0\0selftest.route"),
    (b"execd", 0, contract.OP_EXECD_LIST, _LIST, contract.STATUS_NOT_FOUND),  # no app runs yet
)

# Routes that there are and that policy denies this process, names that are none, and what only looks like one that it may have.
_DENIED = (
    b"vault",
    b"logd:decision",
    b"logd:audit_all",
    b"logd:head",
    b"logd:event",
    b"logd:audit",
    b"keystored:ready",
    b"nowhere",
    b"",
    b"*",
    b"rngd ",
    b"Rngd",
    b"rngd\0",
    b"rngd:",
    b"logd",
    b"\xff" * contract.POLICY_LIMIT_NAME_BYTES,
)
_OVERLONG = (b"n" * (contract.POLICY_LIMIT_NAME_BYTES + 1), b"rngd" + bytes(64), bytes(500))


# How many capabilities this process has.
def slots():
    request = struct.pack(contract.REQUEST_INIT_PS, caps.INDEX)
    return client.ask(caps.INIT, contract.OP_INIT_PS, request, contract.REPLY_INIT_PS, client.deadline(_UNTIL))[9]


# One capability with the right to call, badged for this process and the facet that was asked for; and the server takes it.
def prove_granted():
    for row in _OWN:
        name, facet, op, payload = row[:4]
        handle, wanted = ways.to(name), row[4] if len(row) > 4 else contract.STATUS_OK
        badge = facet << contract.BADGE_FACET_SHIFT | caps.INDEX
        check(kernel.info(handle) == (contract.OBJ_ENDPOINT, contract.RIGHT_CALL, badge), "what the route is")
        found = status_of(handle, op, payload, contract.EDGE_DEADLINE_KEYSTORED_ALL)
        check(found == wanted, "a granted route does not work")
    before = slots()
    handle = route.get(b"rngd")
    check(slots() == before + 1, "a route is one capability")
    kernel.drop(handle)
    check(slots() == before, "a capability that was dropped")


# Denied by the same bytes whatever the reason, and alike for the peer. No name is cut off or padded to one that is allowed.
def prove_refused():
    before = slots()
    check_alike(caps.INIT, _GET, _DENIED, contract.STATUS_DENIED, _UNTIL, 1)
    for name in _OVERLONG:
        found = raw_status(caps.INIT, framed(_GET, name, 9), _UNTIL, 1)
        check(found == (contract.STATUS_MALFORMED, 9), "status of an overlong name")
    for name in (b"logd:query", b"policyd:stats", b"selftest-peer", b"vault", b"nowhere"):
        proxy.check_denied(contract.PEER_ROUTE_INIT, _GET, name, "the peer was given a route")
    check(slots() == before, "a refusal brought a capability")


# What this process was refused, it can't get from one who has as much: a route can't be passed on in any way.
def prove_kept():
    before = slots()
    for number in range(contract.PEER_ROUTE_POLICYD, contract.PEER_ROUTE_EXECD + 1):
        for how in (contract.PASS_MINT, contract.PASS_GRANT, contract.PASS_MOVE):
            request = struct.pack(contract.REQUEST_SELFTEST_PEER_PASS_ON, number, how)
            check(_passed(request) == contract.E_BAD_RIGHT, "the peer could pass on a route")
    check(slots() == before, "a capability came from the peer")
    _prove_lent()
    check(slots() == before, "a capability that was lent and dropped")


def _passed(request):
    handle, op = ways.to(b"selftest-peer"), contract.OP_SELFTEST_PEER_PASS_ON
    message = framed(op, request, 1)
    kernel.buffer[: len(message)] = message
    until = client.deadline(contract.EDGE_DEADLINE_SELFTEST_PEER_ALL)
    check(kernel.call(handle, len(message), until, 0, 0, 1) == contract.WIRE_REPLY_HEADER + 2, "answer of the peer")
    return frame.unpack(contract.REPLY_SELFTEST_PEER_PASS_ON, 2)[0]


# The twin: what is the peer's own it can give, and that works, but only with the badge of whom it was given to.
def _prove_lent():
    other = 0 if caps.INDEX else 1
    for badge, status in ((caps.INDEX, contract.STATUS_NOT_FOUND), (other, contract.STATUS_DENIED)):
        handle = _lent(badge)
        request = struct.pack(contract.REQUEST_SELFTEST_PEER_TRY, 0)
        until = contract.EDGE_DEADLINE_SELFTEST_PEER_ALL
        check(status_of(handle, contract.OP_SELFTEST_PEER_TRY, request, until) == status, "a lent capability")
        kernel.drop(handle)


def _lent(badge):
    request = struct.pack(contract.REQUEST_SELFTEST_PEER_LEND, badge)
    until = client.deadline(contract.EDGE_DEADLINE_SELFTEST_PEER_ALL)
    count = frame.call(ways.to(b"selftest-peer"), contract.OP_SELFTEST_PEER_LEND, request, until, 0, 1)
    check(count == 0, "the peer lent nothing")
    return kernel.caps(0)


# A facet opens its own operations and no others; who has no facet reaches none of theirs.
def prove_badges():
    denied = contract.STATUS_DENIED
    until = contract.EDGE_DEADLINE_LOGD_ALL
    check(status_of(ways.to(b"policyd:stats"), contract.OP_POLICYD_CHECK, _CHECK, until) == denied, "CHECK by stats")
    check(status_of(ways.to(b"policyd"), contract.OP_POLICYD_STATS, b"", until) == denied, "STATS without its facet")
    for op, payload in (
        (contract.OP_LOGD_AUDIT_ALL, _SINCE),
        (contract.OP_LOGD_HEAD, b""),
        (contract.OP_LOGD_DECISION, bytes(contract.AUDIT_AT_PREVIOUS)),
        (contract.OP_LOGD_AUDIT, b"\x01\x01\x00"),
        (contract.OP_LOGD_EVENT, struct.pack(contract.REQUEST_LOGD_EVENT, contract.AUDIT_KIND_LATCH, 0, 0)),
        (contract.OP_LOGD_CLOSE, b""),
    ):
        check(status_of(ways.to(b"logd:audit_own"), op, payload, until) == denied, "an operation by audit_own")
        proxy.check_denied(contract.PEER_ROUTE_LOGD_AUDIT_OWN, op, payload, "an operation by the peer's audit_own")
    check(status_of(ways.to(b"logd:audit_own"), contract.OP_LOGD_AUDIT_OWN, _SINCE, until) == contract.STATUS_OK, "own")
