"""What vault must answer to any request, worked out once more from the contract, and how its own C is compiled for this computer.

Used by tests/unit/test_vault_requests.py and tests/fuzz/vault_request.py, around tests/vault/host.c; shares no code with the vault.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nexus.contract.emit import emit_contract
from nexus.contract.load import load_contract
from nexus.layout import contract_dir, find_root

ROOT = find_root()
CONTRACT = load_contract(contract_dir(ROOT))
OP, STATUS = CONTRACT.table("op.vault"), CONTRACT.table("status")
READY = CONTRACT.number("op.all.ready")
NAMES = {number: name for name, number in OP.items()}
PURPOSES = set(CONTRACT.table("purpose").values())
REPLY_BIT = CONTRACT.number("wire.reply_bit")
MESSAGE_BYTES = CONTRACT.number("ipc.data_bytes")
MESSAGE_MAX = CONTRACT.number("limit.sign_message_bytes")
HEAD = struct.Struct("<BBHI")
ANSWER = struct.Struct("<BBBBI")
FLAGS = (
    "-std=gnu11",
    "-O1",
    "-g",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover",
)
FOLDERS = ("firmware/vault", "firmware/include", "firmware/native")
SOURCES = ("tests/vault/host.c", "firmware/vault/main.c", "firmware/vault/signed.c", "firmware/native/frame.c")


@dataclass(frozen=True)
class Request:
    message: bytes
    of_init: bool = False
    behalf: bool = True

    @property
    def packed(self) -> bytes:
        return struct.pack("<HBB", len(self.message), self.of_init, self.behalf) + self.message


class Expected:
    """vault as the contract describes it; knows whether there is a key."""

    def __init__(self) -> None:
        self.present = False
        self.made = 0
        self.told_ready = False

    def answer(self, request: Request) -> bytes:
        message = request.message
        op = message[1] if len(message) > 1 else 0
        nonce = int.from_bytes(message[4:8], "little") if len(message) >= HEAD.size else 0
        status = self._status(request, op)
        payload = self._payload(op, request) if status == "ok" else b""
        return ANSWER.pack(1, op | REPLY_BIT, STATUS[status], 0, nonce) + payload

    def _status(self, request: Request, op: int) -> str:
        message, count = request.message, len(request.message) - HEAD.size
        if count < 0 or message[0] != 1 or op & REPLY_BIT or int.from_bytes(message[2:4], "little") != count:
            return "malformed"
        name = NAMES.get(op, "ready" if op == READY else "unknown")
        if (name == "sign" and count < 2) or (name in ("seed", "pubkey", "destroy", "ready") and count):
            return "malformed"
        if request.of_init != (name == "ready") or (name == "sign" and not request.behalf):
            return "denied"
        return self._outcome(name, message[HEAD.size :])

    def _outcome(self, name: str, payload: bytes) -> str:
        if name == "ready":
            return "exists" if self.told_ready else "ok"
        if name == "unknown":
            return "unsupported"
        if name == "seed":
            return "exists" if self.present else "ok"
        if name == "sign" and len(payload) - 2 > MESSAGE_MAX:
            return "too_large"
        if name == "sign" and int.from_bytes(payload[:2], "little") not in PURPOSES:
            return "unsupported"
        return "ok" if self.present else "not_found"

    def _payload(self, op: int, request: Request) -> bytes:
        if op == READY:
            self.told_ready = True
            return b""
        if op == OP["destroy"]:
            self.present = False
            return struct.pack("<I", self.made)
        if op == OP["seed"]:
            self.present = True
            self.made += 1
        about = struct.pack("<IB", self.made, 0) + b"\x22" * 8
        return about + (self._signature(request) if op == OP["sign"] else b"\x11" * 32)

    def _signature(self, request: Request) -> bytes:
        """The straw key's: the sum of all that is covered, then filling."""
        purpose, message = request.message[HEAD.size : HEAD.size + 2], request.message[HEAD.size + 2 :]
        name = next(
            name for name, number in CONTRACT.table("purpose").items() if number == int.from_bytes(purpose, "little")
        )
        text = str(CONTRACT.table("purpose_name")[name]).encode("ascii")
        head = struct.pack("<QBBI", 0x0123456789ABCDEF, CONTRACT.number("kind.app"), 0, len(message))
        total = 0
        for byte in str(CONTRACT.table("signed")["tag"]).encode("ascii") + bytes([len(text)]) + text + head + message:
            total ^= byte
        return bytes([total]) + b"\x33" * 63


def framed(op: int, payload: bytes, nonce: int = 1) -> bytes:
    return HEAD.pack(1, op, len(payload), nonce) + payload


def headers(folder: Path) -> None:
    """What the image builder would generate for vault."""
    emit_contract(CONTRACT, folder)
    (folder / "vault.h").write_text("#define CAP_CONSOLE 1\n#define CAP_ENDPOINT 2\n#define CAP_RNGD 3\n")


def compile_vault(folder: Path, sources: Sequence[str] = SOURCES, flags: Sequence[str] = ()) -> Path:
    """The program of these sources in that folder."""
    headers(folder)
    includes = [f"-I{folder}", *(f"-I{ROOT / name}" for name in FOLDERS)]
    built = folder / "vault"
    files = [str(ROOT / name) for name in sources]
    subprocess.run(["cc", *FLAGS, *flags, *includes, "-o", str(built), *files], check=True)
    return built
