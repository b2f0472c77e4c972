# The audit record of the question at hand, put together in one buffer that is sent to logd as it is. Used by policyd.
# What logd alone knows (seq, time, hash of the record before) stays zero. Layout: recipes/contract/audit.toml.

import struct

import contract
import frame

# Kind to rule, then what others fill in, then the target's name with zeros behind it.
_QUESTION = "<BBBBHH%dx%ds" % (contract.AUDIT_AT_TARGET - contract.AUDIT_AT_SEQ, contract.AUDIT_TARGET_BYTES)


class Record:
    def __init__(self):
        self.bytes = bytearray(contract.AUDIT_AT_PREVIOUS)
        self.subject_index = 0

    # Whom the request being served is about and who asked, by the kernel's word; and the question itself.
    def question(self, verdict, op, reason, action, rule, name):
        kind = contract.AUDIT_KIND_DECISION
        struct.pack_into(_QUESTION, self.bytes, contract.AUDIT_AT_KIND, kind, verdict, op, reason, action, rule, name)
        self.subject_index = frame.about(self.bytes)

    # Make it the record of an answer that did not arrive; False if what was answered last is not the decision that is here.
    def undelivered(self):
        answered = struct.unpack_from("<I", self.bytes, contract.AUDIT_AT_NONCE)[0], self.bytes[contract.AUDIT_AT_OP]
        if self.bytes[contract.AUDIT_AT_KIND] != contract.AUDIT_KIND_DECISION or answered != (
            frame.nonce(),
            frame.op(),
        ):
            return False
        self.bytes[contract.AUDIT_AT_KIND] = contract.AUDIT_KIND_UNDELIVERED
        return True
