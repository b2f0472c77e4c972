# Proofs of phase logd: what one appends can be read back under the name that the kernel gave, and a facet of the log
# opens nothing but itself.

import struct

import caps
import client
import contract
import kernel
import ways
from proof import check, status_of

_UNTIL = contract.EDGE_DEADLINE_LOGD_ALL
_TEXT = b"selftest was here"
_HEAD = struct.calcsize(contract.RECORD_LOG)


def _append():
    payload = bytes((contract.LEVEL_WARNING,)) + _TEXT
    until = client.deadline(_UNTIL)
    return client.ask(caps.LOGD_APPEND, contract.OP_LOGD_APPEND, payload, contract.REPLY_LOGD_APPEND, until)[0]


def _query(since):
    payload = struct.pack(contract.REQUEST_LOGD_QUERY, since, contract.LEVEL_WARNING)
    until = client.deadline(_UNTIL)
    return client.ask(ways.to(b"logd:query"), contract.OP_LOGD_QUERY, payload, contract.REPLY_LOGD_QUERY, until)


def _stats():
    until = client.deadline(_UNTIL)
    return client.ask(ways.to(b"logd:stats"), contract.OP_LOGD_STATS, b"", contract.REPLY_LOGD_STATS, until)


# Sender and time of the record are the kernel's: no request could have named them.
def prove_own_record():
    appended = _stats()[0]
    before = kernel.time()
    seq = _append()
    check(seq == appended + 1 and _stats()[0] == seq, "count of records")
    count, following, records = _query(seq)
    check(count == 1 and following == seq + 1, "records from the own one on")
    found, ticks, sender, kind, level, size = struct.unpack_from(contract.RECORD_LOG, records)
    check(found == seq and before <= ticks <= kernel.time(), "number and time of the record")
    check(sender == caps.INDEX, "sender of the record")
    check(kind == contract.KIND_SERVICE and level == contract.LEVEL_WARNING, "kind and level of the record")
    check(bytes(records[_HEAD : _HEAD + size]) == _TEXT and len(records) == _HEAD + size, "text of the record")
    check(_query(following)[0] == 0, "a record that nobody wrote")


# The same request through the facet that allows it is the twin.
def prove_facets():
    query = struct.pack(contract.REQUEST_LOGD_QUERY, 0, contract.LEVEL_DEBUG)
    append = bytes((contract.LEVEL_DEBUG,)) + _TEXT
    denied = contract.STATUS_DENIED
    check(status_of(caps.LOGD_APPEND, contract.OP_LOGD_QUERY, query, _UNTIL) == denied, "query by append")
    check(status_of(caps.LOGD_APPEND, contract.OP_LOGD_STATS, b"", _UNTIL) == denied, "stats by append")
    check(status_of(ways.to(b"logd:stats"), contract.OP_LOGD_QUERY, query, _UNTIL) == denied, "query by stats")
    check(status_of(ways.to(b"logd:query"), contract.OP_LOGD_APPEND, append, _UNTIL) == denied, "append by query")
    check(
        status_of(ways.to(b"logd:query"), contract.OP_LOGD_QUERY, query, _UNTIL) == contract.STATUS_OK, "query by query"
    )
    check(
        status_of(caps.LOGD_APPEND, contract.OP_LOGD_APPEND, append, _UNTIL) == contract.STATUS_OK, "append by append"
    )
