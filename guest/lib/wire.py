# Frames of every message between processes, packed and read in place in the kernel's IPC buffer.
# Used by client.py and server.py only; services see decoded values. Never allocates a copy of a payload.

import struct

import contract
import kernel

_REQUEST = "<BBHI"  # version, op, bytes of payload, nonce
_REPLY = "<BBBBI"  # version, op | reply bit, status, 0, nonce
_forms = {}


# The answer is a status instead of a result: raised by handlers, and by calls that were answered so.
class Refuse(Exception):
    def __init__(self, status):
        super().__init__(status)
        self.status = status


# No answer at all: `kernel` says why (E_*). A server that meets this can't do better than UNAVAILABLE itself.
class Unreachable(Refuse):
    def __init__(self, kernel_status):
        super().__init__(contract.STATUS_UNAVAILABLE)
        self.kernel = kernel_status


# An answer that is none: wrong frame, another request's nonce, a payload that does not fit its form.
class BadReply(Refuse):
    def __init__(self):
        super().__init__(contract.STATUS_UNAVAILABLE)


# (format, bytes, whether more may follow) of a payload form of the contract.
def _parse(form):
    parsed = _forms.get(form)
    if parsed is None:
        fixed = form[:-1] if form.endswith("*") else form
        parsed = _forms[form] = (fixed, struct.calcsize(fixed) if fixed else 0, fixed != form)
    return parsed


# The values of a payload, the open end as a last view; None when the payload does not fit.
# A view shows the IPC buffer: it holds only until the next call or reply.
def unpack(form, payload):
    fixed, size, open_end = _parse(form)
    if len(payload) < size or (len(payload) > size and not open_end):
        return None
    values = struct.unpack_from(fixed, payload) if size else ()
    return values + (payload[size:],) if open_end else values


# Head a request whose payload is in place already; how long the message is.
def write_request(op, nonce, count):
    struct.pack_into(_REQUEST, kernel.buffer, 0, contract.WIRE_VERSION, op, count, nonce)
    return contract.WIRE_REQUEST_HEADER + count


# (op, nonce, payload) of the message in the buffer; the payload is None when it is not exactly one request. Even then the
# nonce is given as far as the message goes, so that the refusal bears it.
def read_request(length):
    if length < contract.WIRE_REQUEST_HEADER:
        return kernel.buffer[1] if length > 1 else 0, 0, None
    version, op, count, nonce = struct.unpack_from(_REQUEST, kernel.buffer)
    if version != contract.WIRE_VERSION or op & contract.WIRE_REPLY_BIT:
        return op, nonce, None
    if count != length - contract.WIRE_REQUEST_HEADER:
        return op, nonce, None
    return op, nonce, kernel.buffer[contract.WIRE_REQUEST_HEADER : length]


# Head a reply whose payload is in place already; how long the message is.
def write_reply(op, nonce, status, count):
    reply_op = op | contract.WIRE_REPLY_BIT
    struct.pack_into(_REPLY, kernel.buffer, 0, contract.WIRE_VERSION, reply_op, status, 0, nonce)
    return contract.WIRE_REPLY_HEADER + count


# The payload of the reply to (op, nonce); raises Refuse when it is a refusal, BadReply when it is no such reply.
def read_reply(length, op, nonce):
    if length < contract.WIRE_REPLY_HEADER or length > contract.IPC_DATA_BYTES:
        raise BadReply()
    version, reply_op, status, zero, echoed = struct.unpack_from(_REPLY, kernel.buffer)
    if version != contract.WIRE_VERSION or reply_op != op | contract.WIRE_REPLY_BIT or zero or echoed != nonce:
        raise BadReply()
    if status != contract.STATUS_OK:
        raise BadReply() if length > contract.WIRE_REPLY_HEADER else Refuse(status)
    return kernel.buffer[contract.WIRE_REPLY_HEADER : length]
