"""One audit record: its 128 bytes, and the same fields by name as one JSON object. Layout and names are the contract's.

Used by everything in this folder. Pure and lossless both ways, also for bytes that no logd would write.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from nexus.contract.load import Contract
from nexus.errors import UsageError

WIDE = ("subject", "via")  # service ids: JSON readers lose bits of such numbers, so they are hex there
BYTES = ("target", "previous")
ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


@dataclass(frozen=True)
class Record:
    """The fields in their order."""

    kind: int
    verdict: int
    op: int
    reason: int
    action: int
    rule: int
    seq: int
    time: int
    subject: int
    via: int
    subject_ix: int
    via_ix: int
    nonce: int
    count: int
    dropped: int
    last: int
    target: bytes
    previous: bytes


class Form:
    """Where each field lies and what its numbers are called."""

    def __init__(self, contract: Contract) -> None:
        self.bytes = contract.number("audit.record_bytes")
        self.slots = contract.number("audit.slots")
        self.app = contract.number("audit.app")
        self.nobody = contract.number("audit.nobody")
        offsets = contract.table("audit_at")
        ends = [*list(offsets.values())[1:], self.bytes]
        self.places = {name: (at, end) for (name, at), end in zip(offsets.items(), ends, strict=True)}
        assert list(self.places) == [field.name for field in fields(Record)]
        self.kinds: Mapping[str, int] = contract.table("audit_kind")
        self.verdicts: Mapping[str, int] = contract.table("audit_verdict")
        spelled = contract.table("action_name")
        self.actions = {spelled[key]: number for key, number in contract.table("action").items()}
        self.refusals: Mapping[str, int] = contract.table("bundle_refusal")

    def parse(self, data: bytes) -> Record:
        """Any 128 bytes."""
        values: dict[str, Any] = {}
        for name, (at, end) in self.places.items():
            raw = data[at:end]
            values[name] = raw if name in BYTES else int.from_bytes(raw, "little")
        return Record(**values)

    def to_bytes(self, record: Record) -> bytes:
        parts = []
        for name, (at, end) in self.places.items():
            value = getattr(record, name)
            parts.append(value if isinstance(value, bytes) else value.to_bytes(end - at, "little"))
        return b"".join(parts)

    def hash(self, record: Record) -> bytes:
        return hashlib.sha256(self.to_bytes(record)).digest()

    def is_counted(self, record: Record) -> bool:
        """Whether a record of its kind counts others that are the same."""
        return record.kind in (self.kinds["decision"], self.kinds["bundle"])

    def to_json(self, record: Record) -> dict[str, object]:
        """Kinds, verdicts and actions by name where they have one; of a bundle the reason too."""
        row: dict[str, object] = {name: getattr(record, name) for name in self.places}
        for name, names in self._named().items():
            if name != "reason" or record.kind == self.kinds["bundle"]:
                row[name] = _name_of(names, int(getattr(record, name)))
        for name in WIDE:
            row[name] = f"{getattr(record, name):#018x}"
        row["target"] = show_target(record.target)
        row["previous"] = record.previous.hex()
        return row

    def from_json(self, row: Mapping[str, object], where: str) -> Record:
        """The record that to_json gave; anything else is refused with its place."""
        values: dict[str, Any] = {}
        for name in self.places:
            if name not in row:
                raise UsageError(f"{where}: {name}: found nothing, expected the fields of an audit record")
            values[name] = self._value(name, row[name], where)
        return Record(**values)

    def _value(self, name: str, value: object, where: str) -> int | bytes:
        at, end = self.places[name]
        bad = UsageError(f"{where}: {name}: found {value!r}, expected what nexus audit export writes there")
        if name == "target" and isinstance(value, str):
            raw = _target_bytes(value, end - at)
            if raw is None:
                raise bad
            return raw
        if name == "previous" and isinstance(value, str) and re.fullmatch(f"[0-9a-f]{{{2 * (end - at)}}}", value):
            return bytes.fromhex(value)
        number = self._number(name, value)
        if number is None or not 0 <= number < 1 << 8 * (end - at):
            raise bad
        return number

    def _number(self, name: str, value: object) -> int | None:
        if isinstance(value, str) and name in WIDE:
            return int(value, 16) if re.fullmatch("0x[0-9a-f]{16}", value) else None
        if isinstance(value, str):
            return self._named().get(name, {}).get(value)
        return value if isinstance(value, int) and not isinstance(value, bool) and name not in WIDE + BYTES else None

    def _named(self) -> dict[str, Mapping[str, int]]:
        return {"kind": self.kinds, "verdict": self.verdicts, "reason": self.refusals, "action": self.actions}


def _name_of(names: Mapping[str, int], number: int) -> str | int:
    return next((name for name, known in names.items() if known == number), number)


def show_target(target: bytes) -> str:
    """Without the zeros that fill it up; whatever is not printable, and the backslash, as an escape."""
    return "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else f"\\x{byte:02x}" for byte in target.rstrip(b"\0")
    )


def _target_bytes(text: str, size: int) -> bytes | None:
    if not text.isascii() or "\\" in ESCAPE.sub("", text):
        return None
    raw = ESCAPE.sub(lambda match: chr(int(match[1], 16)), text).encode("latin-1")
    return raw.ljust(size, b"\0") if len(raw) <= size else None
