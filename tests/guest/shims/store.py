"""logd's kept region for tests of the trail, and the trail's own modules on it: every store is counted, and one of them can be the
last that logd lives to see. What is judged is the memory, by the host's rules for a whole trail.

Used by host tests of the trail. Knows of the guest's code only what audit.py calls.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from nexus import layout
from nexus.audit.record import Form
from nexus.audit.trail import Trail, from_store, verify
from nexus.contract.load import load_contract
from nexus.recipe.model import service_id
from shims import micropython
from shims.loader import Loader

ROOT = layout.find_root()
CONTRACT = load_contract(layout.contract_dir(ROOT))
FORM = Form(CONTRACT)
NAMES = ("init", "logd", "shell")
APPS = {len(NAMES): "app:one", len(NAMES) + 1: "app:two"}  # by dense index
CLASSES = 2 * (len(NAMES) + 1)
KINDS = CONTRACT.table("audit_kind")
VERDICTS = CONTRACT.table("audit_verdict")


class Killed(BaseException):
    """logd is gone: between two stores, wherever it was."""


class Memory:
    """Bytes, and how many stores are left to whoever writes them."""

    def __init__(self, size: int) -> None:
        self.data = bytearray(size)
        self.left: int | None = None
        self.stores = 0

    def store(self, at: int, data: bytes) -> None:
        """One store: all of it or nothing."""
        if self.left == 0:
            raise Killed
        if self.left is not None:
            self.left -= 1
        self.stores += 1
        self.data[at : at + len(data)] = data


class Items:
    """The memory as numbers of one size, as kernel.kept gives it."""

    def __init__(self, memory: Memory, size: int) -> None:
        self.memory, self.size = memory, size

    def __getitem__(self, key: int | slice) -> Any:
        if isinstance(key, slice):
            assert self.size == 1 and 0 <= key.start <= key.stop <= len(self.memory.data)
            return Slice(self.memory, key.start, key.stop - key.start)
        assert 0 <= key < len(self.memory.data) // self.size
        return int.from_bytes(self.memory.data[key * self.size : (key + 1) * self.size], "little")

    def __setitem__(self, key: int, value: int) -> None:
        assert 0 <= key < len(self.memory.data) // self.size
        self.memory.store(key * self.size, value.to_bytes(self.size, "little"))


class Slice:
    """Part of the memory, of one record at most. What is assigned to a slice is written byte by byte: any of them may be the last."""

    def __init__(self, memory: Memory, start: int, size: int) -> None:
        assert size <= FORM.bytes
        self.memory, self.start, self.size = memory, start, size

    def __len__(self) -> int:
        return self.size

    def __bytes__(self) -> bytes:
        return bytes(self.memory.data[self.start : self.start + self.size])

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, bytes | memoryview | Slice)
        return bytes(self) == bytes(other)

    def __getitem__(self, key: int | slice) -> Any:
        if isinstance(key, slice):
            start, stop, _ = key.indices(self.size)
            return Slice(self.memory, self.start + start, stop - start)
        return bytes(self)[key]

    def __setitem__(self, key: int | slice, value: Any) -> None:
        if isinstance(key, int):
            self.memory.store(range(self.start, self.start + self.size)[key], bytes([value]))
            return
        start, stop, _ = key.indices(self.size)
        assert stop - start == len(value)
        for place, byte in enumerate(bytes(value)):
            self.memory.store(self.start + start + place, bytes([byte]))


def draft(
    who: int = 0, action: int = 6, verdict: str = "allow", kind: str = "decision", target: bytes = b"-", nonce: int = 0
) -> bytes:
    """What policyd sends: a record up to the hash. `who` is a dense index; NAMES, then APPS."""
    app = who in APPS
    ident = service_id(APPS[who] if app else NAMES[who])
    fixed = struct.pack("<BBBBHH", KINDS[kind], VERDICTS[verdict], 1, 0, action, 3)
    ids = struct.pack("<QQQQ", 0, 0, ident, 0)
    rest = struct.pack("<HHIIIQ", who | FORM.app * app, FORM.nobody, nonce, 0, 0, 0)
    return fixed + ids + rest + target.ljust(32, b"\0")


class Guest:
    """One incarnation after the other of logd's trail on the same memory."""

    def __init__(self, contract: SimpleNamespace, room: int, memory: Memory | None = None) -> None:
        self.contract, self.slots = contract, room * CLASSES
        self.memory = memory or Memory(self.slots * FORM.bytes)
        given: dict[str, Any] = {"contract": contract, "micropython": micropython}
        folder = Path(ROOT, "guest/services/logd")
        loader = Loader([folder], given, {})
        self.trail_module = loader.load("trail")
        self.recover_module = loader.load("recover")
        self.pages = loader.load("pages")
        self.now = 0
        self.start()

    def start(self) -> None:
        """As audit.py does it; raises the module's Broken."""
        views = [Items(self.memory, size) for size in (1, 4, 8)]
        self.trail = self.trail_module.Trail(
            views, lambda data: hashlib.sha256(bytes(data)).digest(), len(NAMES), self.slots
        )
        self.recover_module.recover(self.trail)

    @property
    def broken(self) -> type[Exception]:
        found: type[Exception] = self.trail_module.Broken
        return found

    def append(self, data: bytes) -> None:
        self.now += 10
        self.trail.append(memoryview(data), self.now)

    def page(self, since: int, rings: Sequence[int], own: Any) -> tuple[int, list[bytes]]:
        """Seq to ask for next, and the records of one answer."""
        target = bytearray(5 + 3 * FORM.bytes)
        counted, self.trail.octets = self.trail.octets, memoryview(self.memory.data)
        count, following = self.pages.copy(self.trail, since, rings, own, memoryview(target), 5)
        self.trail.octets = counted
        return following, [bytes(target[5 + FORM.bytes * turn :][: FORM.bytes]) for turn in range(count)]

    def image(self) -> Trail:
        """What the host sees."""
        return from_store(FORM, NAMES, bytes(self.memory.data), self.slots)

    def sound(self) -> Trail:
        """The same, once it has verified and says what the guest says."""
        image = self.image()
        assert [str(finding) for finding in verify(image)] == []
        assert (image.seq, image.decisions, image.head().hash) == (
            self.trail.seq,
            self.trail.decisions,
            self.trail.head(),
        )
        return image
