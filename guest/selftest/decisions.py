# Proofs of phase policy about policyd itself: it decides about whoever the kernel says asks, counts and records each decision,
# and says no by the same bytes whatever the reason.

import struct

import caps
import client
import contract
import identity
import kernel
import proxy
import trail
import ways
from proof import Decisions, check, check_alike, frame, raw_status, status_of

_UNTIL = contract.EDGE_DEADLINE_POLICYD_ALL
_OK, _DENIED, _MALFORMED = contract.STATUS_OK, contract.STATUS_DENIED, contract.STATUS_MALFORMED
_CHECK, _ROUTE, _EXEC = contract.OP_POLICYD_CHECK, contract.OP_POLICYD_ROUTE, contract.OP_POLICYD_EXEC
NAME = b"n" * contract.POLICY_LIMIT_NAME_BYTES  # as long as one may be
NO_TARGET = contract.POLICY_NO_TARGET.encode()
SELFTEST = contract.PURPOSE_NAME_SELFTEST.encode()
ATTEST = contract.PURPOSE_NAME_ATTEST.encode()

_MAY = (
    (contract.ACTION_RUN_PHASE, NO_TARGET),
    (contract.ACTION_SYSTEM_STATS, NO_TARGET),
    (contract.ACTION_CRYPTO_SIGN, SELFTEST),
    (contract.ACTION_ROUTE, b"rngd"),
)
# Another target, no rule, what can't be allowed at all, an action that is none.
_MAY_NOT = (
    (contract.ACTION_CRYPTO_SIGN, ATTEST),
    (contract.ACTION_CRYPTO_SIGN, b"selftest2"),
    (contract.ACTION_ROUTE, b"vault"),
    (contract.ACTION_SYSTEM_SHUTDOWN, NO_TARGET),
    (contract.ACTION_DEVICE_KEY_EXPORT, NO_TARGET),
    (0, NO_TARGET),
    (contract.ACTION_BUNDLE_OPEN + 1, NO_TARGET),
    (64, NO_TARGET),
    (0xFFFF, NO_TARGET),
)


def question(action, target):
    return struct.pack("<H", action) + target


def ask(op, payload):
    return status_of(ways.to(b"policyd"), op, payload, _UNTIL)


# About oneself: the selftest may what the peer may not.
def prove_check():
    decisions = Decisions()
    for action, target in _MAY:
        check(ask(_CHECK, question(action, target)) == _OK, "what the selftest may was denied")
    decisions.expect(len(_MAY), 0)
    check_alike(ways.to(b"policyd"), _CHECK, [question(*one) for one in _MAY_NOT], _DENIED, _UNTIL)
    check_alike(ways.to(b"policyd"), _ROUTE, (b"vault", b"nowhere", b""), _DENIED, _UNTIL)
    check_alike(ways.to(b"policyd"), _EXEC, (b"nowhere", b""), _DENIED, _UNTIL)
    decisions.expect(0, len(_MAY_NOT) + 1 + 4 + 3)
    for action, target in _MAY[:3]:
        proxy.check_denied(contract.PEER_ROUTE_POLICYD, _CHECK, question(action, target), "what the peer may not")
    found = proxy.status_of(contract.PEER_ROUTE_POLICYD, _CHECK, question(*_MAY[3]))
    check(found == _OK, "what the peer may was denied")
    decisions.expect(1, 3)


# A name of the longest length is looked up; one byte more is no question, and neither is half of one. Each is on record.
def prove_oversized():
    decisions = Decisions()
    first = trail.end(trail.own)
    for op, head in ((_CHECK, struct.pack("<H", contract.ACTION_ROUTE)), (_ROUTE, b""), (_EXEC, b"")):
        check(ask(op, head + NAME) == _DENIED, "name of the longest length")
        for more in (b"n", bytes(31), bytes(400)):
            nonce = 0xA0B0C0D0
            message = frame(op, head + NAME + more, nonce)
            check(raw_status(ways.to(b"policyd"), message, _UNTIL) == (_MALFORMED, nonce), "an oversized query")
    for payload in (b"", b"\x01"):
        check(ask(_CHECK, payload) == _MALFORMED, "half a question")
    for message in (b"", b"\x01", frame(_CHECK, b"", 7)[:-1], frame(_CHECK, question(*_MAY[0]), 7, count=2)):
        check(raw_status(ways.to(b"policyd"), message, _UNTIL)[0] == _MALFORMED, "what is no frame")
    check(ask(_CHECK, question(*_MAY[0])) == _OK, "a question after malformed ones")
    decisions.expect(1, 3 + 9 + 2 + 4)
    found = [record for record in trail.since(trail.own, first) if record.verdict == contract.AUDIT_VERDICT_MALFORMED]
    check(sum([record.count for record in found]) == 15, "records of what was malformed")
    check(found[0].op == _CHECK and found[0].nonce == 0xA0B0C0D0, "record of an oversized query")
    check(not any(record.action or record.target for record in found), "a malformed question in the trail")


