# The store of audit records, in memory that outlives this process. Used by audit.py; recover.py reads it after a restart, pages.py
# for queries. recipes/contract/audit.toml states classes, rings, gap records and chains. A record is there once its first byte, the
# kind, is written, which comes last: whoever stops us between two stores leaves a trail that verifies. Never refuses for lack of room.

import contract
from micropython import const

# A record as 4-byte and as 8-byte numbers, and where its fields are then.
_WORDS = const(contract.AUDIT_RECORD_BYTES // 4)
_LONGS = const(contract.AUDIT_RECORD_BYTES // 8)
_COUNTS = const(contract.AUDIT_AT_COUNT // 8)  # count, and dropped in its upper half
_COUNT = const(contract.AUDIT_AT_COUNT // 4)
_PLANS = const(contract.AUDIT_AT_VIA // 8)  # of a gap: count and dropped as they are to be
_PLAN = const(contract.AUDIT_AT_VIA // 4)
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
        self.newest = [0] * self.classes  # slot of a ring's newest record, 0 for none
        self.seq = 0  # of the newest record of all
        self.decisions = 0  # counts of all decisions and of what the gaps say of them

    # Keep one record, of which `draft` has the bytes before the hash; numbers and times are filled in here.
    def append(self, draft, now):
        octets = self.octets
        ring = self.ring_of(draft)
        newest = self.newest[ring]
        before = newest * contract.AUDIT_RECORD_BYTES
        # A byte that mostly differs comes first: slices cost more.
        if (
            newest
            and octets[before + contract.AUDIT_AT_ACTION] == draft[contract.AUDIT_AT_ACTION]
            and self._count_again(newest, draft)
        ):
            return
        slot = newest + 1 if newest else ring * self.room + 1
        if slot == (ring + 1) * self.room:
            slot = ring * self.room + 1
        at = slot * contract.AUDIT_RECORD_BYTES
        if octets[at]:
            self._drop(ring, slot)
        # A view of the record alone: into one of the whole store, the interpreter would move all that comes after.
        record = octets[at : at + contract.AUDIT_RECORD_BYTES]
        record[1 : contract.AUDIT_AT_PREVIOUS] = draft[1 : contract.AUDIT_AT_PREVIOUS]
        seq = self.seq + 1
        longs = self.longs
        number = slot * _LONGS
        longs[number + _SEQ] = seq
        longs[number + _TIME] = now
        longs[number + _COUNTS] = 1
        longs[number + _LAST] = 0
        record[contract.AUDIT_AT_PREVIOUS :] = (
            self.sha256(octets[before : before + contract.AUDIT_RECORD_BYTES]) if newest else _NO_HASH
        )
        octets[at] = draft[0]
        self.seq = seq
        self.newest[ring] = slot
        self.length[ring] += 1
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

    # Whether the newest record of a class is this same decision, or this same word on a bundle, which is then counted there.
    def _count_again(self, slot, draft):
        at = slot * contract.AUDIT_RECORD_BYTES
        record = self.octets[at : at + contract.AUDIT_RECORD_BYTES]
        # Names first, as they differ most.
        if (
            record[contract.AUDIT_AT_TARGET : contract.AUDIT_AT_PREVIOUS]
            != draft[contract.AUDIT_AT_TARGET : contract.AUDIT_AT_PREVIOUS]
            or record[: contract.AUDIT_AT_SEQ] != draft[: contract.AUDIT_AT_SEQ]
            or record[contract.AUDIT_AT_SUBJECT : contract.AUDIT_AT_NONCE]
            != draft[contract.AUDIT_AT_SUBJECT : contract.AUDIT_AT_NONCE]
        ):
            return False
        count, kind = self.words[slot * _WORDS + _COUNT], draft[0]
        if (kind != contract.AUDIT_KIND_DECISION and kind != contract.AUDIT_KIND_BUNDLE) or count == _MOST:
            return False
        self.words[slot * _WORDS + _COUNT] = count + 1
        if kind == contract.AUDIT_KIND_DECISION:
            self.decisions += 1
        return True

    # Move the oldest record of a full ring, which lies where the next one is to be, into the gap record. Once the gap names it as
    # the last one dropped, it is: what is then left to do is settle(), which can be done any number of times.
    def _drop(self, ring, oldest):
        if self.length[ring] != self.room - 1:
            raise Broken()
        words, longs = self.words, self.longs
        gap = ring * self.room
        last, counts = gap * _LONGS + _LAST, gap * _WORDS + _COUNT
        seq = longs[oldest * _LONGS + _SEQ]
        count = self.decisions_in(oldest)
        if not self.octets[gap * contract.AUDIT_RECORD_BYTES]:
            self._open_gap(gap, oldest, count)
        elif longs[last] != seq:
            count += words[counts]
            if count > _MOST:
                self.decisions -= count - _MOST
                count = _MOST
            words[gap * _WORDS + _PLAN] = count
            words[gap * _WORDS + _PLAN + 1] = min(words[counts + 1] + 1, _MOST)
            longs[last] = seq
        self.settle(ring, oldest)

    # A gap record says who its class is about, if that is one process.
    def _open_gap(self, gap, oldest, count):
        record, dropped = self.record(gap), self.record(oldest)
        record[1:] = bytes(contract.AUDIT_RECORD_BYTES - 1)
        index = contract.AUDIT_APP | contract.AUDIT_NOBODY
        if gap < 2 * self.processes * self.room:
            index = dropped[contract.AUDIT_AT_SUBJECT_IX] | dropped[contract.AUDIT_AT_SUBJECT_IX + 1] << 8
            record[contract.AUDIT_AT_SUBJECT : contract.AUDIT_AT_VIA] = dropped[
                contract.AUDIT_AT_SUBJECT : contract.AUDIT_AT_VIA
            ]
        self.words[gap * _WORDS + contract.AUDIT_AT_SUBJECT_IX // 4] = index | contract.AUDIT_NOBODY << 16
        self.words[gap * _WORDS + _PLAN] = count
        self.words[gap * _WORDS + _PLAN + 1] = 1
        for field in (_SEQ, _TIME):
            self.longs[gap * _LONGS + field] = self.longs[oldest * _LONGS + field]
        self.longs[gap * _LONGS + _LAST] = self.longs[oldest * _LONGS + _SEQ]
        record[0] = contract.AUDIT_KIND_GAP

    # Finish a drop: the gap takes over the numbers and the hash of the record dropped, then its slot is free.
    def settle(self, ring, oldest):
        octets, longs, ring_slots = self.octets, self.longs, self.room - 1
        gap, first = ring * self.room, (self.first[ring] + 1) % ring_slots
        to = gap * contract.AUDIT_RECORD_BYTES + contract.AUDIT_AT_PREVIOUS
        after = (gap + 1 + first) * contract.AUDIT_RECORD_BYTES + contract.AUDIT_AT_PREVIOUS
        octets[to : to + contract.AUDIT_HASH_BYTES][:] = octets[after : after + contract.AUDIT_HASH_BYTES]
        longs[gap * _LONGS + _COUNTS] = longs[gap * _LONGS + _PLANS]
        octets[oldest * contract.AUDIT_RECORD_BYTES] = 0
        self.first[ring] = first
        self.length[ring] -= 1

    def decisions_in(self, slot):
        if self.octets[slot * contract.AUDIT_RECORD_BYTES] == contract.AUDIT_KIND_DECISION:
            return self.words[slot * _WORDS + _COUNT]
        return 0
