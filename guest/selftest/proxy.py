# The peer as somebody else to act: what it was answered, by kernel and server. Used by proofs, for what one with the same routes and
# none of the rights is told. Believes no answer: what was decided is counted by policyd and stands in the peer's own trail.

import struct

import client
import contract
import ways
from proof import check

_UNTIL = contract.EDGE_DEADLINE_SELFTEST_PEER_ALL


# (status, payload) of one request of the peer, for itself or on behalf of this process.
def call(route, op, payload=b"", behalf=0):
    request = struct.pack(contract.REQUEST_SELFTEST_PEER_ASK[:-1], route, op, behalf) + payload
    kernel_status, status, answer = _ask(contract.OP_SELFTEST_PEER_ASK, request, contract.REPLY_SELFTEST_PEER_ASK)
    check(kernel_status == contract.E_OK, "the peer was not answered kernel=%02x" % kernel_status)
    return status, bytes(answer)


def status_of(route, op, payload=b"", behalf=0):
    status, answer = call(route, op, payload, behalf)
    check(status == contract.STATUS_OK or not answer, "a refusal with a payload")
    return status


# Whether the peer is refused exactly so.
def check_denied(route, op, payload=b"", what="the peer was not denied", behalf=0):
    check(status_of(route, op, payload, behalf) == contract.STATUS_DENIED, what)


def _ask(op, request, form):
    return client.ask(ways.to(b"selftest-peer"), op, request, form, client.deadline(_UNTIL))
