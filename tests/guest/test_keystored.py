"""keystored alone: what each operation asks the gate, in which order it checks, what it passes on of vault's answers, what it
prints. test_keystored_keys.py is about its keys, test_keystored_kv.py about what callers store.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shims.alone import Caller, Question
from shims.asker import Answer, frame
from shims.kernel import Error
from shims.keyworld import (
    ACTION,
    APP,
    CLIENT,
    CONTRACT,
    OP,
    PEER,
    PURPOSE,
    STATUS,
    VAULT_OP,
    World,
    refused,
    service,
)

GENUINE = Answer(0, b"\x01")
SIGN = struct.pack("<H", PURPOSE["selftest"])
VERIFY = struct.pack("<HQB", PURPOSE["selftest"], 1, 0)
# operation, a whole payload, the question that it must put
OPERATIONS = [
    ("device_keygen", b"", "device_keygen", b"-"),
    ("device_pubkey", b"", "device_pubkey_read", b"-"),
    ("device_key_destroy", b"", "device_key_destroy", b"-"),
    ("sign", SIGN + b"message", "crypto_sign", b"selftest"),
    ("verify", VERIFY + bytes(8 + 64) + b"message", "crypto_verify", b"-"),
    ("export", b"", "device_key_export", b"-"),
    ("put", b"\x03keyvalue", "keystore_kv", b"-"),
    ("get", b"key", "keystore_kv", b"-"),
    ("del", b"key", "keystore_kv", b"-"),
    ("purge", struct.pack("<QQ", APP.service_id, 7), "keystore_purge", b"-"),
]
EACH = pytest.mark.parametrize(("op", "payload", "action", "target"), OPERATIONS, ids=list(OP))
EACH_REQUEST = pytest.mark.parametrize(("op", "payload"), [row[:2] for row in OPERATIONS], ids=list(OP))


# the gate


def test_every_operation_of_the_contract_is_tried_here() -> None:
    assert [row[0] for row in OPERATIONS] == list(OP)


@EACH
def test_every_operation_asks_once_about_its_caller(
    world: World, op: str, payload: bytes, action: str, target: bytes
) -> None:
    for caller in (CLIENT, APP, PEER):
        world.policyd.asked.clear()
        world.ask(op, payload, caller)
        assert world.policyd.asked == [(caller, ACTION[action], target)]


@EACH_REQUEST
def test_denied_caller_changes_nothing_and_learns_nothing(world: World, op: str, payload: bytes) -> None:
    """The twin that may differs in that right alone."""
    world.ask("device_keygen")
    world.put(APP, b"key", b"kept")
    world.vault.asked.clear()
    assert world.ask(op, payload, PEER) == refused("denied")
    assert world.vault.asked == []
    assert world.get(APP, b"key") == b"kept"
    assert world.get(PEER, b"key") is None
    world.policyd.allowed.add(PEER)
    assert world.ask(op, payload, PEER).status != STATUS["denied"] or op == "export"


@EACH
@pytest.mark.parametrize("why", ["silent", "gone", "late", "nonsense", "unavailable", "malformed"])
def test_no_answer_of_policyd_is_a_refusal_on_record(
    world: World, op: str, payload: bytes, action: str, target: bytes, why: str
) -> None:
    def broken() -> Answer | bytes:
        if why in ("silent", "gone"):
            raise Error(CONTRACT.number("e.deadline" if why == "silent" else "e.peer_died"))
        if why == "late":
            world.alone.kernel.now += CONTRACT.number("edge_deadline.policyd.all")
            return refused("ok")
        return b"\x01\x81\x00\x00" if why == "nonsense" else refused(why)

    world.policyd.broken = broken
    assert world.ask(op, payload) == refused("denied")
    assert world.vault.asked == []
    (question,) = world.audited
    assert question == Question(
        CONTRACT.number("op.logd.audit"), struct.pack("<BH", OP[op], ACTION[action]) + target, CLIENT
    )


@EACH_REQUEST
def test_badge_in_other_hands_is_denied_unasked(world: World, op: str, payload: bytes) -> None:
    """The facet of READY opens nothing else either."""
    ready = CONTRACT.number("badge.facet_ready")
    assert world.alone.ask(CLIENT, OP[op], payload, ready) == refused("denied")
    assert world.policyd.asked == []


def oversized() -> list[tuple[str, bytes]]:
    long, key, value = (CONTRACT.number(f"limit.{name}") + 1 for name in SIZES)
    return [
        ("sign", SIGN + bytes(long)),
        ("verify", VERIFY + bytes(8 + 64 + long)),
        ("put", bytes([key]) + bytes(key)),
        ("put", b"\x01k" + bytes(value)),
        ("get", bytes(key)),
        ("del", bytes(key)),
    ]


SIZES = ("sign_message_bytes", "kv_key_bytes", "kv_value_bytes")


@pytest.mark.parametrize(("op", "payload"), oversized(), ids=["sign", "verify", "put-key", "put-value", "get", "del"])
def test_sizes_are_looked_at_after_the_gate(world: World, op: str, payload: bytes) -> None:
    world.ask("device_keygen")
    assert world.ask(op, payload, PEER) == refused("denied")
    assert world.ask(op, payload) == refused("too_large")
    assert [question.op for question in world.vault.asked] == [VAULT_OP["seed"]]


def test_largest_sizes_are_served(world: World) -> None:
    message, key, value = (bytes(CONTRACT.number(f"limit.{name}")) for name in SIZES)
    world.ask("device_keygen")
    assert world.verify(CLIENT, world.sign(message), message) == GENUINE
    assert world.put(CLIENT, key, value) == STATUS["ok"]
    assert world.get(CLIENT, key) == value


MALFORMED = [
    *((row[0], row[1] + b"x") for row in OPERATIONS if not row[1] or row[0] == "purge"),
    ("sign", b"\x02"),
    ("verify", VERIFY[:-1]),
    ("put", b""),
    ("purge", bytes(15)),
]


@pytest.mark.parametrize(("op", "payload"), MALFORMED, ids=[f"{row[0]}-{len(row[1])}" for row in MALFORMED])
def test_payload_of_another_form_is_malformed_whoever_asks(world: World, op: str, payload: bytes) -> None:
    for caller in (CLIENT, PEER):
        assert world.ask(op, payload, caller) == refused("malformed")
    assert world.policyd.asked == []


@pytest.mark.parametrize(
    ("op", "payload"),
    [("get", b""), ("del", b""), ("put", b"\x00value"), ("put", b"\x06value"), ("verify", VERIFY + bytes(71))],
    ids=["get", "del", "put-no-key", "put-cut", "verify-cut"],
)
def test_what_is_no_key_is_malformed_for_whom_is_allowed(world: World, op: str, payload: bytes) -> None:
    assert world.ask(op, payload, PEER) == refused("denied")
    assert world.ask(op, payload) == refused("malformed")


def test_ready_is_answered_once_to_its_own_facet(world: World) -> None:
    op, init = CONTRACT.number("op.all.ready"), service("init")
    assert world.alone.ask(init, op) == refused("denied")
    assert world.lines == []
    assert world.alone.ask(init, op, b"", CONTRACT.number("badge.facet_ready")) == refused("ok")
    assert world.lines == [CONTRACT.constants["MARK_KEYSTORED_READY"]]
    assert world.alone.ask(init, op, b"", CONTRACT.number("badge.facet_ready")) == refused("exists")


# the private key


def test_export_is_denied_even_if_policy_said_yes(world: World) -> None:
    world.ask("device_keygen")
    world.vault.asked.clear()
    assert world.ask("export") == refused("denied")
    assert world.policyd.asked[-1] == (CLIENT, ACTION["device_key_export"], b"-")
    assert world.vault.asked == []


# signing


@pytest.mark.parametrize("caller", [CLIENT, APP], ids=["service", "app"])
def test_signature_is_asked_for_on_behalf_of_the_caller(world: World, caller: Caller) -> None:
    world.ask("device_keygen")
    message = bytes(range(200))
    signature = world.sign(message, caller=caller)
    assert world.vault.asked[-1] == Question(VAULT_OP["sign"], SIGN + message, caller)
    assert world.verify(caller, signature, message) == GENUINE


@pytest.mark.parametrize("purpose", sorted(PURPOSE))
def test_purpose_is_what_the_gate_is_asked_about(world: World, purpose: str) -> None:
    name = str(CONTRACT.table("purpose_name")[purpose]).encode()
    payload = struct.pack("<H", PURPOSE[purpose]) + b"message"
    world.ask("device_keygen")
    world.policyd.refused = {(ACTION["crypto_sign"], name)}
    assert world.ask("sign", payload) == refused("denied")
    world.policyd.refused = {
        (ACTION["crypto_sign"], str(other).encode())
        for key, other in CONTRACT.table("purpose_name").items()
        if key != purpose
    }
    assert world.ask("sign", payload).status == STATUS["ok"]


@pytest.mark.parametrize("number", [0, 4, 255, 256, 257, 0xFFFF])
def test_purpose_that_is_none_is_unknown_and_then_unsupported(world: World, number: int) -> None:
    world.ask("device_keygen")
    payload = struct.pack("<H", number) + b"message"
    assert world.ask("sign", payload, PEER) == refused("denied")
    assert world.ask("sign", payload) == refused("unsupported")
    assert world.policyd.asked[-1] == (CLIENT, ACTION["crypto_sign"], b"unknown")
    assert world.verify(CLIENT, bytes(72), b"", number) == refused("unsupported")
    assert [question.op for question in world.vault.asked] == [VAULT_OP["seed"]]


def test_refused_signature_is_told_by_the_name_that_the_kernel_states(world: World) -> None:
    text = str(CONTRACT.constants["LINE_SIGN_DENIED"])
    world.ask("sign", SIGN + b"selftest-client", PEER)
    assert world.lines == [f"{text}selftest-peer)"]
    world.policyd.allowed.clear()
    world.ask("sign", SIGN, APP)
    world.ask("sign", SIGN, CLIENT)
    assert world.lines[1:] == [f"{text}app)", f"{text}selftest-client)"]


# vault's answers


ABOUT_KEY = [
    row[:2] for row in OPERATIONS if row[0] in ("device_keygen", "device_pubkey", "device_key_destroy", "sign")
]
EACH_ABOUT_KEY = pytest.mark.parametrize(("op", "payload"), ABOUT_KEY, ids=[row[0] for row in ABOUT_KEY])
PASSED_ON = {"exists", "not_found", "rate_limited", "unavailable"}


@EACH_ABOUT_KEY
@pytest.mark.parametrize("status", [*(name for name in STATUS if name != "ok"), "none"])
def test_refusal_of_vault_is_the_callers_only_where_it_is_for_the_caller(
    world: World, op: str, payload: bytes, status: str
) -> None:
    world.vault.broken = lambda _honest: Answer(STATUS.get(status, 0x7F), b"")
    assert world.ask(op, payload) == refused(status if status in PASSED_ON else "unavailable")


@EACH_ABOUT_KEY
@pytest.mark.parametrize("error", ["deadline", "peer_died", "bad_handle"])
def test_vault_that_does_not_answer_is_unavailable(world: World, op: str, payload: bytes, error: str) -> None:
    def silent(_honest: Answer) -> Answer:
        raise Error(CONTRACT.number(f"e.{error}"))

    world.vault.broken = silent
    assert world.ask(op, payload) == refused("unavailable")


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda payload: payload[:-1],
    "longer": lambda payload: payload + b"\x00",
    "empty": lambda _payload: b"",
    "more": lambda payload: payload + bytes(range(64)),
}


@EACH_ABOUT_KEY
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_answer_of_another_length_is_not_passed_on(
    world: World, op: str, payload: bytes, damage: Callable[[bytes], bytes]
) -> None:
    if op != "device_keygen":
        world.ask("device_keygen")
    world.vault.broken = lambda honest: Answer(honest.status, damage(honest.payload))
    assert world.ask(op, payload) == refused("unavailable")


@pytest.mark.parametrize("op", ["device_keygen", "device_pubkey"])
@pytest.mark.parametrize("place", [4, 5, 12, 13, 44], ids=["mode", "id", "id-end", "public", "public-end"])
def test_key_that_is_not_what_it_is_called_is_not_passed_on(world: World, op: str, place: int) -> None:
    if op == "device_pubkey":
        world.ask("device_keygen")
    lines = list(world.lines)

    def changed(honest: Answer) -> Answer:
        payload = bytearray(honest.payload)
        payload[place] ^= 0x80
        return Answer(honest.status, bytes(payload))

    world.vault.broken = changed
    assert world.ask(op) == refused("unavailable")
    assert world.lines == lines


# anything at all


REQUESTS = st.tuples(
    st.sampled_from([CLIENT, PEER, APP]),
    st.one_of(st.sampled_from(sorted(OP.values())), st.integers(0, 127)),
    st.one_of(
        st.sampled_from([row[1] for row in OPERATIONS]),
        st.binary(max_size=504),
        st.builds(bytes.__add__, st.sampled_from([SIGN, VERIFY, b"\x03", b"\x40"]), st.binary(max_size=400)),
    ),
)


def test_whatever_is_asked_only_fixed_lines_are_printed(world: World) -> None:
    text = str(CONTRACT.constants["LINE_SIGN_DENIED"])
    fixed = {CONTRACT.constants["LINE_KEY_EPHEMERAL"], f"{text}selftest-peer)"}

    @settings(max_examples=400, deadline=None)
    @given(REQUESTS)
    def any_request(request: tuple[Caller, int, bytes]) -> None:
        caller, op, payload = request
        before = len(world.lines)
        answer = world.alone.ask(caller, op, payload)
        assert answer.status in STATUS.values()
        assert answer.status == STATUS["ok"] or answer.payload == b""
        assert caller is not PEER or answer.status != STATUS["ok"]
        assert set(world.lines[before:]) <= fixed

    any_request()


def test_frame_that_is_none_is_malformed_unasked(world: World) -> None:
    whole = frame(OP["sign"], SIGN + b"message", 0xC0FFEE)
    for length in range(len(whole)):
        answer = world.alone.send(CLIENT, whole[:length])
        assert (len(answer), answer[2]) == (8, STATUS["malformed"])
    assert world.policyd.asked == []
