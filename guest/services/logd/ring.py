# The store of log records: a ring of fixed size; the oldest record makes room and is counted. Used by logd's handlers. What its
# memory holds at the start means nothing. Never grows, never decodes a text.

import struct

import contract

_HEAD = contract.RECORD_LOG  # seq, ticks, sender, kind, level, bytes of text


class Ring:
    # memory: gives so many bytes, once.
    def __init__(self, records, text_bytes, memory=bytearray):
        self.records = records
        self.head = struct.calcsize(_HEAD)
        self.stride = self.head + text_bytes
        self.store = memory(records * self.stride)
        self.view = memoryview(self.store)
        self.next = 1  # sequence number of the record to come

    # Keep one record; its sequence number.
    def append(self, ticks, sender, kind, level, text):
        seq = self.next
        at = self._place(seq)
        struct.pack_into(_HEAD, self.store, at, seq, ticks, sender, kind, level, len(text))
        self.view[at + self.head : at + self.head + len(text)] = text
        self.next = seq + 1
        return seq

    # Sequence number of the oldest record still here; `next` when there is none.
    def oldest(self):
        return max(1, self.next - self.records)

    def dropped(self):
        return self.oldest() - 1

    def level(self, seq):
        return self.store[self._place(seq) + self.head - 2]

    # Copy a record, head and text, to target[offset:]; how many bytes that were.
    def copy(self, seq, target, offset):
        at = self._place(seq)
        size = self.head + self.store[at + self.head - 1]
        target[offset : offset + size] = self.view[at : at + size]
        return size

    def _place(self, seq):
        return seq % self.records * self.stride
