# Asking another process: one request, one answer or one typed error, always by a deadline.
# Called by services, drivers' owners and the selftest. Never retries but for the one kernel status that says so.

import contract
import frame
import kernel
import wire


# The absolute deadline that lies so many ticks ahead.
def deadline(ticks):
    return kernel.time() + ticks


# The payload of the answer, as a view that holds until the next call or reply.
# `behalf`: handle of the request that is being served (kernel.handle()), for whose caller this is asked; 0: for oneself.
# Raises wire.Refuse (answered with a status), wire.Unreachable (not answered), wire.BadReply (answered with nonsense).
def call(handle, op, payload, until, behalf=0):
    count = frame.call(handle, op, payload, until, behalf)
    if count < 0:
        raise wire.failure(count)
    return kernel.buffer[contract.WIRE_REPLY_HEADER : contract.WIRE_REPLY_HEADER + count]


# As call, with the answer's payload decoded by its form.
def ask(handle, op, payload, form, until, behalf=0):
    count = frame.call(handle, op, payload, until, behalf)
    if count < 0:
        raise wire.failure(count)
    values = frame.unpack(form, count)
    if values is None:
        raise wire.BadReply()
    return values
