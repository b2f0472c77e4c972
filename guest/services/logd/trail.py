# The store of audit records, in memory that outlives this process. Used by audit.py; recover.py reads it after a restart, pages.py
# for queries. recipes/contract/audit.toml states classes, rings, gap records and chains. A record is there once its first byte, the
# kind, is written, which comes last: whoever stops us between two stores leaves a trail that verifies. Never refuses for lack of room.

import contract
from micropython import const

# A record as 4-byte and as 8-byte numbers, and where its fields are then.
_WORDS = const(contract.AUDIT_RECORD_BYTES // 4)
_LONGS = const(contract.AUDIT_RECORD_BYTES // 8)
_COUNT = const(contract.AUDIT_AT_COUNT // 4)
_DROPPED = const(contract.AUDIT_AT_DROPPED // 4)
_PLAN = const(contract.AUDIT_AT_VIA // 4)  # of a gap: count and dropped as they are to be
_SEQ = const(contract.AUDIT_AT_SEQ // 8)
_TIME = const(contract.AUDIT_AT_TIME // 8)
_LAST = const(contract.AUDIT_AT_LAST // 8)
_MOST = const(0xFFFFFFFF)  # that a count can say
_NO_HASH = bytes(contract.AUDIT_HASH_BYTES)


# The store is not as this module leaves it.
class Broken(Exception):
    pass


class Trail:
    # `views` are the same memory as bytes, 4-byte and 8-byte numbers, where storing one number is one store.
    def __init__(self, views, sha256, processes, slots=contract.AUDIT_SLOTS):
        self.octets, self.words, self.longs = views
        self.sha256 = sha256
        self.processes = processes
        self.classes = 2 * (processes + 1)
        self.room = slots // self.classes  # slots of a class; the first is for its gap record
        self.first = [0] * self.classes  # place of a ring's oldest record
        self.length = [0] * self.classes
        self.seq = 0  # of the newest record of all
        self.decisions = 0  # counts of all decisions and of what the gaps say of them

    # Keep one record, of which `draft` has the bytes before the hash; numbers and times are filled in here.
    def append(self, draft, now):
        ring = self.ring_of(draft)
        length = self.length[ring]
        newest = self.slot(ring, length - 1)
        if length and self._count_again(newest, draft):
            return
        if length == self.room - 1:
            self._drop(ring)
            length -= 1
        slot = self.slot(ring, length)
        at = slot * contract.AUDIT_RECORD_BYTES
        octets = self.octets
        if octets[at]:
            raise Broken()
        octets[at + 1 : at + contract.AUDIT_AT_PREVIOUS] = draft[1 : contract.AUDIT_AT_PREVIOUS]
        number = slot * _LONGS
        self.longs[number + _SEQ] = self.seq + 1
        self.longs[number + _TIME] = now
        self.longs[number + _LAST] = 0
        self.words[slot * _WORDS + _COUNT] = 1
        self.words[slot * _WORDS + _DROPPED] = 0
        octets[at + contract.AUDIT_AT_PREVIOUS : at + contract.AUDIT_RECORD_BYTES] = (
            self.hash(newest) if length else _NO_HASH
        )
        octets[at] = draft[0]
        self.seq += 1
        self.length[ring] = length + 1
        if draft[0] == contract.AUDIT_KIND_DECISION:
            self.decisions += 1

    # Class of a record: by whom it is about, and whether something was refused.
    def ring_of(self, record):
        index = record[contract.AUDIT_AT_SUBJECT_IX] | record[contract.AUDIT_AT_SUBJECT_IX + 1] << 8
        pair = self.processes if index & contract.AUDIT_APP else index
        return 2 * pair + (record[contract.AUDIT_AT_VERDICT] >= contract.AUDIT_VERDICT_DENY)

    # Slot of a ring's record, the oldest being number 0.
    def slot(self, ring, number):
        return ring * self.room + 1 + (self.first[ring] + number) % (self.room - 1)

    def seq_of(self, ring, number):
        return self.longs[self.slot(ring, number) * _LONGS + _SEQ]

    def record(self, slot):
        at = slot * contract.AUDIT_RECORD_BYTES
        return self.octets[at : at + contract.AUDIT_RECORD_BYTES]

    def hash(self, slot):
        return self.sha256(self.record(slot))

    # SHA-256 over the newest hash and the gap's hash of each class: where the trail ends.
    def head(self):
        hashes = bytearray(2 * contract.AUDIT_HASH_BYTES * self.classes)
        at = 0
        for ring in range(self.classes):
            gap = ring * self.room
            if self.length[ring]:
                hashes[at : at + contract.AUDIT_HASH_BYTES] = self.hash(self.slot(ring, self.length[ring] - 1))
            at += contract.AUDIT_HASH_BYTES
            if self.octets[gap * contract.AUDIT_RECORD_BYTES]:
                hashes[at : at + contract.AUDIT_HASH_BYTES] = self.hash(gap)
            at += contract.AUDIT_HASH_BYTES
        return self.sha256(hashes)

    # Whether the newest record of a class is this same decision, which is then counted there.
    def _count_again(self, slot, draft):
        at = slot * contract.AUDIT_RECORD_BYTES
        octets = self.octets
        if draft[0] != contract.AUDIT_KIND_DECISION or octets[at] != contract.AUDIT_KIND_DECISION:
            return False
        # One byte that mostly differs, before slices are made.
        if octets[at + contract.AUDIT_AT_ACTION] != draft[contract.AUDIT_AT_ACTION]:
            return False
        if (
            octets[at + 1 : at + contract.AUDIT_AT_SEQ] != draft[1 : contract.AUDIT_AT_SEQ]
            or octets[at + contract.AUDIT_AT_TARGET : at + contract.AUDIT_AT_PREVIOUS]
            != draft[contract.AUDIT_AT_TARGET : contract.AUDIT_AT_PREVIOUS]
            or octets[at + contract.AUDIT_AT_SUBJECT : at + contract.AUDIT_AT_NONCE]
            != draft[contract.AUDIT_AT_SUBJECT : contract.AUDIT_AT_NONCE]
        ):
            return False
        count = self.words[slot * _WORDS + _COUNT]
        if count == _MOST:
            return False
        self.words[slot * _WORDS + _COUNT] = count + 1
        self.decisions += 1
        return True

    # Move the oldest record of a full ring into its gap record. Once the gap names it as the last one dropped, it is: what is then
    # left to do is settle(), which can be done any number of times.
    def _drop(self, ring):
        gap, oldest = ring * self.room, self.slot(ring, 0)
        words, longs = self.words, self.longs
        count = self.decisions_in(oldest)
        if not self.octets[gap * contract.AUDIT_RECORD_BYTES]:
            self._open_gap(gap, oldest, count)
        elif longs[gap * _LONGS + _LAST] != longs[oldest * _LONGS + _SEQ]:
            total = words[gap * _WORDS + _COUNT] + count
            if total > _MOST:
                self.decisions -= total - _MOST
                total = _MOST
            words[gap * _WORDS + _PLAN] = total
            words[gap * _WORDS + _PLAN + 1] = min(words[gap * _WORDS + _DROPPED] + 1, _MOST)
            longs[gap * _LONGS + _LAST] = longs[oldest * _LONGS + _SEQ]
        self.settle(ring)

    # What is said of whom in the class's records, if that is one process.
    def _open_gap(self, gap, oldest, count):
        octets = self.octets
        at, source = gap * contract.AUDIT_RECORD_BYTES, oldest * contract.AUDIT_RECORD_BYTES
        octets[at + 1 : at + contract.AUDIT_RECORD_BYTES] = bytes(contract.AUDIT_RECORD_BYTES - 1)
        index = contract.AUDIT_APP | contract.AUDIT_NOBODY
        if gap < 2 * self.processes * self.room:
            index = (
                octets[source + contract.AUDIT_AT_SUBJECT_IX] | octets[source + contract.AUDIT_AT_SUBJECT_IX + 1] << 8
            )
            octets[at + contract.AUDIT_AT_SUBJECT : at + contract.AUDIT_AT_VIA] = octets[
                source + contract.AUDIT_AT_SUBJECT : source + contract.AUDIT_AT_VIA
            ]
        self.words[gap * _WORDS + contract.AUDIT_AT_SUBJECT_IX // 4] = index | contract.AUDIT_NOBODY << 16
        self.words[gap * _WORDS + _PLAN] = count
        self.words[gap * _WORDS + _PLAN + 1] = 1
        for field in (_SEQ, _TIME):
            self.longs[gap * _LONGS + field] = self.longs[oldest * _LONGS + field]
        self.longs[gap * _LONGS + _LAST] = self.longs[oldest * _LONGS + _SEQ]
        octets[at] = contract.AUDIT_KIND_GAP

    # Finish a drop: the gap takes over the numbers and the hash of the record dropped, then its slot is free.
    def settle(self, ring):
        gap = ring * self.room
        after = self.slot(ring, 1) * contract.AUDIT_RECORD_BYTES
        at = gap * contract.AUDIT_RECORD_BYTES
        self.octets[at + contract.AUDIT_AT_PREVIOUS : at + contract.AUDIT_RECORD_BYTES] = self.octets[
            after + contract.AUDIT_AT_PREVIOUS : after + contract.AUDIT_RECORD_BYTES
        ]
        self.words[gap * _WORDS + _COUNT] = self.words[gap * _WORDS + _PLAN]
        self.words[gap * _WORDS + _DROPPED] = self.words[gap * _WORDS + _PLAN + 1]
        self.octets[self.slot(ring, 0) * contract.AUDIT_RECORD_BYTES] = 0
        self.first[ring] = (self.first[ring] + 1) % (self.room - 1)
        self.length[ring] -= 1

    def decisions_in(self, slot):
        if self.octets[slot * contract.AUDIT_RECORD_BYTES] == contract.AUDIT_KIND_DECISION:
            return self.words[slot * _WORDS + _COUNT]
        return 0
