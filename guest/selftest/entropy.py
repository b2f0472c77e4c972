# Proofs of phase mmio: rngd hands real bytes of exact lengths to another address space, refuses what is no fair request,
# and nobody else reaches its device. Each refusal has a twin that succeeds, or the refusal would prove nothing.

import struct

import client
import contract
import kernel
import ways
from proof import check, frame, raw_status, status_of

_UNTIL = contract.EDGE_DEADLINE_RNGD_ALL
_OVERSIZED = (contract.LIMIT_ENTROPY_BYTES + 1, 512, 0xFFFF)
_TRIES = (
    contract.TRY_DEVICE_WRITE,
    contract.TRY_QUEUE_SETUP,
    contract.TRY_QUEUE_POST,
    contract.TRY_QUEUE_TAKE,
    contract.TRY_IRQ_ACK,
    contract.TRY_DMA_REPLY,
)
_drawn = [0, 0]  # requests that rngd had to answer with bytes, bytes that came


def _request(count):
    return struct.pack(contract.REQUEST_RNGD_GET_ENTROPY, count)


def _draw(count):
    data = bytes(client.call(ways.to(b"rngd"), contract.OP_RNGD_GET_ENTROPY, _request(count), client.deadline(_UNTIL)))
    check(len(data) == count, "length of a draw")
    _drawn[0] += 1
    _drawn[1] += count
    return data


def stats():
    until = client.deadline(_UNTIL)
    return client.ask(ways.to(b"rngd"), contract.OP_RNGD_STATS, b"", contract.REPLY_RNGD_STATS, until)


# Two draws of 32 bytes that differ, one of every extreme length; the service's own count agrees.
def prove_entropy():
    before = stats()
    first = _draw(32)
    second = _draw(32)
    check(first != second, "two draws are equal")
    for data in (first, second, _draw(contract.LIMIT_ENTROPY_BYTES)):
        check(len(set(data)) > 8, "hardly a byte differs from the others")
    _draw(1)
    after = stats()
    check(after[0] - before[0] == _drawn[0], "requests that rngd counted")
    check(after[2] - before[2] == _drawn[1], "bytes that rngd counted as served")
    check(after[1] - before[1] >= _drawn[1], "more bytes served than taken from the device")


# Exact statuses; none of it costs the device a byte.
def prove_oversized():
    before = stats()
    for count in _OVERSIZED:
        _expect(_request(count), contract.STATUS_TOO_LARGE)
    for payload in (_request(0), b"", b"\x20", b"\x20\x00\x00"):
        _expect(payload, contract.STATUS_MALFORMED)
    check(status_of(ways.to(b"rngd"), 0x7E, b"", _UNTIL) == contract.STATUS_UNSUPPORTED, "unknown operation")
    check(
        status_of(ways.to(b"rngd"), contract.OP_ALL_READY, b"", _UNTIL) == contract.STATUS_DENIED,
        "READY without its facet",
    )
    _prove_frames()
    check(stats()[:3] == before[:3], "a refused request was counted or cost bytes")
    _draw(contract.LIMIT_ENTROPY_BYTES)


def _expect(payload, status):
    found = status_of(ways.to(b"rngd"), contract.OP_RNGD_GET_ENTROPY, payload, _UNTIL)
    check(found == status, "status %02x instead of %02x" % (found, status))


# Frames that are none: refused, with the nonce whenever the message is long enough to hold one.
def _prove_frames():
    good = frame(contract.OP_RNGD_GET_ENTROPY, _request(32), 0xA1B2C3D4)
    for length in range(len(good)):
        nonce = 0xA1B2C3D4 if length >= contract.WIRE_REQUEST_HEADER else 0
        check(
            raw_status(ways.to(b"rngd"), good[:length], _UNTIL) == (contract.STATUS_MALFORMED, nonce), "truncated frame"
        )
    bad = (
        frame(contract.OP_RNGD_GET_ENTROPY, _request(32), 7, version=contract.WIRE_VERSION + 1),
        frame(contract.OP_RNGD_GET_ENTROPY, _request(32), 7, count=3),
        frame(contract.OP_RNGD_GET_ENTROPY | contract.WIRE_REPLY_BIT, _request(32), 7),
        frame(contract.OP_RNGD_GET_ENTROPY, bytes(contract.IPC_DATA_BYTES - 8), 7),
    )
    for message in bad:
        check(raw_status(ways.to(b"rngd"), message, _UNTIL) == (contract.STATUS_MALFORMED, 7), "wrong frame")


# The peer goes through its whole capability table: nothing in it names the device. rngd, which holds it, still works.
def prove_window():
    for what in _TRIES:
        _expect_fenced(what)
    _draw(16)


def _expect_fenced(what):
    until = client.deadline(contract.EDGE_DEADLINE_SELFTEST_PEER_ALL)
    request = struct.pack(contract.REQUEST_SELFTEST_PEER_TRY, what)
    form = contract.REPLY_SELFTEST_PEER_TRY
    tried, no_handle, other_type = client.ask(
        ways.to(b"selftest-peer"), contract.OP_SELFTEST_PEER_TRY, request, form, until
    )
    check(tried == contract.LIMIT_CAP_SLOTS, "attempts of the peer")
    check(no_handle + other_type == tried, "an attempt of the peer was not refused")
    check(other_type > 0, "the peer tried no handle of its own")


# At the end of the run, since the host compares it with the emulator's own count, and a key takes some too.
def show_taken():
    kernel.console("%s%016x" % (contract.LINE_RNG_BYTES, stats()[1]))
