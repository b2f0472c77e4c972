# The audit record of the question at hand, put together in one buffer that is sent to logd as it is. Used by policyd.
# What logd alone knows (seq, time, hash of the record before) stays zero. Layout: recipes/contract/audit.toml.

import struct

import contract

_QUESTION = "<BBBBHH"
_ABOUT = "<QQHH"
_NO_TARGET = bytes(contract.AUDIT_TARGET_BYTES)


class Record:
    def __init__(self):
        self.bytes = bytearray(contract.AUDIT_AT_PREVIOUS)
        self.subject_index = 0

    # Who it is about, and who asked where that is somebody else.
    def about(self, index, kind, service_id, via=contract.AUDIT_NOBODY, via_kind=contract.KIND_SERVICE, via_id=0):
        subject, asker = _index(index, kind), _index(via, via_kind)
        struct.pack_into(_ABOUT, self.bytes, contract.AUDIT_AT_SUBJECT, service_id, via_id, subject, asker)
        self.subject_index = subject

    def question(self, verdict, op, reason, action, rule, nonce, name):
        kind = contract.AUDIT_KIND_DECISION
        struct.pack_into(_QUESTION, self.bytes, contract.AUDIT_AT_KIND, kind, verdict, op, reason, action, rule)
        struct.pack_into("<I", self.bytes, contract.AUDIT_AT_NONCE, nonce)
        self.bytes[contract.AUDIT_AT_TARGET :] = name + _NO_TARGET[len(name) :]

    # Make it the record of an answer that did not arrive; False if what was answered last is no decision on record.
    def undelivered(self):
        if self.bytes[contract.AUDIT_AT_KIND] != contract.AUDIT_KIND_DECISION:
            return False
        self.bytes[contract.AUDIT_AT_KIND] = contract.AUDIT_KIND_UNDELIVERED
        return True


def _index(index, kind):
    return index | contract.AUDIT_APP if kind == contract.KIND_APP else index
