# Bounded answers from the trail: the next few records from a number on, in the order of their numbers. Used by audit.py.
# Finds its place in each ring by halving; never looks at more than LIMIT_AUDIT_CHECKED records for one answer.

import contract
from micropython import const

_LONGS = const(contract.AUDIT_RECORD_BYTES // 8)
_SEQ = const(contract.AUDIT_AT_SEQ // 8)
_GAP = const(-1)  # place of a gap record before those of its ring


# Copy records of these rings with seq >= since to target[offset:], with `own` only those about that subject, as its service id and
# index stand in a record. (how many, seq to ask for next); asked for again and with nothing more, that seq stays the same.
def copy(trail, since, rings, own, target, offset):
    places = [_place_from(trail, ring, since) for ring in rings]
    seqs = [_seq_at(trail, rings[turn], places[turn]) for turn in range(len(rings))]
    count = 0
    for _ in range(contract.LIMIT_AUDIT_CHECKED):
        seq = min(seqs)
        if seq > trail.seq:
            return count, seq
        turn = seqs.index(seq)
        record = trail.record(_slot(trail, rings[turn], places[turn]))
        if own is None or _is_about(record, own):
            if count == contract.LIMIT_AUDIT_PAGE:
                return count, seq
            target[offset : offset + contract.AUDIT_RECORD_BYTES] = record
            offset += contract.AUDIT_RECORD_BYTES
            count += 1
        places[turn] += 1
        seqs[turn] = _seq_at(trail, rings[turn], places[turn])
    return count, min(seqs)


def _is_about(record, own):
    return (
        record[contract.AUDIT_AT_SUBJECT : contract.AUDIT_AT_VIA] == own[0]
        and record[contract.AUDIT_AT_SUBJECT_IX : contract.AUDIT_AT_VIA_IX] == own[1]
    )


# Number of the first record with seq >= since; that of the ring's end when there is none.
def _place_from(trail, ring, since):
    gap = ring * trail.room
    if trail.octets[gap * contract.AUDIT_RECORD_BYTES] and trail.longs[gap * _LONGS + _SEQ] >= since:
        return _GAP
    low, high = 0, trail.length[ring]
    while low < high:
        middle = (low + high) // 2
        if trail.seq_of(ring, middle) < since:
            low = middle + 1
        else:
            high = middle
    return low


def _slot(trail, ring, place):
    return ring * trail.room if place == _GAP else trail.slot(ring, place)


# One more than any record's when the ring is at its end.
def _seq_at(trail, ring, place):
    if place == trail.length[ring]:
        return trail.seq + 1
    return trail.longs[_slot(trail, ring, place) * _LONGS + _SEQ]
