# Asking another process: one request, one answer or one typed error, always by a deadline.
# Called by services, drivers' owners and the selftest. Never retries but for the one kernel status that says so.

import contract
import kernel
import wire

_nonce = 0


# The absolute deadline that lies so many ticks ahead.
def deadline(ticks):
    return kernel.time() + ticks


# The payload of the answer, as a view that holds until the next call or reply.
# Raises wire.Refuse (answered with a status), wire.Unreachable (not answered), wire.BadReply (answered with nonsense).
def call(handle, op, payload, until):
    count = len(payload)
    kernel.buffer[contract.WIRE_REQUEST_HEADER : contract.WIRE_REQUEST_HEADER + count] = payload
    nonce = _next_nonce()
    length = wire.write_request(op, nonce, count)
    return wire.read_reply(_transmit(handle, length, until), op, nonce)


# As call, with the answer's payload decoded by its form.
def ask(handle, op, payload, form, until):
    values = wire.unpack(form, call(handle, op, payload, until))
    if values is None:
        raise wire.BadReply()
    return values


# E_RESTARTED means that nothing was sent and is told once per capability and restart, so one repetition is right.
def _transmit(handle, length, until):
    try:
        return kernel.call(handle, length, until)
    except kernel.Error as error:
        if error.args[0] != contract.E_RESTARTED:
            raise wire.Unreachable(error.args[0])
    try:
        return kernel.call(handle, length, until)
    except kernel.Error as error:
        raise wire.Unreachable(error.args[0])


def _next_nonce():
    global _nonce
    _nonce = (_nonce + 1) & 0xFFFFFFFF
    return _nonce
