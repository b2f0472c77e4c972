"""Any bytes as a request to keystored: no byte of a private key comes out, nobody is served whom policy refuses, values are those of their own
caller, and a signature covers what was sent. Around the shipped modules policyd, vault and logd are played by tests/guest/shims/keyworld.py;
this vault's keys are known, so that they would be recognised.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from served import CONTRACT, DATA_BYTES, HEADER, NONCE, PAUSES, STATUS, check_answer, fits, is_request, mutator
from shims.alone import Caller, Question
from shims.asker import Answer, frame
from shims.keyworld import APP, CLIENT, PEER, Vault, World, app
from target import Target

from nexus.verdict.signature import Signed, is_signature

OP = CONTRACT.table("op.keystored")
NAMES = {number: name for name, number in OP.items()}
FORMS, REPLIES = CONTRACT.table("request.keystored"), CONTRACT.table("reply.keystored")
PURPOSES = {number: str(CONTRACT.table("purpose_name")[name]) for name, number in CONTRACT.table("purpose").items()}
SEED, PUBKEY = CONTRACT.number("op.vault.seed"), CONTRACT.number("op.vault.pubkey")
KEY_BYTES, VALUE_BYTES = CONTRACT.number("limit.kv_key_bytes"), CONTRACT.number("limit.kv_value_bytes")
FAULT = str(CONTRACT.constants["LINE_HANDLER_FAULT"])
SELFTEST = CONTRACT.number("purpose.selftest")
PIECE = 8  # bytes of a secret that never come by chance
CALLERS = (CLIENT, APP, PEER, app("two"))  # the first two are allowed, the others refused
ALIVE_EACH = 128
GOOD = (
    (0, OP["device_keygen"], b""),
    (0, OP["device_pubkey"], b""),
    (0, OP["sign"], struct.pack("<H", SELFTEST) + b"message"),
    (0, OP["sign"], struct.pack("<H", SELFTEST) + b"m" * CONTRACT.number("limit.sign_message_bytes")),
    (0, OP["verify"], struct.pack("<HQB", SELFTEST, CLIENT.service_id, 0) + bytes(72) + b"message"),
    (0, OP["put"], b"\x03keyvalue"),
    (0, OP["get"], b"key"),
    (1, OP["put"], b"\x03key" + b"v" * VALUE_BYTES),
    (1, OP["get"], b"key"),
    (1, OP["del"], b"key"),
    (0, OP["purge"], struct.pack("<QQ", APP.service_id, APP.publisher)),
    (0, OP["export"], b""),
    (0, OP["device_key_destroy"], b""),
    (2, OP["device_keygen"], b""),
)


class KnownVault(Vault):
    """Its private keys are remembered, and look like nothing a caller would send."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: list[bytes] = []

    def _answer(self, question: Question) -> Answer:
        if question.op != SEED or self.key is not None:
            return super()._answer(question)
        self.made += 1
        self.secrets = [*self.secrets, hashlib.sha256(b"secret %d" % self.made).digest()][-4:]
        self.key = Ed25519PrivateKey.from_private_bytes(self.secrets[-1])
        return super()._answer(replace(question, op=PUBKEY))


