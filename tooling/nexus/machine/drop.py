"""The drop disk: a bundle handed to a running machine. First what lies on it, as bytes (recipes/contract/drop.toml); then how it gets
there: the file behind the disk is written and the disk's size changed, which QEMU tells the machine.

Called by the verbs that install, by target.py and by tests. What is dropped is judged in the machine, not here.
"""

from __future__ import annotations

import secrets
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nexus.bundle.model import Form
from nexus.contract.load import Contract
from nexus.errors import UsageError
from nexus.machine.argv import DISK

NUMBERS = 1 << 32


@dataclass(frozen=True)
class Drop:
    """A bundle on its way. `number` is what the machine's lines about it name."""

    number: int
    data: bytes
    start: bool

    @classmethod
    def of(cls, contract: Contract, data: bytes, *, start: bool) -> Drop:
        """A drop with a number that none before it had."""
        most = contract.number("drop.disk_max") - contract.number("drop.sector")
        if len(data) > most:
            raise UsageError(f"the file has {len(data)} bytes; the machine takes at most {most}")
        empty = contract.number("drop.empty")
        return cls(empty + 1 + secrets.randbelow(NUMBERS - 1 - empty), data, start)


class Control(Protocol):
    """What is needed of a control channel."""

    def execute(self, command: str, arguments: dict[str, object] | None = None) -> object: ...


# ---- what lies on the disk -------------------------------------------------------------------------------------------


def empty_disk(contract: Contract) -> bytes:
    """A disk on which nothing was dropped yet."""
    return _header(contract, contract.number("drop.empty"))


def disk_of(contract: Contract, drop: Drop) -> bytes:
    """Header and file, filled up to whole sectors."""
    flags = contract.number("drop_flag.start") if drop.start else 0
    header = _header(contract, drop.number, flags, len(drop.data), bundle_id(contract, drop.data))
    disk = header + drop.data
    return disk + bytes(-len(disk) % contract.number("drop.sector"))


def bundle_id(contract: Contract, data: bytes) -> bytes:
    """What the file calls itself; nobody has checked that."""
    form = Form(contract)
    name = data[form.places["id"]].rstrip(b"\0")
    if not data.startswith(form.magic) or not name:
        raise UsageError("the file is no bundle", "nexus bundle build makes one")
    return name


def _header(contract: Contract, number: int, flags: int = 0, size: int = 0, name: bytes = b"") -> bytes:
    places = contract.table("drop_at")
    header = bytearray(contract.number("drop.sector"))
    magic = str(contract.table("drop")["magic"]).encode()
    header[places["magic"] : places["magic"] + len(magic)] = magic
    for field, value in (("number", number), ("flags", flags), ("bytes", size)):
        struct.pack_into("<I", header, places[field], value)
    header[places["id"] : places["id"] + len(name)] = name
    return bytes(header)


# ---- how it gets into a machine --------------------------------------------------------------------------------------


def put(control: Control, file: Path, disk: bytes) -> None:
    """Have this lie on the machine's disk from one moment to the next: while it is written, the disk has no size."""
    _resize(control, 0)
    file.write_bytes(disk)
    _resize(control, len(disk))


def _resize(control: Control, size: int) -> None:
    control.execute("block_resize", {"node-name": DISK, "size": size})
