# Proof of phase policy about small values: kept for one who may, and out of reach of one who may not, whatever it asks for.

import client
import contract
import proxy
import ways
from proof import Decisions, check, status_of

_UNTIL = contract.EDGE_DEADLINE_KEYSTORED_ALL
_PUT, _GET, _DEL = contract.OP_KEYSTORED_PUT, contract.OP_KEYSTORED_GET, contract.OP_KEYSTORED_DEL
_KEY, _VALUE = b"colour", b"blue"
_LONGEST = b"k" * contract.LIMIT_KV_KEY_BYTES


def _put(key, value):
    return bytes((len(key),)) + key + value


def _status(op, payload):
    return status_of(ways.to(b"keystored"), op, payload, _UNTIL)


def _get(key):
    return bytes(client.call(ways.to(b"keystored"), _GET, key, client.deadline(_UNTIL)))


def prove_values():
    decisions = Decisions()
    check(_status(_GET, _KEY) == contract.STATUS_NOT_FOUND, "a value before one was put")
    for value in (b"red", _VALUE):
        check(_status(_PUT, _put(_KEY, value)) == contract.STATUS_OK and _get(_KEY) == value, "a value that was put")
    decisions.expect(5, 0)
    for op, payload in ((_GET, _KEY), (_PUT, _put(_KEY, b"green")), (_DEL, _KEY), (_GET, b""), (_GET, bytes(300))):
        proxy.check_denied(contract.PEER_ROUTE_KEYSTORED, op, payload, "the peer reached a value")
    decisions.expect(0, 5)
    check(_get(_KEY) == _VALUE, "the value after the peer's requests")
    _prove_sizes()
    check(_status(_DEL, _KEY) == contract.STATUS_OK, "a value that was deleted")
    for op in (_GET, _DEL):
        check(_status(op, _KEY) == contract.STATUS_NOT_FOUND, "a value after it was deleted")


def _prove_sizes():
    large = b"v" * contract.LIMIT_KV_VALUE_BYTES
    check(_status(_PUT, _put(_LONGEST, large)) == contract.STATUS_OK and _get(_LONGEST) == large, "the largest value")
    check(_status(_DEL, _LONGEST) == contract.STATUS_OK, "the largest value, deleted")
    check(_status(_PUT, _put(_KEY, large + b"v")) == contract.STATUS_TOO_LARGE, "a value too large")
    check(_status(_PUT, _put(_LONGEST + b"k", b"v")) == contract.STATUS_TOO_LARGE, "a key too long")
    check(_status(_PUT, b"") == contract.STATUS_MALFORMED, "no key at all")
    check(_status(_PUT, b"\x00v") == contract.STATUS_MALFORMED, "an empty key")
    check(_get(_KEY) == _VALUE, "the value after requests that were refused")