class Keystored:
    """The running service, and what its callers have stored by their own account."""

    def __init__(self) -> None:
        self.count = 0
        self.boot()

    def boot(self) -> None:
        self.world = World()
        self.vault = self.world.vault = KnownVault()
        self.world.restart()
        self.values: dict[tuple[Caller, bytes], bytes] = {}

    def restart(self) -> None:
        self.close()
        self.boot()

    def close(self) -> None:
        self.world.alone.close()

    def check(self, data: bytes) -> None:
        if not data:
            return
        caller, facet = CALLERS[data[0] % len(CALLERS)], int(data[0] & 0x3C == 0x3C)
        self.world.alone.kernel.now += PAUSES[data[0] >> 6]
        message = data[1 : 1 + DATA_BYTES]
        self.forget()
        answer = self.world.alone.send(caller, message, facet)
        status = check_answer(message, answer)
        self.check_secrets(answer)
        wanted = self.find_status(message, caller, facet)
        assert wanted is None or status == wanted, f"status {status} instead of {wanted}"
        if wanted is None:
            self.check_allowed(caller, message, status, answer[HEADER:])
        self.count += 1
        if self.count % ALIVE_EACH == 0:
            whole = frame(OP["get"], b"never put", NONCE)
            assert check_answer(whole, self.world.alone.send(CLIENT, whole)) == STATUS["not_found"]

    def forget(self) -> None:
        for asked in (self.world.policyd.asked, self.vault.asked, self.world.audited, self.world.lines):
            asked.clear()

    def check_secrets(self, answer: bytes) -> None:
        said = b"".join([answer, *(line.encode("latin-1") for line in self.world.lines)])
        for secret in self.vault.secrets:
            pieces = (secret[at : at + PIECE] for at in range(len(secret) - PIECE + 1))
            assert not any(piece in said for piece in pieces), "a piece of the private key came out"
        assert not any(FAULT in line for line in self.world.lines), self.world.lines

    def find_status(self, message: bytes, caller: Caller, facet: int) -> int | None:
        """What does not depend on what is stored; None: served, or refused for a reason that check_allowed knows."""
        if not is_request(message):
            return int(STATUS["malformed"])
        name = NAMES.get(message[1])
        if not fits(str(FORMS[name]) if name else "*", message[HEADER:]):
            # READY is an operation without payload, of a facet that nobody here has.
            return int(STATUS["malformed"])
        if message[1] == CONTRACT.number("op.all.ready"):
            return int(STATUS["malformed" if message[HEADER:] else "denied"])
        if facet:
            return int(STATUS["denied"])
        if name is None:
            return int(STATUS["unsupported"])
        return int(STATUS["denied"]) if name == "export" or caller not in self.world.policyd.allowed else None

    def check_allowed(self, caller: Caller, message: bytes, status: int, answer: bytes) -> None:
        name, payload = NAMES[message[1]], message[HEADER:]
        assert self.world.policyd.asked, "served without a question to policyd"
        assert {who for who, _, _ in self.world.policyd.asked} == {caller}, "policyd was asked about another"
        assert {asked.caller for asked in self.vault.asked} <= {caller}, "the vault was asked for another"
        if status == STATUS["ok"]:
            assert fits(str(REPLIES[name]), answer), answer.hex()
        known = {
            "put": self.check_put,
            "get": self.check_get,
            "del": self.check_del,
            "purge": self.check_purge,
            "sign": self.check_sign,
        }
        if name in known:
            known[name](caller, payload, status, answer)

    def check_put(self, caller: Caller, payload: bytes, status: int, _answer: bytes) -> None:
        size, rest = payload[0], payload[1:]
        if size > len(rest) or size == 0:
            assert status == STATUS["malformed"]
        elif size > KEY_BYTES or len(rest) - size > VALUE_BYTES:
            assert status == STATUS["too_large"]
        elif status == STATUS["ok"]:
            self.values[caller, rest[:size]] = rest[size:]
        else:
            assert status == STATUS["unavailable"], "no room is the one reason that is left"
            assert (caller, rest[:size]) not in self.values, "a value that is there can always be replaced"

    def check_key(self, caller: Caller, key: bytes, status: int) -> bool:
        """Whether there is such a value."""
        if not key or len(key) > KEY_BYTES:
            assert status == STATUS["too_large" if key else "malformed"]
            return False
        there = (caller, key) in self.values
        assert status == STATUS["ok" if there else "not_found"], key
        return there

    def check_get(self, caller: Caller, payload: bytes, status: int, answer: bytes) -> None:
        if self.check_key(caller, payload, status):
            assert answer == self.values[caller, payload], "another value than was put"

    def check_del(self, caller: Caller, payload: bytes, status: int, _answer: bytes) -> None:
        if self.check_key(caller, payload, status):
            del self.values[caller, payload]

    def check_purge(self, _caller: Caller, payload: bytes, status: int, _answer: bytes) -> None:
        assert status == STATUS["ok"]
        ident, publisher = struct.unpack("<QQ", payload)
        gone = [place for place in self.values if place[0] == Caller(place[0].index, ident, 1, publisher)]
        for place in gone:
            del self.values[place]

    def check_sign(self, caller: Caller, payload: bytes, status: int, answer: bytes) -> None:
        purpose = PURPOSES.get(int.from_bytes(payload[:2], "little"))
        if status == STATUS["ok"]:
            assert purpose is not None
            signed = Signed(purpose, caller.service_id, caller.kind, answer[4], payload[2:])
            assert is_signature(CONTRACT, self.vault.public, answer[13:], signed), "it signs something else"


def target() -> Target:
    keystored = Keystored()
    seeds = [bytes([place]) + frame(op, payload, NONCE) for place, op, payload in GOOD]
    return Target(keystored.check, seeds, mutator(GOOD), keystored.restart, lambda: keystored.close())