# Names and ids in a payload are nobody's: the question stays the peer's, and the trail says so.
def prove_forged():
    own, peer = trail.end(trail.own), trail.end(trail.peers)
    decisions = Decisions()
    ident = struct.pack("<Q", identity.service_id(identity.OWN))
    for target in (b"selftest-client", ident, ident + b"selftest-client", NO_TARGET):
        payload = question(contract.ACTION_SYSTEM_STATS, target)
        proxy.check_denied(contract.PEER_ROUTE_POLICYD, _CHECK, payload, "a forged question")
    for op, payload in (
        (contract.OP_KEYSTORED_SIGN, struct.pack("<H", contract.PURPOSE_SELFTEST) + ident),
        (contract.OP_KEYSTORED_GET, b"selftest-client"),
        (contract.OP_KEYSTORED_GET, ident),
        (contract.OP_KEYSTORED_PURGE, ident + bytes(8)),
    ):
        proxy.check_denied(contract.PEER_ROUTE_KEYSTORED, op, payload, "a forged request")
    decisions.expect(0, 8)
    records = trail.since(trail.peers, peer)
    check(sum([record.count for record in records]) == 8, "records of forged questions")
    check(not trail.since(trail.own, own), "a forged question in the trail of another")
    check(ask(_CHECK, question(contract.ACTION_SYSTEM_STATS, NO_TARGET)) == _OK, "the twin of the forged question")


# Whoever is called can ask on behalf of its caller, but is answered only where a delegate row says so: init has one, the peer none.
def prove_delegation():
    decisions = Decisions()
    first = trail.end(trail.own)
    for op, payload in ((_ROUTE, b"rngd"), (_CHECK, question(contract.ACTION_RUN_PHASE, NO_TARGET))):
        check(ask(op, payload) == _OK, "a question about oneself")
        behalf = proxy.status_of(contract.PEER_ROUTE_POLICYD, op, payload, 1)
        check(behalf == _DENIED, "the peer was answered about another")
    check(proxy.status_of(contract.PEER_ROUTE_POLICYD, _ROUTE, b"rngd") == _OK, "a question of the peer about itself")
    decisions.expect(3, 2)
    _process_status(identity.PEER)
    records = trail.since(trail.own, first)
    check(len(records) == 5, "records of five questions")
    allow, deny = contract.AUDIT_VERDICT_ALLOW, contract.AUDIT_VERDICT_DENY
    for place, action, target in ((0, contract.ACTION_ROUTE, b"rngd"), (2, contract.ACTION_RUN_PHASE, NO_TARGET)):
        trail.check_decision(records[place], allow, contract.AUDIT_NOBODY, action, target)
        trail.check_decision(records[place + 1], deny, identity.PEER, action, target)
        same = records[place].rule == records[place + 1].rule and records[place].reason != records[place + 1].reason
        check(same, "why the peer was not answered")
    trail.check_decision(records[4], allow, identity.index("init"), contract.ACTION_SYSTEM_STATS, NO_TARGET)


def _process_status(place):
    request = struct.pack(contract.REQUEST_INIT_PS, place)
    until = client.deadline(contract.EDGE_DEADLINE_INIT_ALL)
    return client.ask(caps.INIT, contract.OP_INIT_PS, request, contract.REPLY_INIT_PS, until)


# What init does for one only: phases, the state of processes, the end of the run. The last is nobody's here.
def prove_init():
    decisions = Decisions()
    phase = struct.pack(contract.REQUEST_INIT_PHASE_DONE, contract.PHASE_POLICY)
    there, none = (struct.pack(contract.REQUEST_INIT_PS, place) for place in (identity.PEER, 255))
    for op, payload in (
        (contract.OP_INIT_PHASE_DONE, phase),
        (contract.OP_INIT_PS, there),
        (contract.OP_INIT_PS, none),
        (contract.OP_INIT_CAPS, bytes((identity.PEER, 0))),
        (contract.OP_INIT_TOP, b"\0"),
        (contract.OP_INIT_SHUTDOWN, b""),
        (contract.OP_INIT_REBOOT, b""),
    ):
        proxy.check_denied(contract.PEER_ROUTE_INIT, op, payload, "init did it for the peer")
    decisions.expect(0, 7)
    until = contract.EDGE_DEADLINE_INIT_ALL
    for op in (contract.OP_INIT_SHUTDOWN, contract.OP_INIT_REBOOT):
        check(status_of(caps.INIT, op, b"", until) == _DENIED, "the end of the system")
    later = struct.pack(contract.REQUEST_INIT_PHASE_DONE, contract.PHASE_END)
    found = status_of(caps.INIT, contract.OP_INIT_PHASE_DONE, later, until)
    check(found not in (_OK, _DENIED, _MALFORMED), "a phase that is not open")
    check(_process_status(identity.PEER)[5] == identity.service_id(identity.PEER), "state of the peer")
    check(status_of(caps.INIT, contract.OP_INIT_PS, none, until) == contract.STATUS_NOT_FOUND, "a process that is none")
    decisions.expect(3, 2)
    _prove_figures()
    decisions.expect(2, 0)


# Pages of init's figures tell of oneself what one knows oneself.
def _prove_figures():
    count, following, rows = _figures(contract.OP_INIT_TOP, bytes((caps.INDEX,)), contract.REPLY_INIT_TOP)
    row = struct.unpack_from(contract.RECORD_TOP, rows)
    check(row[0] == caps.INDEX and row[6] == identity.service_id(identity.OWN), "whose figures come first")
    check((row[1], row[2]) == (contract.STATE_CALLING, kernel.incarnation()) and row[4] > 0, "own figures")
    check(len(rows) == count * struct.calcsize(contract.RECORD_TOP) and following == contract.INIT_END, "the last page")
    slot = caps.INIT - contract.HANDLE_BOOT
    rows = _figures(contract.OP_INIT_CAPS, bytes((caps.INDEX, slot)), contract.REPLY_INIT_CAPS)[2]
    place, kind, rights, _, badge = struct.unpack_from(contract.RECORD_CAP, rows)
    check((place, kind, rights, badge) == (slot,) + kernel.info(caps.INIT), "an own capability")


def _figures(op, payload, form):
    return client.ask(caps.INIT, op, payload, form, client.deadline(contract.EDGE_DEADLINE_INIT_ALL))
