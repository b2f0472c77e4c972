# The peer's own calls: one for each time that the selftest tells it to. Used by main.py. Judges nothing and hides nothing.

import struct

import caps
import client
import contract
import frame
import kernel
import route
from wire import Refuse

# By PEER_ROUTE_*: the name that init knows the route by, or the handle; and how long an answer can take.
_ROUTES = (
    (caps.INIT, contract.EDGE_DEADLINE_INIT_ALL),
    (caps.LOGD_APPEND, contract.EDGE_DEADLINE_LOGD_ALL),
    (b"policyd", contract.EDGE_DEADLINE_POLICYD_ALL),
    (b"rngd", contract.EDGE_DEADLINE_RNGD_ALL),
    (b"keystored", contract.EDGE_DEADLINE_KEYSTORED_ALL),
    (b"logd:audit_own", contract.EDGE_DEADLINE_LOGD_ALL),
    (b"bundlemgrd", contract.EDGE_DEADLINE_BUNDLEMGRD_ALL),
    (b"execd", contract.EDGE_DEADLINE_EXECD_ALL),
)
_known = {}


# The handle of a route, asked for once.
def way(number):
    if number >= len(_ROUTES):
        raise Refuse(contract.STATUS_NOT_FOUND)
    name = _ROUTES[number][0]
    if isinstance(name, int):
        return name
    if number not in _known:
        _known[number] = route.get(name)
    return _known[number]


def on_ask(number, op, on_behalf, payload):
    if op >= contract.WIRE_REPLY_BIT:
        raise Refuse(contract.STATUS_MALFORMED)
    payload = bytes(payload)
    handle = way(number)
    until = client.deadline(_ROUTES[number][1])
    count = frame.call(handle, op, payload, until, kernel.handle() if on_behalf else 0)
    if count == frame.BAD_REPLY:
        raise Refuse(contract.STATUS_UNAVAILABLE)
    form = contract.REPLY_SELFTEST_PEER_ASK[:-1]
    if count < frame.BAD_REPLY:
        return struct.pack(form, frame.UNREACHABLE - count, contract.STATUS_UNAVAILABLE)
    if count < 0:
        return struct.pack(form, contract.E_OK, -count)
    start = contract.WIRE_REPLY_HEADER
    return struct.pack(form, contract.E_OK, contract.STATUS_OK) + bytes(kernel.buffer[start : start + count])
