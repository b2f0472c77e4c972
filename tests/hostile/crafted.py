"""Bundles that are rightly signed and wrong inside: bytecode changed after it was compiled, file systems whose lengths lie, names that no
publisher of them may have. Used by cases.py.

Pure but for the compiler. Signs with the known key of publisher `selftest`, whom only test images trust.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

from nexus.bundle import encode, sign
from nexus.bundle.decode import bundle
from nexus.bundle.model import Form, Manifest, Request, Version
from nexus.bundle.trust import known_key, load_publisher
from nexus.contract.load import Contract
from nexus.image import mpy, programs, romfs

PUBLISHER = "selftest"
WORD = 64
# `a` loaded and dropped six times, loaded and returned: what mpy-cross makes of stray() in guest/apps/hostile/wild.py.
STRAY = b"\xb0\x59" * 6 + b"\xb0\x63"
LOAD_FAST_N, RETURN, POP, NONE, JUMP = 0x24, 0x63, 0x59, 0x51, 0x42
SOURCE = b"def stray(a):\n" + b"    a\n" * 6 + b"    return a\nstray(1)\nprint('end')\nprint('of it')\n"
FLIPS = 8


class Signer:
    """Makes files of the one publisher."""

    def __init__(self, root: Path, contract: Contract) -> None:
        key = known_key(load_publisher(PUBLISHER, root, contract))
        assert key is not None
        self.form, self.key, self.contract = Form(contract), key, contract

    def file(self, name: str, contents: bytes, actions: tuple[str, ...] = (), entry: str = "main") -> bytes:
        requests = tuple(
            Request(self.contract.number(f"action.{one.replace('.', '_')}"), "to be refused") for one in actions
        )
        return sign.sign(
            self.form, Manifest(name, Version(1, 0, 0), b"", entry, 16, requests, 0, b""), contents, self.key
        )

    def named(self, name: bytes, contents: bytes) -> bytes:
        """A manifest that the host's own encoder would not write."""
        made = bundle(self.form, self.file("selftest.x", contents))
        manifest = bytearray(encode.manifest_bytes(self.form, made.manifest))
        place = self.form.places["id"]
        manifest[place] = name.ljust(place.stop - place.start, b"\0")
        signature = self.key.sign(sign.signed_bytes(self.form, bytes(manifest), made.manifest.digest))
        return bytes(manifest) + signature + contents


def strayed(contents: bytes, words: int) -> bytes:
    """stray() loads the variable that lies so many words above its first one."""
    return _replaced(contents, bytes([LOAD_FAST_N]) + _number(-words % (1 << WORD), len(STRAY) - 2) + bytes([RETURN]))


def compiler_of(root: Path) -> mpy.Compiler:
    return mpy.Compiler(root / "build" / "mpy", programs.mpy_version(root, lambda _text: None))


def files_of(contents: bytes) -> dict[str, bytes]:
    """The files of a right ROMFS without folders."""
    _, at = _read_number(contents, 3)
    found = {}
    while at < len(contents):
        _, at = _read_number(contents, at)
        size, at = _read_number(contents, at)
        length, name_at = _read_number(contents, at)
        _, data_at = _read_number(contents, name_at + length)
        data_size, data_at = _read_number(contents, data_at)
        found[contents[name_at : name_at + length].decode("ascii")] = contents[data_at : data_at + data_size]
        at += size
    return found


def programs_of(root: Path) -> Mapping[str, bytes]:
    """Wrong .mpy files by name."""
    good = compiler_of(root).compile(SOURCE, "main.py")
    size = len(STRAY)
    made = {
        "mpy-empty": b"",
        "mpy-magic": b"N" + good[1:],
        "mpy-version": good[:1] + b"\x05" + good[2:],
        "mpy-native": good[:2] + b"\x2c" + good[3:],
        "mpy-bits": good[:3] + b"\xff" + good[4:],
        "mpy-qstrs": good[:4] + b"\xff\xff\xff\x7f" + good[5:],
        "mpy-objects": good[:5] + b"\xff\xff\xff\x7f" + good[6:],
        "mpy-half": good[: len(good) // 2],
        "mpy-short": good[:-1],
        "mpy-jump": _replaced(good, bytes([JUMP, 0xFF, 0x7F]).ljust(size, b"\x59")),
        "mpy-back": _replaced(good, bytes([JUMP, 0x80, 0x00]).ljust(size, b"\x59")),
        "mpy-under": _replaced(good, bytes([POP]) * size),
        "mpy-over": _replaced(good, bytes([NONE]) * size),
        "mpy-unknown": _replaced(good, b"\x00" * size),
    }
    return {**made, **{f"mpy-flips-{seed}": _flipped(good, seed) for seed in range(FLIPS)}}


def file_systems() -> Mapping[str, bytes]:
    """Wrong ROMFS images by name."""
    main, far = b"\x08main.mpy", _number(1 << 62, 9)
    deep = b"".join(b"\x04" + _number(4 * (300 - level), 2) + b"\x01d" for level in range(300))
    return {
        "fs-nothing": b"\0",
        "fs-garbage": bytes(range(256)) * 4,
        "fs-header": b"\xd2\xcd\x31\x00",
        "fs-long": _fs(romfs.pack({"main.mpy": b"M"})[4:], len_stated=1 << 40),
        "fs-wraps": _fs(_record(5, main + _record(2, b"M")), len_stated=(1 << 64) - 64),
        "fs-no-entry": romfs.pack({"other.mpy": b"M"}),
        "fs-folder": romfs.pack({"main.mpy/main.mpy": b"M"}),
        "fs-deep": _fs(deep),
        "fs-itself": _fs(b"\x01" + _number((1 << 64) - 11, 10) + bytes(64)),
        "fs-file-long": _fs(b"\x05" + far + main + b"\x02" + far + b"M\x06\x00\x3f"),
        "fs-name-long": _fs(b"\x05\x20" + far + b"main.mpy"),
        "fs-pointer": _fs(_record(5, main + _record(3, b"\x40" + far))),
        "fs-pointer-back": _fs(_record(5, main + _record(3, b"\x40" + _number((1 << 64) - 0x1000_0000, 10)))),
        "fs-no-data": _fs(_record(5, main)),
        "fs-kinds": _fs(b"".join(_record(kind, bytes(8)) for kind in (0x7F, 9, 6, 1, 0))),
    }


def _fs(payload: bytes, len_stated: int | None = None) -> bytes:
    return b"\xd2\xcd\x31" + _number(len(payload) if len_stated is None else len_stated, 10) + payload


def _record(kind: int, payload: bytes) -> bytes:
    return bytes([kind]) + _number(len(payload), 3) + payload


def _number(value: int, size: int) -> bytes:
    """Seven bits a byte, the highest first, filled up in front."""
    parts = [value >> 7 * place & 0x7F for place in reversed(range(size))]
    return bytes([part | 0x80 for part in parts[:-1]] + parts[-1:])


def _read_number(data: bytes, at: int) -> tuple[int, int]:
    value = data[at] & 0x7F
    while data[at] & 0x80:
        at += 1
        value = value << 7 | data[at] & 0x7F
    return value, at + 1


def _replaced(contents: bytes, code: bytes) -> bytes:
    assert contents.count(STRAY) == 1, "the compiler makes something else of stray()"
    assert len(code) == len(STRAY)
    return contents.replace(STRAY, code)


def _flipped(good: bytes, seed: int) -> bytes:
    """Some bytes behind the header changed, always the same ones."""
    choose, data = random.Random(seed), bytearray(good)
    for _ in range(4):
        data[choose.randrange(4, len(data))] = choose.randrange(256)
    return bytes(data)
