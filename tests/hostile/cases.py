"""The hostile apps of guest/apps/hostile and the crafted ones, each with its manifest and with what may become of it.

Used by tests/os/test_hostile.py. A case says what the kernel may say of the app's end, never what the app says.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crafted import Signer, compiler_of, file_systems, files_of, programs_of, strayed

from nexus.bundle.decode import bundle
from nexus.bundle.make import bundle_of
from nexus.contract.load import Contract
from nexus.image import romfs
from nexus.layout import RAM_BASE
from nexus.machine.kernelview import symbols_of

FOLDER = Path("guest", "apps", "hostile")
PREFIX = "selftest.hostile-"
# All that one manifest has room for, rights that nobody would give an app first.
WIDE = (
    "route", "run.phase", "system.stats", "system.shutdown", "proc.exec", "rng.entropy", "device.keygen", "device.pubkey.read",
    "device.key.destroy", "crypto.sign", "keystore.kv", "keystore.purge", "bundle.list", "bundle.verify", "bundle.install",
    "bundle.uninstall",
)  # fmt: skip
BARE: tuple[str, ...] = ()
QUIET = ("route", "rng.entropy", "keystore.kv")  # as guest/apps/hostile/app.toml has it
# Found by a search for two halves that meet: FNV-1a-64 of "app:" and these is that of the other name.
SERVICE_TWIN, TWIN_OF = "selftest.h-vyciefplkver3lctnoi0", "keystored"
APP_TWIN, APP_TWIN_OF = "selftest.h-f5hpurwa0gxtvi21obmi", "app:selftest.hostile-quiet"
REACHED = ("init", "rngd", "keystored", "policyd", "execd", "bundlemgrd", "logd:append", "logd:audit_own")
LINGERS = ("killed",)  # it stays until the runner ends it
ENDS = ("exit", "memory", "instruction", "misaligned", "killed", "syscall")


@dataclass(frozen=True)
class Case:
    """One bundle. `path` is what the runner's row names; `ends`: causes of which it may die; `at`: of a fault, its value."""

    label: str
    path: Path
    app_id: str
    ends: tuple[str, ...] = ENDS
    at: int | None = None
    installs: bool = True
    actions: tuple[str, ...] = ()  # that its manifest asks for

    @property
    def label_of_app(self) -> str:
        """What the console calls it."""
        return f"app:{self.app_id}"

    def mask(self, contract: Contract) -> int:
        return sum(1 << contract.number(f"action.{name.replace('.', '_')}") for name in self.actions)


def all_cases(root: Path, contract: Contract, folder: Path, elf: Path) -> list[Case]:
    """Everything, staged in that folder; `elf` is the runtime that apps run on."""
    made = [Case("hostile", root / FOLDER, "selftest.hostile-quiet", ("exit",), actions=QUIET)]
    made += _apps(root, folder)
    made += _wild(root, contract, folder, elf)
    made += _crafted(root, contract, folder)
    return made


def stage(root: Path, folder: Path, label: str, entry: str, actions: Sequence[str], heap: str = "64 KiB") -> Path:
    """The folder of apps once more, with another manifest."""
    made = folder / label
    shutil.copytree(root / FOLDER, made)
    rows = "".join(f'"{action}" = "to be refused"\n' for action in actions)
    head = f'id = "{PREFIX}{label}"\nversion = "1.0.0"\npublisher = "selftest"\nentry = "{entry}"\nheap = "{heap}"\n'
    (made / "app.toml").write_text(f"# Staged by a test.\n\n{head}\n[capabilities]\n{rows}", encoding="utf-8")
    return made


def _apps(root: Path, folder: Path) -> Iterator[Case]:
    rows = (
        ("handles", "handles", WIDE, LINGERS),
        ("opcodes-bare", "opcodes", BARE, LINGERS),
        ("names", "names", WIDE, LINGERS),
        ("names-bare", "names", BARE, LINGERS),
        ("behalf", "behalf", WIDE, LINGERS),
        ("labels", "labels", BARE, LINGERS),
        ("noise", "noise", BARE, LINGERS),
        ("flood", "flood", WIDE, LINGERS),
        ("loop", "loop", BARE, LINGERS),
        ("hoard", "hoard", BARE, ("exit",)),
        ("number", "number", BARE, LINGERS),
        ("deep", "deep", BARE, ("exit",)),
        ("bottom", "bottom", BARE, ("exit", "memory")),
        ("others", "others", WIDE, LINGERS),
        ("others-bare", "others", BARE, LINGERS),
    )
    for label, entry, actions, ends in rows:
        yield Case(label, stage(root, folder, label, entry, actions), PREFIX + label, ends, actions=actions)
    for name in REACHED:
        label = f"ops-{name.replace(':', '-').replace('_', '-')}"[:15]
        path = stage(root, folder, label, "opcodes", WIDE)
        (path / "target.py").write_text(f'# Staged by a test.\n\nSERVICE = b"{name}"\n', encoding="utf-8")
        yield Case(label, path, PREFIX + label, LINGERS, actions=WIDE)


