"""Every operation of every server: its frame cut at each byte, mutated, too long, of another version. A server answers
MALFORMED with the nonce that it could read, and stays the same server.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shims.asker import Asker, frame
from shims.machine import Machine

Make = Callable[..., Machine]
NONCE = 0xC0FFEE11
# capability of the selftest, operation, a payload that fits
OPERATIONS = [
    ("INIT", "OP_INIT_PHASE_DONE", b"\x07"),
    ("INIT", "OP_INIT_PS", b"\x00"),
    ("INIT", "OP_INIT_ROUTE_GET", b"rngd"),
    ("INIT", "OP_INIT_SHUTDOWN", b""),
    ("INIT", "OP_INIT_REBOOT", b""),
    ("INIT", "OP_INIT_CAPS", b"\x00\x00"),
    ("INIT", "OP_INIT_TOP", b"\x00"),
    ("LOGD_APPEND", "OP_LOGD_APPEND", b"\x01text"),
    ("LOGD_QUERY", "OP_LOGD_QUERY", bytes(9)),
    ("LOGD_STATS", "OP_LOGD_STATS", b""),
    ("LOGD_DECISION", "OP_LOGD_DECISION", bytes(96)),
    ("LOGD_AUDIT", "OP_LOGD_AUDIT", b"\x01\x06\x00-"),
    ("LOGD_EVENT", "OP_LOGD_EVENT", b"\x03\x02\x01\x00"),
    ("LOGD_AUDIT_OWN", "OP_LOGD_AUDIT_OWN", bytes(8)),
    ("LOGD_AUDIT_ALL", "OP_LOGD_AUDIT_ALL", bytes(8)),
    ("LOGD_HEAD", "OP_LOGD_HEAD", b""),
    ("LOGD_EVENT", "OP_LOGD_CLOSE", b""),
    ("POLICYD", "OP_POLICYD_CHECK", b"\x06\x00-"),
    ("POLICYD", "OP_POLICYD_ROUTE", b"rngd"),
    ("POLICYD", "OP_POLICYD_EXEC", b"selftest.app"),
    ("POLICYD_STATS", "OP_POLICYD_STATS", b""),
    ("POLICYD_STATS", "OP_POLICYD_STATS_OF", bytes(8)),
    ("POLICYD_HOLD", "OP_POLICYD_HOLD", b""),
    ("POLICYD_HOLD", "OP_POLICYD_GO_ON", b""),
    ("KEYSTORED", "OP_KEYSTORED_DEVICE_KEYGEN", b""),
    ("KEYSTORED", "OP_KEYSTORED_DEVICE_PUBKEY", b""),
    ("KEYSTORED", "OP_KEYSTORED_DEVICE_KEY_DESTROY", b""),
    ("KEYSTORED", "OP_KEYSTORED_SIGN", b"\x02\x00message"),
    ("KEYSTORED", "OP_KEYSTORED_VERIFY", b"\x02\x00" + bytes(9 + 72) + b"message"),
    ("KEYSTORED", "OP_KEYSTORED_EXPORT", b""),
    ("KEYSTORED", "OP_KEYSTORED_PUT", b"\x03keyvalue"),
    ("KEYSTORED", "OP_KEYSTORED_GET", b"key"),
    ("KEYSTORED", "OP_KEYSTORED_DEL", b"key"),
    ("KEYSTORED", "OP_KEYSTORED_PURGE", bytes(16)),
    ("RNGD", "OP_RNGD_GET_ENTROPY", b"\x20\x00"),
    ("RNGD", "OP_RNGD_STATS", b""),
    ("SELFTEST_PEER", "OP_SELFTEST_PEER_TRY", b"\x01"),
    ("SELFTEST_PEER", "OP_SELFTEST_PEER_ASK", b"\x03\x02\x00"),
    ("SELFTEST_PEER", "OP_SELFTEST_PEER_PASS_ON", b"\x03\x01"),
    ("SELFTEST_PEER", "OP_SELFTEST_PEER_LEND", bytes(8)),
]
PASSES_ON = "OP_SELFTEST_PEER_ASK"  # whatever its payload, another server answers it
# What is no frame's matter: a size that is looked at after the gate, a purpose that nobody may sign for.
LONGEST = dict.fromkeys(("OP_LOGD_APPEND", "OP_LOGD_AUDIT"), "TOO_LARGE")
LONGEST |= dict.fromkeys((f"OP_KEYSTORED_{name}" for name in ("VERIFY", "GET", "DEL")), "TOO_LARGE")
LONGEST |= {"OP_KEYSTORED_SIGN": "DENIED"}
EACH = pytest.mark.parametrize(("cap", "op", "payload"), OPERATIONS, ids=[row[1] for row in OPERATIONS])


@pytest.fixture
def asker(machine: Make) -> Asker:
    """The test in the selftest's place, all servers up."""
    made = machine(sources={"selftest": "import kernel, caps\nkernel.wait(caps.NOTIFICATION)\n"})
    made.flags = made.contract.FLAG_KEEP  # a mutated PHASE_DONE may close any phase
    made.boot()
    assert made.said("init")[0] == "ready"
    return Asker(made)


