"""The ELFs of a system: the interpreters that its services share, and its native programs.

Called by build.py. How they are compiled is runtime.py's business; here it is decided whether they have to be, since
asking make and verifying third-party sources costs longer than everything else when nothing has changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nexus import layout
from nexus.contract.emit import write_if_changed
from nexus.contract.load import Contract
from nexus.errors import BuildError
from nexus.image import mpy, runtime, sources, toolchain
from nexus.image.manifest import INPUT_SUFFIXES
from nexus.image.program import Program, read_program
from nexus.recipe.model import System

Progress = Callable[[str], None]
COMMON = ("firmware/include", "firmware/native")
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
NATIVE = ("tests/vectors", "tooling/nexus/image/vectors.py")  # some native programs are compiled with test vectors


@dataclass(frozen=True)
class Built:
    programs: tuple[Program, ...]
    paths: tuple[Path, ...]
    mpy_version: mpy.MpyVersion | None  # of the interpreters; None if there is none


def build_programs(system: System, contract: Contract, root: Path, progress: Progress) -> Built:
    """Every ELF of the system, compiled only if something that goes into it has changed."""
    made: dict[str, Path] = {}
    version = None
    for kind in system.runtimes:
        stamp = _Stamp(root / "build" / "runtime" / f"{kind}.stamp", partial(_runtime_key, root))
        if not stamp.fresh:
            stamp.write(runtime.build_runtime(kind, root, root / "build", progress), _mpy_version(root, progress))
        made[kind] = stamp.elf
        version = stamp.version
    folder = layout.system_dir(root, system.name)
    for native in system.natives:
        name = native.rsplit("/", 1)[-1]
        stamp = _Stamp(folder / "native" / f"{name}.stamp", partial(_native_key, root, native, folder / "caps"))
        if not stamp.fresh:
            elf = _taken(stamp, name, root) or runtime.build_native(
                root / native, folder / "caps", root, folder / "native", progress
            )
            stamp.write(elf, None)
        made[name] = stamp.elf
    programs = tuple(read_program(name, path, contract) for name, path in made.items())
    return Built(programs, tuple(made.values()), version)


class _Stamp:
    """What an ELF was made from, kept beside it."""

    def __init__(self, path: Path, find_key: Callable[[], str]) -> None:
        self.path, self.key, self._find_key = path, find_key(), find_key
        self.kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    @property
    def elf(self) -> Path:
        return self.path.parent / str(self.kept["elf"])

    @property
    def version(self) -> mpy.MpyVersion | None:
        version = self.kept["mpy_version"]
        return mpy.MpyVersion(*version) if version else None

    @property
    def fresh(self) -> bool:
        """Made from this key, and still what was made then."""
        if self.kept.get("key") != self.key or not self.elf.is_file():
            return False
        return bool(_sha256(self.elf) == self.kept["sha256"])

    def write(self, elf: Path, version: mpy.MpyVersion | None) -> None:
        """Refuses an ELF of which a source was saved while it was compiled; make would take its objects for current."""
        if self._find_key() != self.key:
            shutil.rmtree(elf.parent)
            raise BuildError(f"{elf.stem}: a file that it is compiled from changed meanwhile", "build again")
        self.kept = {
            "key": self.key,
            "elf": os.path.relpath(elf, self.path.parent),
            "sha256": _sha256(elf),
            "mpy_version": [version.version, version.sub_version] if version else None,
        }
        write_if_changed(self.path, json.dumps(self.kept, indent=1) + "\n")


def _taken(stamp: _Stamp, name: str, root: Path) -> Path | None:
    """A copy of that program as another system of this clone has it, made from the very same."""
    target = stamp.path.parent / name / f"{name}.elf"
    for path in sorted((root / "build").glob(f"*/native/{name}.stamp")):
        other = _Stamp(path, lambda: stamp.key)
        if other.fresh and other.elf != target:
            shutil.rmtree(target.parent, ignore_errors=True)  # objects of something else
            target.parent.mkdir(parents=True)
            return Path(shutil.copy2(other.elf, target))
    return None


def mpy_version(root: Path, progress: Progress) -> mpy.MpyVersion:
    """What the service runtime loads, for whoever compiles guest code without a system."""
    stamp = _Stamp(root / "build" / "runtime" / "service.stamp", partial(_runtime_key, root))
    version = stamp.version if stamp.fresh else None
    return version or _mpy_version(root, progress)


def _runtime_key(root: Path) -> str:
    return _key(root, ("firmware/runtime",), [root / "sources.lock", *_overrides()])


def _native_key(root: Path, native: str, caps: Path) -> str:
    """Of the headers of handle names those that it includes: what other processes hold does not change it."""
    own = [path for folder in (*COMMON, native) for path in sorted((root / folder).rglob("*.[chS]"))]
    named = {name for path in own for name in INCLUDE.findall(path.read_text(encoding="utf-8"))}
    included = [path for path in sorted(caps.glob("*.h")) if path.name in named]
    return _key(root, (native, *NATIVE), [root / "sources.lock", *included])


def _overrides() -> list[Path]:
    """A checkout that stands in for a pinned source is part of what the runtime is made from, by its path."""
    return [Path(value) for name, value in sorted(os.environ.items()) if name.startswith("NEXUS_SOURCE_")]


def _key(root: Path, folders: tuple[str, ...], files: list[Path]) -> str:
    """A hash over the compiler, the contract and every source file."""
    digest = hashlib.sha256(toolchain.compiler_identity().encode())
    found = [path for folder in (*COMMON, *folders) for path in [root / folder, *(root / folder).rglob("*")]]
    compiled = sorted(path for path in found if path.is_file() and path.name.endswith(INPUT_SUFFIXES))
    for path in [layout.gen_dir(root) / "contract.h", *files, *compiled]:
        digest.update(f"{path.name}\n{_sha256(path) if path.is_file() else path}\n".encode())
    return digest.hexdigest()


def _mpy_version(root: Path, progress: Progress) -> mpy.MpyVersion:
    return mpy.version_of_source(sources.obtain_all(root, progress)["micropython"])


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
