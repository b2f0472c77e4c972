"""Compiles what runs in user mode: the two interpreters and the small native programs.

Called by programs.py when something that goes into an ELF has changed. The rules of compiling are those of the makefiles
under firmware/; here they get their sources and a fresh folder whenever make itself could not tell what changed.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from nexus import layout
from nexus.contract.emit import write_if_changed
from nexus.errors import BuildError
from nexus.image import sources, toolchain

Progress = Callable[[str], None]

KINDS = ("service", "shell")
KEY_FILE = ".made-from"


def build_runtime(kind: str, root: Path, build: Path, progress: Progress) -> Path:
    """One interpreter, in build/runtime/<kind>."""
    if kind not in KINDS:
        raise BuildError(f"runtime: found {kind!r}, expected one of {', '.join(KINDS)}")
    trees = sources.obtain_all(root, progress)
    folder = build / "runtime" / kind
    rules = [root / "firmware/runtime/Makefile", *(root / "firmware/native").glob("*.mk")]
    _fresh(folder, rules, trees)
    progress(f"runtime: compile {kind} (MicroPython, libsodium)")
    settings = {"MICROPYTHON": _linked(build, trees, "micropython"), "SODIUM": _linked(build, trees, "sodium")}
    return _make(root, "runtime", folder, {"KIND": kind}, settings, folder / f"{kind}.elf")


def build_bare(root: Path, build: Path, progress: Progress, *, size: bool = False) -> Path:
    """The shell's interpreter as a program of its own for -M virt; `size`: as upstream compiles its port, -Os without computed goto."""
    trees = sources.obtain_all(root, progress)
    folder = build / "bare" / ("size" if size else "speed")
    rules = [root / "firmware/runtime/Makefile", *(root / "firmware/native").glob("*.mk")]
    _fresh(folder, rules, trees)
    progress(f"runtime: compile bare for {folder.name} (MicroPython)")
    settings = {"MICROPYTHON": _linked(build, trees, "micropython"), "SODIUM": _linked(build, trees, "sodium")}
    words = {"KIND": "shell", "TARGET": "bare"} | ({"PEER": "1"} if size else {})
    return _make(root, "runtime", folder, words, settings, folder / "bare.elf")


def build_native(source: Path, caps: Path, root: Path, out: Path, progress: Progress) -> Path:
    """One native program, in its own folder of `out`; `caps` holds the generated headers of handle names."""
    trees = sources.obtain_all(root, progress)
    folder = out / source.name
    rules = [root / "firmware/native/Makefile", *(root / "firmware/native").glob("*.mk"), *source.glob("*.mk")]
    _fresh(folder, rules, trees)
    progress(f"native: compile {source.name}")
    settings = {"FOLDER": source, "CAPS": caps, "SODIUM": _linked(root / "build", trees, "sodium")}
    return _make(root, "native", folder, {}, settings, folder / f"{source.name}.elf")


def _fresh(folder: Path, rules: Iterable[Path], trees: dict[str, Path]) -> None:
    """Empty the folder if rules, compiler or third-party sources are others: make looks at the times of files only."""
    digest = hashlib.sha256(toolchain.compiler_identity().encode())
    for path in sorted(rules):
        digest.update(path.read_bytes())
    digest.update("".join(tree.name for _, tree in sorted(trees.items())).encode())
    key = folder / KEY_FILE
    if folder.is_dir() and (not key.is_file() or key.read_text(encoding="utf-8") != digest.hexdigest()):
        shutil.rmtree(folder)
    write_if_changed(key, digest.hexdigest())


def _linked(build: Path, trees: dict[str, Path], name: str) -> Path:
    """A link to the sources inside the clone: their own path may be one that make can't read, and differs between users."""
    link = build / "sources" / name
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink() or link.readlink() != trees[name]:
        draft = link.with_suffix(".new")
        draft.unlink(missing_ok=True)
        draft.symlink_to(trees[name])
        draft.replace(link)
    return link


def _make(root: Path, rules: str, folder: Path, words: dict[str, str], settings: dict[str, Path], elf: Path) -> Path:
    paths = settings | {"BUILD": folder, "GEN": layout.gen_dir(root)}
    argv = [*toolchain.make_argv(root / "firmware" / rules, paths), *(f"{name}={word}" for name, word in words.items())]
    toolchain.run_tool(argv, folder / "make.log", f"{elf.stem}: make")
    if not elf.is_file():
        raise BuildError(f"{elf.stem}: make succeeded without making {elf}")
    return elf
