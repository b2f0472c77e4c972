"""keystored alone, and who it has to do with, played by the test: policyd, vault (which signs for real), logd, callers.

Used by the tests of keystored. Each of the three can be told to answer wrongly.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from types import SimpleNamespace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from nexus.contract.load import load_contract
from nexus.layout import contract_dir, find_root
from nexus.recipe.model import service_id
from nexus.verdict.signature import Signed, key_id, signed_bytes
from shims.alone import Alone, Caller, Question, Server
from shims.asker import Answer

ROOT = find_root()
CONTRACT = load_contract(contract_dir(ROOT))
OP, STATUS, ACTION = CONTRACT.table("op.keystored"), CONTRACT.table("status"), CONTRACT.table("action")
VAULT_OP = CONTRACT.table("op.vault")
PURPOSE = CONTRACT.table("purpose")
ENDPOINT, POLICYD, VAULT, LOGD_AUDIT = 0x101, 0x102, 0x103, 0x104
SUBJECTS = ("init", "logd", "policyd", "rngd", "vault", "keystored", "selftest-client", "selftest-peer")
KEPT_BYTES = 4096


def service(name: str) -> Caller:
    return Caller(SUBJECTS.index(name), service_id(name))


def app(name: str, publisher: int = 7) -> Caller:
    return Caller(32, service_id(f"app:{name}"), 1, publisher)


CLIENT, PEER, APP = service("selftest-client"), service("selftest-peer"), app("one")
ALLOWED = frozenset({CLIENT, APP})


class Policyd:
    """Says yes to some callers, but for what `refused` names; remembers every question. `broken` answers in its place."""

    def __init__(self) -> None:
        self.allowed = set(ALLOWED)
        self.refused: set[tuple[int, bytes]] = set()
        self.asked: list[tuple[Caller | None, int, bytes]] = []
        self.broken: Callable[[], Answer | bytes] | None = None

    def __call__(self, question: Question) -> Answer | bytes:
        assert question.op == CONTRACT.number("op.policyd.check")
        action, target = int.from_bytes(question.payload[:2], "little"), question.payload[2:]
        self.asked.append((question.caller, action, target))
        if self.broken is not None:
            return self.broken()
        allowed = question.caller in self.allowed and (action, target) not in self.refused
        return Answer(STATUS["ok" if allowed else "denied"], b"")


class Vault:
    """A key, and what the real one does with it. `broken` gets the honest answer and says what is sent instead."""

    def __init__(self) -> None:
        self.key: Ed25519PrivateKey | None = None
        self.made = self.mode = 0
        self.asked: list[Question] = []
        self.broken: Callable[[Answer], Answer | bytes] | None = None

    def __call__(self, question: Question) -> Answer | bytes:
        self.asked.append(question)
        honest = self._answer(question)
        return honest if self.broken is None else self.broken(honest)

    @property
    def public(self) -> bytes:
        assert self.key is not None
        return self.key.public_key().public_bytes_raw()

    def _answer(self, question: Question) -> Answer:
        name = next(name for name, number in VAULT_OP.items() if number == question.op)
        if name == "seed":
            if self.key is not None:
                return Answer(STATUS["exists"], b"")
            self.made += 1
            self.key = Ed25519PrivateKey.from_private_bytes(self.made.to_bytes(32, "big"))
        if self.key is None:
            return Answer(STATUS["not_found"], b"")
        about = struct.pack("<IB", self.made, self.mode) + key_id(CONTRACT, self.public)
        if name == "sign":
            return Answer(STATUS["ok"], about + self._signature(question))
        if name == "destroy":
            self.key = None
            return Answer(STATUS["ok"], about[:4])
        return Answer(STATUS["ok"], about + self.public)

    def _signature(self, question: Question) -> bytes:
        assert self.key is not None and question.caller is not None
        number, who = int.from_bytes(question.payload[:2], "little"), question.caller
        name = next(name for name, known in PURPOSE.items() if known == number)
        purpose = str(CONTRACT.table("purpose_name")[name])
        asked = Signed(purpose, who.service_id, who.kind, self.mode, question.payload[2:])
        return self.key.sign(signed_bytes(CONTRACT, asked))


class World:
    """A running keystored and everybody around it."""

    def __init__(self) -> None:
        self.policyd, self.vault = Policyd(), Vault()
        self.audited: list[Question] = []
        self.kept = bytearray(KEPT_BYTES)
        self.lines: list[str] = []
        self.start()

    def start(self) -> None:
        """Another incarnation: nothing of the one before is left but the kept memory."""
        caps = SimpleNamespace(
            ENDPOINT=ENDPOINT,
            POLICYD=POLICYD,
            VAULT=VAULT,
            LOGD_AUDIT=LOGD_AUDIT,
            KEPT_BYTES=KEPT_BYTES,
            SUBJECTS=SUBJECTS,
        )
        servers: Mapping[int, Server] = {POLICYD: self.policyd, VAULT: self.vault, LOGD_AUDIT: self._audit}
        folders = [ROOT / "guest" / "services" / "keystored", ROOT / "guest" / "lib"]
        contract = SimpleNamespace(**CONTRACT.constants)
        self.alone = Alone(contract, folders, caps, servers, self.kept)
        self.alone.kernel.lines = self.lines

    def restart(self) -> None:
        self.alone.close()
        self.start()

    def _audit(self, question: Question) -> Answer:
        self.audited.append(question)
        return Answer(STATUS["ok"], b"")

    def ask(self, name: str, payload: bytes = b"", caller: Caller = CLIENT) -> Answer:
        return self.alone.ask(caller, OP[name], payload)

    def sign(self, message: bytes, purpose: str = "selftest", caller: Caller = CLIENT) -> bytes:
        """Key id and signature, as VERIFY wants them."""
        answer = self.ask("sign", struct.pack("<H", PURPOSE[purpose]) + message, caller)
        assert answer.status == STATUS["ok"]
        return answer.payload[5:]

    def verify(self, by: Caller, id_and_signature: bytes, message: bytes, purpose: int = 2) -> Answer:
        fixed = struct.pack("<HQB", purpose, by.service_id, by.kind)
        return self.ask("verify", fixed + id_and_signature + message)

    def rotate(self) -> None:
        self.ask("device_key_destroy")
        assert self.ask("device_keygen").status == STATUS["ok"]

    def put(self, caller: Caller, key: bytes, value: bytes) -> int:
        return self.ask("put", bytes([len(key)]) + key + value, caller).status

    def get(self, caller: Caller, key: bytes) -> bytes | None:
        answer = self.ask("get", key, caller)
        return answer.payload if answer.status == STATUS["ok"] else None


def refused(status: str) -> Answer:
    return Answer(STATUS[status], b"")
