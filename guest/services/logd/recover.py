# What a logd that was started again learns from the trail that the one before has left: where each ring begins and ends, how many
# decisions there are. Used by audit.py before READY. Finishes what was begun and never overwrites what does not verify.

import contract
from micropython import const
from trail import Broken

_WORDS = const(contract.AUDIT_RECORD_BYTES // 4)
_LONGS = const(contract.AUDIT_RECORD_BYTES // 8)
_COUNT = const(contract.AUDIT_AT_COUNT // 4)
_DROPPED = const(contract.AUDIT_AT_DROPPED // 4)
_PLAN = const(contract.AUDIT_AT_VIA // 4)
_SEQ = const(contract.AUDIT_AT_SEQ // 8)
_LAST = const(contract.AUDIT_AT_LAST // 8)
_MOST = const(0xFFFFFFFF)


# Bring the state of a new Trail in line with its memory; raises Broken.
def recover(trail):
    known = 0
    for ring in range(trail.classes):
        gap = ring * trail.room
        kind = trail.octets[gap * contract.AUDIT_RECORD_BYTES]
        if kind == 0:
            _scan_unfilled(trail, ring)
        elif kind == contract.AUDIT_KIND_GAP:
            _scan_filled(trail, ring)
            _finish_drop(trail, ring, gap)
            known += trail.words[gap * _WORDS + _DROPPED]
            trail.decisions += trail.words[gap * _WORDS + _COUNT]
        else:
            raise Broken()
        known += trail.length[ring]
        if trail.length[ring]:
            trail.newest[ring] = trail.slot(ring, trail.length[ring] - 1)
            trail.seq = max(trail.seq, _seq(trail, trail.newest[ring]))
    # Each number that was ever given is that of a record here or of a dropped one.
    if known != trail.seq and known < _MOST:
        raise Broken()
    _check_newest(trail)


# A ring that never was full: records from its first place on, up to the first free one. One slot more is looked at, which tells
# that a record was taken out; the rest are when they are written.
def _scan_unfilled(trail, ring):
    start = ring * trail.room + 1
    end = start + trail.room - 1
    stop = _run(trail, ring, start, end)
    for slot in range(stop, min(stop + 2, end)):
        if trail.octets[slot * contract.AUDIT_RECORD_BYTES]:
            raise Broken()


# A ring that goes round: it begins where seq falls, or after the one free place, which is that of a record just dropped.
def _scan_filled(trail, ring):
    start = ring * trail.room + 1
    end = start + trail.room - 1
    stop = _run(trail, ring, start, end)
    first = stop
    if stop < end:
        if not trail.octets[stop * contract.AUDIT_RECORD_BYTES]:
            first += 1
        if _run(trail, ring, first, end) < end:
            raise Broken()
    if start < first < end and _seq(trail, end - 1) >= _seq(trail, start) and start < stop:
        raise Broken()
    if trail.length[ring] < 2:
        raise Broken()
    trail.first[ring] = (first - start) % (trail.room - 1)


# The slot at which rising numbers end: `end`, a free one, or one with a lower number. Takes what is before it.
def _run(trail, ring, slot, end):
    octets, words, longs = trail.octets, trail.words, trail.longs
    begin = slot
    at, number, word = slot * contract.AUDIT_RECORD_BYTES, slot * _LONGS + _SEQ, slot * _WORDS + _COUNT
    seq = decisions = 0
    while slot < end:
        kind = octets[at]
        if kind == 0 or longs[number] <= seq:
            break
        if kind == contract.AUDIT_KIND_DECISION:
            decisions += words[word]
        elif kind == contract.AUDIT_KIND_GAP or kind > contract.AUDIT_KIND_BUNDLE:
            raise Broken()
        seq = longs[number]
        slot += 1
        at += contract.AUDIT_RECORD_BYTES
        number += _LONGS
        word += _WORDS
    trail.length[ring] += slot - begin
    trail.decisions += decisions
    return slot


def _seq(trail, slot):
    return trail.longs[slot * _LONGS + _SEQ]


# Only what the record after it confirms is dropped.
def _finish_drop(trail, ring, gap):
    last, seq = trail.longs[gap * _LONGS + _LAST], trail.seq_of(ring, 0)
    if last > seq or (last == seq and trail.length[ring] < trail.room - 1):
        raise Broken()
    if last < seq:
        trail.words[gap * _WORDS + _PLAN] = trail.words[gap * _WORDS + _COUNT]
        trail.words[gap * _WORDS + _PLAN + 1] = trail.words[gap * _WORDS + _DROPPED]
        return
    oldest = trail.slot(ring, 0)
    if trail.hash(oldest) != _previous(trail, trail.slot(ring, 1)):
        raise Broken()
    trail.decisions -= trail.decisions_in(oldest)
    trail.settle(ring, oldest)


# Whether the newest records of all classes are in theirs, and each holds the hash of the one before it.
def _check_newest(trail):
    left = list(trail.length)
    seqs = [trail.seq_of(ring, left[ring] - 1) if left[ring] else 0 for ring in range(trail.classes)]
    before = trail.seq + 1
    for _ in range(contract.LIMIT_AUDIT_CHECKED):
        seq = max(seqs)
        if seq == 0:
            return
        ring = seqs.index(seq)
        left[ring] -= 1
        slot = trail.slot(ring, left[ring])
        if seq >= before or trail.ring_of(trail.record(slot)) != ring:
            raise Broken()
        if _previous(trail, slot) != _expected(trail, ring, left[ring]):
            raise Broken()
        before = seq
        seqs[ring] = trail.seq_of(ring, left[ring] - 1) if left[ring] else 0


# The hash that record `number` of a ring has to hold.
def _expected(trail, ring, number):
    if number:
        return trail.hash(trail.slot(ring, number - 1))
    gap = ring * trail.room
    if trail.octets[gap * contract.AUDIT_RECORD_BYTES]:
        return _previous(trail, gap)
    return bytes(contract.AUDIT_HASH_BYTES)


def _previous(trail, slot):
    return trail.record(slot)[contract.AUDIT_AT_PREVIOUS :]
