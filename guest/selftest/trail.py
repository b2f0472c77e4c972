# Reading the audit trail: what logd has about this process, and about the peer, which hands its own over. Used by proofs.
# Refuses a page with anything about somebody else, whatever else is looked for in it.

import struct

import client
import contract
import identity
import proxy
import ways
from proof import check

_FIELDS = "<BBBBHHQQQQHHIIIQ"  # from [audit_at] kind to last; the target's name follows
_PAGE = contract.REPLY_LOGD_AUDIT_OWN[:-1]
_PAGE_HEAD = struct.calcsize(_PAGE)
_BEYOND = 1 << 48


class Record:
    def __init__(self, data):
        (
            self.kind,
            self.verdict,
            self.op,
            self.reason,
            self.action,
            self.rule,
            self.seq,
            self.time,
            self.subject,
            self.via,
            self.subject_index,
            self.via_index,
            self.nonce,
            self.count,
            self.dropped,
            self.last,
        ) = struct.unpack_from(_FIELDS, data)
        name = bytes(data[contract.AUDIT_AT_TARGET : contract.AUDIT_AT_PREVIOUS])
        self.target = name[: name.find(b"\0")] if b"\0" in name else name


def own(since):
    request = struct.pack(contract.REQUEST_LOGD_AUDIT_OWN, since)
    until = client.deadline(contract.EDGE_DEADLINE_LOGD_ALL)
    return bytes(client.call(ways.to(b"logd:audit_own"), contract.OP_LOGD_AUDIT_OWN, request, until))


def peers(since):
    request = struct.pack(contract.REQUEST_LOGD_AUDIT_OWN, since)
    status, page = proxy.call(contract.PEER_ROUTE_LOGD_AUDIT_OWN, contract.OP_LOGD_AUDIT_OWN, request)
    check(status == contract.STATUS_OK, "the peer can't read its own trail")
    return page


# Number that the next record will have at least.
def end(read):
    return _page(read, _BEYOND)[1]


# All records from that number on, in their order.
def since(read, first):
    found = []
    while True:
        count, following, page = _page(read, first)
        for number in range(count):
            at = _PAGE_HEAD + number * contract.AUDIT_RECORD_BYTES
            found.append(_record(read, page[at : at + contract.AUDIT_RECORD_BYTES], first))
        if following == first or not count:
            return found
        first = following


def _page(read, first):
    page = read(first)
    count, following = struct.unpack_from(_PAGE, page)
    check(len(page) == _PAGE_HEAD + count * contract.AUDIT_RECORD_BYTES, "length of a page of records")
    return count, following, page


def _record(read, data, first):
    record = Record(data)
    about = identity.OWN if read is own else identity.PEER
    known = record.subject_index == about and record.subject == identity.service_id(about)
    check(known, "a record about somebody else")
    check(record.seq >= first, "number of a record")
    return record


# Whether it is the record of one decision, asked by `via` (a dense index, AUDIT_NOBODY: by the subject itself), and of no other.
def check_decision(record, verdict, via, action, target, count=1):
    check(record.kind == contract.AUDIT_KIND_DECISION and record.verdict == verdict, "verdict of a record")
    check(record.via_index == via, "asker of a record")
    check(record.via == (0 if via == contract.AUDIT_NOBODY else identity.service_id(via)), "asker's id in a record")
    check(record.action == action and record.target == target, "action and target of a record")
    check((record.rule > 0) or verdict != contract.AUDIT_VERDICT_ALLOW, "an allow without a rule")
    check(record.count == count, "count of a record")
