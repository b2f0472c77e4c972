# The one loop and the one dispatcher of every service. A service hands over a table {op: (handler, request form, facet)};
# a handler takes the decoded request and returns nothing, bytes, a count (payload already in place), dma(...), grant(...) or later.LATER,
# or raises Refuse. Order of checks: frame, then facet, then everything else. Never lets one request end the service.

import gc

import caps
import contract
import frame
import kernel
from wire import Refuse

PAYLOAD = contract.WIRE_REPLY_HEADER  # where a handler that returns a count has put its payload in kernel.buffer


# Result of a handler: the kernel appends these bytes of the driver's DMA window to the reply and wipes them.
def dma(window, offset, count):
    return (contract.STATUS_OK, 0, window, offset, count)


# Result of a handler: so many capabilities that it has prepared with kernel.grant go to the caller, and no payload.
def grant(count):
    return (contract.STATUS_OK, 0, 0, 0, 0, count)


# Result of a handler: as raising Refuse, for those that refuse so often that an exception costs too much.
def refusal(status):
    return (status, 0)


# Serve for ever. `ready` is the line that READY prints (None: nobody asks this server); on_bits takes notifications. on_idle is
# called once when nothing has come for a while; garbage is collected then too, where nobody waits for it. A message that is no
# frame, or whose payload does not fit, is refused in any case, after on_malformed, which may ask who sent it; on_gone hears that
# the last answer reached nobody. Without these two frame.next and frame.answer pass over both.
def serve(handlers, ready=None, on_bits=None, on_idle=None, on_malformed=None, on_gone=None):
    table = dict(handlers)
    if ready is not None:
        table[contract.OP_ALL_READY] = (_Ready(ready).answer, contract.REQUEST_ALL_READY, contract.BADGE_FACET_READY)
    table[_MALFORMED] = on_malformed
    if on_malformed is not None:
        frame.keep_malformed()
    if on_gone is not None:
        frame.keep_gone()
    frame.idle_after(contract.LIMIT_IDLE_TICKS)
    op = frame.next(caps.ENDPOINT)
    while True:
        if op >= 0:
            op = frame.answer(caps.ENDPOINT, *_result(table, op))
        elif op == frame.MALFORMED:
            _tell(on_malformed)
            op = frame.answer(caps.ENDPOINT, contract.STATUS_MALFORMED, 0)
        else:
            if op == frame.IDLE:
                if on_idle is not None:
                    on_idle()
                gc.collect()
            elif op == frame.GONE:
                _tell(on_gone)
            elif on_bits is not None:
                on_bits(kernel.bits())
            op = frame.next(caps.ENDPOINT)


# What any caller can make happen must not end the service, as in _result.
def _tell(hook):
    try:
        hook()
    except Exception as fault:  # noqa: BLE001
        _report(frame.op(), fault)


class _Ready:
    def __init__(self, line):
        self.line = line  # None once it was printed: READY is answered once per incarnation

    def answer(self):
        if self.line is None:
            raise Refuse(contract.STATUS_EXISTS)
        kernel.console(self.line)
        self.line = None


# (status, bytes of payload in place, and perhaps what follows of the DMA window) for one request. The one order of checks, the
# frame being whole: payload, facet, then the handler's own.
def _result(table, op):
    try:
        handler, form, facet = table.get(op, _UNKNOWN)
        values = frame.unpack(form)
        if values is None:
            return _misfit(table[_MALFORMED])
        if frame.facet() != facet:
            return _DENIED
        result = handler(*values)
        if result is None:
            return _EMPTY
        return result if isinstance(result, tuple) else _placed(result)
    except Refuse as refused:
        return refused.status, 0
    # A bug of ours must not become the caller's way to stop the service.
    except Exception as fault:  # noqa: BLE001
        _report(op, fault)
        return contract.STATUS_UNAVAILABLE, 0


def _placed(result):
    if isinstance(result, int):
        return contract.STATUS_OK, result
    count = len(result)
    kernel.buffer[PAYLOAD : PAYLOAD + count] = result
    return contract.STATUS_OK, count


def _misfit(on_malformed):
    if on_malformed is not None:
        _tell(on_malformed)
    return contract.STATUS_MALFORMED, 0


def _report(op, fault):
    kernel.console("%s%02x %s" % (contract.LINE_HANDLER_FAULT, op, type(fault).__name__))


def _on_unknown(_payload):
    raise Refuse(contract.STATUS_UNSUPPORTED)


_MALFORMED = -1  # where the table of handlers has on_malformed; no operation has this number
_EMPTY = (contract.STATUS_OK, 0)
_DENIED = refusal(contract.STATUS_DENIED)
_UNKNOWN = (_on_unknown, "*", contract.BADGE_FACET_ANY)
