"""A machine whose bundlemgrd is asked for bundles, and what it has put on record. Used by host tests of bundlemgrd and by its fuzz target."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nxb import ACTION, OP, PUBLISHERS, REASONS, STATUS, puts

from nexus.audit.record import Record
from nexus.audit.trail import from_store, verify
from nexus.bundle.trust import trust_module
from shims.asker import Answer, Asker
from shims.machine import Machine
from shims.store import FORM as AUDIT

SEALERS = ("logd", "policyd", "rngd", "vault", "keystored")  # what has to be up before bundlemgrd


def trust(*rows: tuple[Ed25519PrivateKey, str]) -> str:
    """Another module `trust`: whose ids begin how."""
    found = [(key.public_key().public_bytes_raw(), (prefix.encode(),), False) for key, prefix in rows]
    return f"PUBLISHERS = {tuple(found)!r}\n"


class Keeping:
    """A machine with bundlemgrd, and one that asks it."""

    def __init__(self, machine: Machine, asker: str = "probe") -> None:
        self.machine = machine
        for name in (*SEALERS, "bundlemgrd"):
            self.start(name)
        self.asker = Asker(machine, asker)
        self._counted: dict[int, int] = {}

    @staticmethod
    def modules(bundled: Mapping[str, bytes], trusted: str = "") -> Mapping[str, Mapping[str, str]]:
        """Generated modules of its machine."""
        return {
            "bundlemgrd": {
                "trust": trusted or trust_module(PUBLISHERS),
                "bundled": f"BUNDLES = {dict(bundled)!r}\n",
            }
        }

    def start(self, name: str) -> None:
        self.machine.start(name)
        self.machine.run()

    def crash(self, name: str) -> None:
        self.machine.crash(name, self.machine.contract.FAULT_MEMORY)

    def region(self, number: int) -> bytearray:
        """What lies in that region; a test can change it behind everybody's back."""
        return self.machine.region_of("bundlemgrd", number).memory

    def later(self, ticks: int) -> None:
        self.machine.now += ticks

    def ask(self, name: str, payload: bytes = b"", by: Asker | None = None, accept: int = 0) -> Answer:
        asker = by or self.asker
        return asker.ask(asker.given("bundlemgrd"), OP[name], payload, accept=accept)

    def stage(self, data: bytes, ident: bytes = b"selftest.one", by: Asker | None = None) -> int:
        """The status of STAGE, then of the first PUT that was refused."""
        status = self.ask("stage", struct.pack("<I", len(data)) + ident, by).status
        for payload in puts(data):
            if status == STATUS["ok"]:
                status = self.ask("put", payload, by).status
        return status

    def install(self, data: bytes, ident: bytes = b"selftest.one", by: Asker | None = None) -> int:
        status = self.stage(data, ident, by)
        return status if status != STATUS["ok"] else self.ask("install", ident, by).status

    def open(self, ident: bytes = b"selftest.one", by: Asker | None = None) -> tuple[int, int | None]:
        """Status, and the handle of the region."""
        asker = by or self.asker
        status = self.ask("open", ident, by, accept=1).status
        return status, asker.kernel.received[0] if status == STATUS["ok"] else None

    def listed(self) -> list[tuple[Any, ...]]:
        """Version, publisher's key id, actions, bytes, gone, id of each."""
        rows: list[tuple[Any, ...]] = []
        for number in range(256):
            answer = self.ask("list", bytes([number]))
            if answer.status != STATUS["ok"]:
                assert answer == Answer(STATUS["not_found"], b"")
                return rows
            major, minor, patch, key_id, actions, size, gone = struct.unpack_from("<IIIQQIB", answer.payload)
            rows.append(((major, minor, patch), key_id, actions, size, gone, answer.payload[33:]))
        raise AssertionError("no end")

    @staticmethod
    def records(machine: Machine) -> list[Record]:
        """Everything in the trail, by number; it verifies."""
        names = tuple(process.row.id_name for process in machine.processes if process.kind == 0)
        found = from_store(AUDIT, names, bytes(machine.process("logd").kept))
        assert [str(finding) for finding in verify(found)] == []
        return [row for _, row in found.records]

    def outcomes(self) -> list[tuple[str, str, str, str, int]]:
        """Operation, action, id, reason ("" when taken) and count of each record of a bundle."""
        kind = AUDIT.kinds["bundle"]
        return [outcome(one) for one in self.records(self.machine) if one.kind == kind]

    def news(self) -> list[tuple[str, str, str, str]]:
        """What is on record since the last time, counted together or not: operation, action, id, reason."""
        rows = [one for one in self.records(self.machine) if one.kind == AUDIT.kinds["bundle"]]
        new = [outcome(one)[:4] for one in rows for _ in range(one.count - self._counted.get(one.seq, 0))]
        self._counted = {one.seq: one.count for one in rows}
        return new


def outcome(record: Record) -> tuple[str, str, str, str, int]:
    ops = {number: name for name, number in OP.items()}
    actions = {number: name for name, number in ACTION.items()}
    allowed = record.verdict == AUDIT.verdicts["allow"]
    assert allowed == (record.reason == 0)
    target = record.target.rstrip(b"\0").decode()
    return ops[record.op], actions[record.action], target, "" if allowed else REASONS[record.reason], record.count