def parts(answer: bytes) -> tuple[int, int, int]:
    """(operation, status, nonce) of an answer that is exactly a refusal."""
    assert len(answer) == 8
    version, op, status, zero, nonce = struct.unpack("<BBBBI", answer)
    assert (version, zero) == (1, 0)
    return op, status, nonce


def forms(server: str, contract: SimpleNamespace) -> dict[int, str]:
    """Request form by operation."""
    names = [name for name in vars(contract) if name.startswith(f"OP_{server}_")]
    return {getattr(contract, name): getattr(contract, f"REQUEST_{name.removeprefix('OP_')}") for name in names}


@EACH
def test_frame_cut_at_every_byte_is_malformed(
    asker: Asker, contract: SimpleNamespace, cap: str, op: str, payload: bytes
) -> None:
    number = getattr(contract, op)
    whole = frame(number, payload, NONCE)
    for length in range(len(whole)):
        answer = asker.send(asker.handle(cap), whole[:length])
        seen_op = number if length > 1 else 0
        seen_nonce = NONCE if length >= 8 else 0
        assert parts(answer) == (seen_op | 0x80, contract.STATUS_MALFORMED, seen_nonce), length


@EACH
@pytest.mark.parametrize(
    "change",
    [{"version": 0}, {"version": 2}, {"version": 255}, {"length": 0xFFFF}, {"length": 511}],
    ids=["version-0", "version-2", "version-255", "length-65535", "length-511"],
)
def test_frame_with_wrong_head_is_malformed(
    asker: Asker,
    contract: SimpleNamespace,
    cap: str,
    op: str,
    payload: bytes,
    change: dict[str, int],
) -> None:
    number = getattr(contract, op)
    answer = asker.send(asker.handle(cap), frame(number, payload, NONCE, **change))
    assert parts(answer) == (number | 0x80, contract.STATUS_MALFORMED, NONCE)


@pytest.mark.parametrize(("cap", "op"), [row[:2] for row in OPERATIONS if row[1] != PASSES_ON])
def test_longest_message_is_refused_whole(asker: Asker, contract: SimpleNamespace, cap: str, op: str) -> None:
    number = getattr(contract, op)
    answer = asker.send(asker.handle(cap), frame(number, bytes(504), NONCE))
    wanted = getattr(contract, f"STATUS_{LONGEST.get(op, 'MALFORMED')}")
    assert parts(answer) == (number | 0x80, wanted, NONCE)


@EACH
def test_operation_with_reply_bit_is_malformed(
    asker: Asker, contract: SimpleNamespace, cap: str, op: str, payload: bytes
) -> None:
    number = getattr(contract, op) | contract.WIRE_REPLY_BIT
    answer = asker.send(asker.handle(cap), frame(number, payload, NONCE))
    assert parts(answer) == (number, contract.STATUS_MALFORMED, NONCE)


