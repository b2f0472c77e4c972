# Proofs of phase logd about the audit trail: each decision is there, once, with who it is about, who asked, what and why; nothing
# of it is missing, and nobody reads what is about others.

import struct

import contract
import decisions
import identity
import kernel
import keystore
import proxy
import trail
import ways
from decisions import NO_TARGET, SELFTEST, question
from keystore import SIGN, sign_request
from proof import check, decided, frame, raw, raw_status, status_of

_ALLOW, _DENY = contract.AUDIT_VERDICT_ALLOW, contract.AUDIT_VERDICT_DENY
_NOBODY = contract.AUDIT_NOBODY
_SIGN_REQUEST = sign_request(contract.PURPOSE_SELFTEST, b"on the record")
_POLICYD = contract.EDGE_DEADLINE_POLICYD_ALL


# The one record that doing this adds to a trail: a new one, made in between, by a CHECK.
def _record_of(read, act):
    first, before = trail.end(read), kernel.time()
    act()
    records = trail.since(read, first)
    check(len(records) == 1, "records of one decision")
    check(before <= records[0].time <= kernel.time(), "time of a record")
    check(records[0].op == contract.OP_POLICYD_CHECK, "operation in a record")
    return records[0]


# Ask policyd for itself with a nonce that is found again.
def _ask(action, target, nonce, status):
    message = frame(contract.OP_POLICYD_CHECK, question(action, target), nonce)
    answer = raw(ways.to(b"policyd"), message, _POLICYD)
    check(answer[2] == status, "status of a question")


def _peer_signs():
    proxy.check_denied(contract.PEER_ROUTE_KEYSTORED, SIGN, _SIGN_REQUEST, "a signature for the peer")


def _peer_draws():
    proxy.check_denied(contract.PEER_ROUTE_RNGD, contract.OP_RNGD_STATS, b"", "the peer got the counters")


def _signs():
    keystore.sign(_SIGN_REQUEST)


# Others come in between, so that no record of the same is there to be counted up.
def prove_deny():
    for act, via, action, target in (
        (_peer_draws, "rngd", contract.ACTION_RNG_ENTROPY, NO_TARGET),
        (_peer_signs, "keystored", contract.ACTION_CRYPTO_SIGN, SELFTEST),
        (_peer_draws, "rngd", contract.ACTION_RNG_ENTROPY, NO_TARGET),
    ):
        record = _record_of(trail.peers, act)
        trail.check_decision(record, _DENY, identity.index(via), action, target)
        check(record.rule == 0, "a denial for want of a rule")
    for action in (contract.ACTION_SYSTEM_SHUTDOWN, contract.ACTION_DEVICE_KEY_EXPORT):
        _prove_own_denial(action, 0xBEEF0000 + action)


def _prove_own_denial(action, nonce):
    record = _record_of(trail.own, lambda: _ask(action, NO_TARGET, nonce, contract.STATUS_DENIED))
    trail.check_decision(record, _DENY, _NOBODY, action, NO_TARGET)
    check(record.nonce == nonce, "nonce of a record")


# Whatever is the same again and next to it is counted in one record, with the nonce of the first.
def prove_allow():
    record = _record_of(trail.own, lambda: _ask(contract.ACTION_SYSTEM_STATS, NO_TARGET, 1, contract.STATUS_OK))
    trail.check_decision(record, _ALLOW, _NOBODY, contract.ACTION_SYSTEM_STATS, NO_TARGET)
    record = _record_of(trail.own, _signs)
    trail.check_decision(record, _ALLOW, identity.index("keystored"), contract.ACTION_CRYPTO_SIGN, SELFTEST)

    def thrice():
        for nonce in (0xCAFE0001, 0xCAFE0002, 0xCAFE0003):
            _ask(contract.ACTION_RUN_PHASE, NO_TARGET, nonce, contract.STATUS_OK)

    record = _record_of(trail.own, thrice)
    trail.check_decision(record, _ALLOW, _NOBODY, contract.ACTION_RUN_PHASE, NO_TARGET, 3)
    check(record.nonce == 0xCAFE0001, "nonce of the first of three")


# So many decisions as policyd counts stand in the two trails; what other processes were answered is none of them.
def prove_complete():
    own, peer = trail.end(trail.own), trail.end(trail.peers)
    _mixed(0)  # one new record in each class, which those below can be counted up in
    before, counted = decided(), _counted(own, peer)
    for turn in range(1, 4):
        _mixed(turn)
    raw_status(ways.to(b"policyd"), frame(contract.OP_POLICYD_ROUTE, bytes(33), 1), _POLICYD)
    check(decided()[0] - before[0] == 6 * 3 + 1, "decisions that policyd counts")
    check(_counted(own, peer) - counted == 6 * 3 + 1, "decisions in the trail")
    check(decided()[3] == before[3], "decisions that logd did not take")


def _mixed(turn):
    peer, op, may = contract.PEER_ROUTE_POLICYD, contract.OP_POLICYD_ROUTE, b"rngd" if turn else b"policyd"
    decisions.ask(op, may)
    decisions.ask(op, b"vault%d" % turn)
    proxy.status_of(peer, op, may)
    proxy.status_of(peer, op, b"vault")
    proxy.status_of(peer, op, may, 1)
    _peer_draws()


def _counted(own, peer):
    records = trail.since(trail.own, own) + trail.since(trail.peers, peer)
    check(all(record.kind == contract.AUDIT_KIND_DECISION for record in records), "kind of a record")
    return sum([record.count for record in records])


# All that can be read from the first record on is about whoever reads, and it is in order; there is no way to more of it.
def prove_own():
    for read in (trail.own, trail.peers):
        records = trail.since(read, 0)
        check(len(records) > 10, "a trail without records")
        check(all(records[at].seq < records[at + 1].seq for at in range(len(records) - 1)), "order of records")
    for name in (b"logd:audit_all", b"logd:head", b"logd:decision", b"logd:event"):
        found = proxy.status_of(contract.PEER_ROUTE_INIT, contract.OP_INIT_ROUTE_GET, name)
        check(found == contract.STATUS_DENIED, "a way to the trail of others")
    request = struct.pack(contract.REQUEST_LOGD_AUDIT_ALL, 0)
    until = contract.EDGE_DEADLINE_LOGD_ALL
    found = status_of(ways.to(b"logd:audit_own"), contract.OP_LOGD_AUDIT_ALL, request, until)
    check(found == contract.STATUS_DENIED, "the trail of others by the own facet")
