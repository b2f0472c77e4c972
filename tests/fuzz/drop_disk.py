"""Any first sector of the drop disk: what is taken as a drop is exactly what the host writes for one, and its file lies on the disk; all
else is refused with the status that a second reader of the rules finds.
"""

from __future__ import annotations

import struct
from random import Random
from types import SimpleNamespace
from typing import Any

from shims import micropython
from shims.loader import Loader
from target import Generic, Target

from nexus import layout
from nexus.contract.load import load_contract

ROOT = layout.find_root()
CONTRACT = load_contract(layout.contract_dir(ROOT))
DROP, AT, STATUS = CONTRACT.table("drop"), CONTRACT.table("drop_at"), CONTRACT.table("status")
MAGIC, SECTOR = str(DROP["magic"]).encode(), int(DROP["sector"])
MOST = int(DROP["disk_max"]) - SECTOR
START = CONTRACT.number("drop_flag.start")
FORM = struct.Struct("<8sIII32s")
PLACES = ("magic", "number", "flags", "bytes", "id")


def target() -> Target:
    assert [AT[field] for field in PLACES] == [0, 8, 12, 16, 20]
    given = {
        "contract": SimpleNamespace(**CONTRACT.constants),
        "micropython": micropython,
        "frame": SimpleNamespace(BAD_REPLY=-256, UNREACHABLE=-512),
    }
    folders = [ROOT / "guest" / "services" / "dropd", ROOT / "guest" / "lib"]
    loader = Loader(folders, given, {})
    header, refuse = loader.load("header"), loader.load("wire").Refuse

    def check(data: bytes) -> None:
        sectors, sector = int.from_bytes(data[:3], "little"), data[3 : 3 + SECTOR].ljust(SECTOR, b"\0")
        assert header.empty(sector) == (sector in (bytes(SECTOR), MAGIC.ljust(SECTOR, b"\0")))
        number = header.number(sector)
        status = None
        try:
            flags, count, name = header.read(sector, sectors)
        except refuse as refusal:
            status = refusal.status
        assert status == wrong_with(sector, sectors), sector.hex()
        if status is None:
            assert 0 < count <= min(MOST, (sectors - 1) * SECTOR)
            assert sector == written(number, flags, count, bytes(name))

    seeds = [
        disk(9, written(7, 0, 4096, b"dev.hello")),
        disk(2, written(1, START, 1, b"d" * 32)),
        disk(1, bytes(SECTOR)),
    ]
    return Target(check, seeds, mutate)


def disk(sectors: int, sector: bytes) -> bytes:
    return sectors.to_bytes(3, "little") + sector


def written(number: int, flags: int, count: int, name: bytes) -> bytes:
    """The header of a drop, as the host writes it."""
    return FORM.pack(MAGIC, number, flags, count, name).ljust(SECTOR, b"\0")


def wrong_with(sector: bytes, sectors: int) -> Any:
    """The status of what is no drop; None for a drop."""
    magic, number, flags, count, name = FORM.unpack_from(sector)
    text = name.rstrip(b"\0")
    whole = magic == MAGIC and number != DROP["empty"] and flags in (0, START) and text and b"\0" not in text
    if not whole or any(sector[FORM.size :]):
        return STATUS["malformed"]
    if count > MOST:
        return STATUS["too_large"]
    return None if 0 < count <= (sectors - 1) * SECTOR else STATUS["malformed"]


def mutate(data: bytes, chance: Random, generic: Generic) -> bytes:
    """Most often a header with one field changed: all others being right, that one decides."""
    if chance.random() < 0.3:
        return generic(data)
    count = chance.choice([0, 1, 511, 512, 513, 4096, MOST - 1, MOST, MOST + 1, 0xFFFFFFFF])
    name = chance.choice([b"", b"a", b"dev.hello", b"d" * 31, b"d" * 32])
    changed = bytearray(written(chance.getrandbits(32), chance.choice([0, START, 2, 1 << 31]), count, name))
    if chance.random() < 0.5:
        changed[chance.randrange(SECTOR if chance.random() < 0.3 else FORM.size + 2)] ^= 1 << chance.randrange(8)
    needed = 1 + -(-count // SECTOR)
    return disk(min(max(needed + chance.randint(-2, 1), 0), (1 << 24) - 1), bytes(changed))