# ---- apps that have the whole of their address space in their hands ---------------------------------------------------


def _wild(root: Path, contract: Contract, folder: Path, elf: Path) -> Iterator[Case]:
    va, frames = contract.table("va"), symbols_of(elf)["frames"]
    memory, misaligned = ("memory",), ("memory", "misaligned")
    rows: tuple[tuple[str, str, int, tuple[str, ...]], ...] = (
        ("write-romfs", "write", va["romfs"], memory),
        ("write-code", "write", va["image"], memory),
        ("write-kernel", "write", RAM_BASE, memory),
        ("write-far", "write", 1 << 59, memory),
        ("read-null", "read", 0, memory),
        ("read-kernel", "read", RAM_BASE, memory),
        ("read-clint", "read", 0x200_BFF8, memory),
        ("read-device", "read", va["device"], memory),
        ("read-dma", "read", va["dma"], memory),
        ("read-kept", "read", va["kept"], memory),
        ("read-policy", "read", va["policy"], memory),
        ("read-region", "read", va["region"], memory),
        ("jump-message", "jump", va["ipc"] + 400, memory),
        ("jump-heap", "jump", va["heap"] + 64, memory),
        ("jump-romfs", "jump", va["romfs"] + 64, memory),
        ("jump-kernel", "jump", RAM_BASE, memory),
        ("jump-null", "jump", 0, memory),
        ("jump-odd", "jump", va["ipc"] + 401, misaligned),
        ("jump-ecall", "jump", _ecall(elf), ENDS),
        ("claim", "claim", 0, ("exit", "killed")),
        ("scribble", "scribble", frames, ENDS),
    )
    signer, compiler = Signer(root, contract), compiler_of(root)
    made = bundle_of(stage(root, folder, "wild", "wild", BARE), root, contract, lambda _text: None)
    # stray()'s first variable lies near the beginning of the frames; the pointers that it finds fill 256 bytes.
    words = (va["ipc"] + 128 - (frames + 384)) // 8
    files = files_of(strayed(bundle(signer.form, made).contents, words))
    for label, way, address, ends in rows:
        actions = WIDE if way == "claim" else BARE
        target = compiler.compile(f'WAY = "{way}"\nADDRESS = {address:#x}\n'.encode(), "target.py")
        contents = romfs.pack({**files, "target.mpy": target})
        file = folder / f"{label}.nxb"
        file.write_bytes(signer.file(PREFIX + label, contents, actions, "wild"))
        yield Case(label, file, PREFIX + label, ends, address if ends == memory else None, actions=actions)


def _ecall(elf: Path) -> int:
    """A system call somewhere in the runtime's own code."""
    from elftools.elf.elffile import ELFFile

    with elf.open("rb") as stream:
        text: Any = ELFFile(stream).get_section_by_name(".text")
        place = text.data().index(b"\x73\x00\x00\x00", 0x1000)
        return int(text["sh_addr"]) + int(place)


# ---- right signatures over wrong contents, and names -----------------------------------------------------------------


def _crafted(root: Path, contract: Contract, folder: Path) -> Iterator[Case]:
    signer = Signer(root, contract)
    files = {label: romfs.pack({"main.mpy": data}) for label, data in programs_of(root).items()} | dict(file_systems())
    for label, contents in files.items():
        yield _file(folder, label, PREFIX + label, signer.file(PREFIX + label, contents), True)
    good = romfs.pack({"main.mpy": b""})
    names = {
        "id-init": b"init",
        "id-keystored": b"keystored",
        "id-app-init": b"app:init",
        "id-app-keystored": b"app:keystored",
        "id-other": b"dev.hello",
        "id-capital": b"selftest.Hello",
        "id-newline": b"selftest.a\nrunner: done",
        "id-zero": b"selftest.a\0init",
        "id-empty": b"",
    }
    for label, name in names.items():
        yield _file(folder, label, name.decode("latin-1"), signer.named(name, good), False)
    for label, twin in (("twin-of-service", SERVICE_TWIN), ("twin-of-app", APP_TWIN)):
        yield _file(folder, label, twin, signer.file(twin, good), False)


def _file(folder: Path, label: str, app_id: str, data: bytes, installs: bool) -> Case:
    path = folder / f"{label}.nxb"
    path.write_bytes(data)
    return Case(label, path, app_id, ENDS, None, installs)
