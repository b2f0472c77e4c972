# logd: keeps what services say about themselves and, apart from that, the audit trail (audit.py); answers bounded questions about
# both. Calls nobody, so that everybody may call it. Sender and time of a record are the kernel's word; a text is never printed.

import struct

import audit
import caps
import contract
import kernel
import server
from ring import Ring
from wire import Refuse

_PAGE_HEAD = struct.calcsize(contract.REPLY_LOGD_QUERY[:-1])  # before the records


# Behind the trail, if there is room: on the heap, every collection of garbage would look through all of it.
def _memory(size):
    start = contract.AUDIT_SLOTS * contract.AUDIT_RECORD_BYTES
    if start + size > caps.KEPT_BYTES:
        return bytearray(size)
    return kernel.kept(start + size, "B")[start:]


_ring = Ring(contract.LIMIT_LOG_RECORDS, contract.LIMIT_LOG_BYTES, _memory)


def on_append(level, text):
    if level > contract.LEVEL_ERROR or not len(text):
        raise Refuse(contract.STATUS_MALFORMED)
    if len(text) > contract.LIMIT_LOG_BYTES:
        raise Refuse(contract.STATUS_TOO_LARGE)
    seq = _ring.append(kernel.time(), kernel.sender(), kernel.kind(), level, text)
    return struct.pack(contract.REPLY_LOGD_APPEND, seq)


# One page of the records from `since` on that are at least of this level. Placed in the buffer, since a page is large.
def on_query(since, level):
    if level > contract.LEVEL_ERROR:
        raise Refuse(contract.STATUS_MALFORMED)
    seq = max(since, _ring.oldest())
    count = 0
    end = server.PAYLOAD + _PAGE_HEAD
    while seq < _ring.next and count < contract.LIMIT_LOG_PAGE:
        if _ring.level(seq) >= level:
            end += _ring.copy(seq, kernel.buffer, end)
            count += 1
        seq += 1
    struct.pack_into(contract.REPLY_LOGD_QUERY[:-1], kernel.buffer, server.PAYLOAD, count, min(seq, _ring.next))
    return end - server.PAYLOAD


def on_stats():
    return struct.pack(contract.REPLY_LOGD_STATS, _ring.next - 1, _ring.dropped())


HANDLERS = {
    contract.OP_LOGD_APPEND: (on_append, contract.REQUEST_LOGD_APPEND, contract.FACET_LOGD_APPEND),
    contract.OP_LOGD_QUERY: (on_query, contract.REQUEST_LOGD_QUERY, contract.FACET_LOGD_QUERY),
    contract.OP_LOGD_STATS: (on_stats, contract.REQUEST_LOGD_STATS, contract.FACET_LOGD_STATS),
}
HANDLERS.update(audit.HANDLERS)

server.serve(HANDLERS, contract.MARK_LOGD_READY)
