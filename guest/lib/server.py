# The one loop and the one dispatcher of every service. A service hands over a table {op: (handler, request form, facet)};
# a handler takes the decoded request and returns nothing, bytes, a count (payload already in place) or dma(...), or raises
# Refuse. Order of checks: frame, then facet, then everything else. Never lets one request end the service.

import caps
import contract
import kernel
import wire
from wire import Refuse

PAYLOAD = contract.WIRE_REPLY_HEADER  # where a handler that returns a count has put its payload in kernel.buffer
_INDEX_BITS = (1 << contract.BADGE_FACET_SHIFT) - 1


# Result of a handler: the kernel appends these bytes of the driver's DMA window to the reply and wipes them.
def dma(window, offset, count):
    return (window, offset, count)


# Serve for ever. `ready` is the line that READY prints (None: nobody asks this server); on_bits takes notifications.
def serve(handlers, ready=None, on_bits=None):
    table = dict(handlers)
    if ready is not None:
        table[contract.OP_ALL_READY] = (_Ready(ready).answer, contract.REQUEST_ALL_READY, contract.BADGE_FACET_READY)
    length = kernel.recv(caps.ENDPOINT)
    while True:
        if length >= 0:
            length = _answer(table, length)
            continue
        if on_bits is not None:
            on_bits(kernel.bits())
        length = kernel.recv(caps.ENDPOINT)


class _Ready:
    def __init__(self, line):
        self.line = line  # None once it was printed: READY is answered once per incarnation

    def answer(self):
        if self.line is None:
            raise Refuse(contract.STATUS_EXISTS)
        kernel.console(self.line)
        self.line = None


# Answer the request in the buffer, then receive the next message.
def _answer(table, length):
    reply = kernel.handle()
    op, nonce, payload = wire.read_request(length)
    status, count, window = _result(table, op, payload)
    size = wire.write_reply(op, nonce, status, count)
    try:
        if window is None:
            return kernel.reply_recv(reply, size, caps.ENDPOINT)
        return kernel.reply_recv(reply, size, caps.ENDPOINT, 0, 0, 0, 0, *window)
    except kernel.Error as error:
        if error.args[0] != contract.E_CALLER_GONE:
            _refuse_unsent(reply, op, nonce)
    return kernel.recv(caps.ENDPOINT)


# What the kernel would not send (a window that is no longer ours, say) still gets an answer.
def _refuse_unsent(reply, op, nonce):
    try:
        kernel.reply(reply, wire.write_reply(op, nonce, contract.STATUS_UNAVAILABLE, 0))
    except kernel.Error:
        pass  # the caller is gone: nobody is left to be told


# (status, bytes of payload in place, DMA window to append or None) for one request.
def _result(table, op, payload):
    try:
        result = _dispatch(table, op, payload)
        if result is None:
            return contract.STATUS_OK, 0, None
        if isinstance(result, int):
            return contract.STATUS_OK, result, None
        if isinstance(result, tuple):
            return contract.STATUS_OK, 0, result
        kernel.buffer[PAYLOAD : PAYLOAD + len(result)] = result
        return contract.STATUS_OK, len(result), None
    except Refuse as refusal:
        return refusal.status, 0, None
    # A bug of ours must not become the caller's way to stop the service.
    except Exception as fault:  # noqa: BLE001
        kernel.console("%s%02x %s" % (contract.LINE_HANDLER_FAULT, op, type(fault).__name__))
        return contract.STATUS_UNAVAILABLE, 0, None


# The one order of checks. The badge was given to one process for one facet; in other hands it is worth nothing.
def _dispatch(table, op, payload):
    row = table.get(op, _UNKNOWN)
    values = None if payload is None else wire.unpack(row[1], payload)
    if values is None:
        raise Refuse(contract.STATUS_MALFORMED)
    badge = kernel.badge()
    if badge >> contract.BADGE_FACET_SHIFT != row[2] or badge & _INDEX_BITS != kernel.sender():
        raise Refuse(contract.STATUS_DENIED)
    return row[0](*values)


def _on_unknown(_payload):
    raise Refuse(contract.STATUS_UNSUPPORTED)


_UNKNOWN = (_on_unknown, "*", contract.BADGE_FACET_ANY)