def status_of(answer: bytes, message: bytes, contract: SimpleNamespace) -> int:
    """Of an answer that has the right shape for this message, of at least a head."""
    version, reply_op, status, zero = struct.unpack_from("<BBBB", answer)
    assert (version, reply_op, zero) == (1, message[1] | 0x80, 0)
    assert answer[4:8] == message[4:8]
    assert status <= contract.STATUS_UNSUPPORTED and (status == contract.STATUS_OK or len(answer) == 8)
    return int(status)


@EACH
def test_frame_mutated_at_every_byte_gets_one_whole_answer(
    asker: Asker, contract: SimpleNamespace, cap: str, op: str, payload: bytes
) -> None:
    """A head that does not fit is MALFORMED; whatever else a byte becomes, the server answers and goes on."""
    whole = frame(getattr(contract, op), payload, NONCE)
    for place in range(len(whole)):
        for flipped in (0x01, 0x80, 0xFF):
            message = bytearray(whole)
            message[place] ^= flipped
            status = status_of(asker.send(asker.handle(cap), bytes(message)), bytes(message), contract)
            if place in (0, 2, 3) or message[1] & contract.WIRE_REPLY_BIT:
                assert status == contract.STATUS_MALFORMED, (place, flipped)
    assert [line for line in asker.machine.lines if "fault" in line] == []


@EACH
def test_replayed_nonce_is_answered_anew(
    asker: Asker, contract: SimpleNamespace, cap: str, op: str, payload: bytes
) -> None:
    """No server remembers nonces: an answer goes to the call that it answers, and a second decision is a second record."""
    message = frame(getattr(contract, op), payload, NONCE)
    stats = asker.handle("POLICYD_STATS"), contract.OP_POLICYD_STATS
    counts = []
    for _ in range(3):
        status_of(asker.send(asker.handle(cap), message), message, contract)
        counts.append(struct.unpack_from("<Q", asker.ask(*stats).payload)[0])
    decided = 0 if cap.startswith(("LOGD", "POLICYD_STATS", "POLICYD_HOLD")) else 1
    if cap != "SELFTEST_PEER":  # what the peer is told to try may be a question, too
        assert [counts[1] - counts[0], counts[2] - counts[1]] == [decided, decided]


@pytest.mark.parametrize("cap", ["INIT", "RNGD", "KEYSTORED", "SELFTEST_PEER"])
def test_unknown_operation_is_unsupported(asker: Asker, contract: SimpleNamespace, cap: str) -> None:
    known = {getattr(contract, row[1]) for row in OPERATIONS if row[0] == cap}
    for number in set(range(128)) - known - {contract.OP_ALL_READY}:
        assert asker.ask(asker.handle(cap), number).status == contract.STATUS_UNSUPPORTED, number


@pytest.mark.parametrize("cap", ["LOGD_APPEND", "LOGD_QUERY", "LOGD_STATS"])
def test_facet_sees_one_refusal_for_all_other_operations(asker: Asker, contract: SimpleNamespace, cap: str) -> None:
    own = getattr(contract, f"OP_{cap}")
    fits = {number: bytes(struct.calcsize(form.rstrip("*"))) for number, form in forms("LOGD", contract).items()}
    for number in set(range(128)) - {own}:
        assert asker.ask(asker.handle(cap), number, fits.get(number, b"")).status == contract.STATUS_DENIED, number


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    row=st.sampled_from(OPERATIONS),
    place=st.integers(0, 520),
    byte=st.integers(0, 255),
    tail=st.binary(max_size=12),
)
def test_mutated_frame_gets_one_whole_answer(
    asker: Asker, contract: SimpleNamespace, row: tuple[str, str, bytes], place: int, byte: int, tail: bytes
) -> None:
    """Whatever one byte becomes and whatever follows: an answer of the right shape, and the next request works."""
    cap, op, payload = row
    message = bytearray(frame(getattr(contract, op), payload, NONCE) + tail)
    message[place % len(message)] = byte
    answer = asker.send(asker.handle(cap), bytes(message))
    status_of(answer, bytes(message), contract)
    assert asker.ask(asker.handle("LOGD_STATS"), contract.OP_LOGD_STATS).status == contract.STATUS_OK
    assert [line for line in asker.machine.lines if "fault" in line] == []
