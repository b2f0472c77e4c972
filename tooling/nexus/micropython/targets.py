"""What upstream's scripts talk to: the booted system through its terminal, or the bare build on a UART. Each is words for their `-t`.

Called by suite.py and perf.py: what a target needs is built once, then each run has a machine of its own, which is gone when its
block is left, whatever a script did.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

from nexus import layout
from nexus.bench import ICOUNT
from nexus.contract.emit import emit_contract
from nexus.contract.load import Contract, load_contract
from nexus.errors import UsageError
from nexus.image import code, modules, mpy, sources
from nexus.image.build import build_image
from nexus.image.runtime import build_bare
from nexus.machine.argv import Rng
from nexus.machine.session import Session, find_qemu
from nexus.machine.target import Target, launch_of, of_manifest

Progress = Callable[[str], None]
Machine = Callable[
    [bool], AbstractContextManager[str]
]  # does it count instructions -> the device that scripts are told

SYSTEM = "micropython"
BARE = {"bare": False, "bare-size": True}  # is it built for size, as upstream's port is
NAMES = ("system", *BARE)
DEVICES = ("exec:", "execpty:", "port:")  # as run-tests.py takes them
BARE_ARGV = ("-M", "virt", "-bios", "none", "-m", "32", "-nographic", "-monitor", "none", "-serial", "stdio")
BARE_FILES = 0x8080_0000  # firmware/runtime/bare mounts what lies there
UNITTEST = "guest/test/unittest.py"
LIFETIME = "1800"  # of a bare machine, seconds: nobody but upstream's script holds it


def prepare(name: str, root: Path, progress: Progress) -> Machine:
    """Build what the target needs."""
    if name in BARE:
        return _bare(root, BARE[name], progress)
    if name == "system":
        return _system(root, progress)
    if name.startswith(DEVICES):
        return lambda _count: _given(name)
    raise UsageError(f"--target {name}: expected one of {', '.join(NAMES)}, or a device as run-tests.py takes it")


@contextmanager
def _given(device: str) -> Iterator[str]:
    yield device


def _bare(root: Path, size: bool, progress: Progress) -> Machine:
    emit_contract(load_contract(layout.contract_dir(root)), layout.gen_dir(root))
    elf = build_bare(root, root / "build", progress, size=size)
    files = elf.with_suffix(".romfs")
    files.write_bytes(bare_romfs(root, progress))
    return lambda count: _given(bare_device(elf, files, count=count))


def bare_device(elf: Path, files: Path, *, count: bool) -> str:
    """QEMU itself, under a keeper that kills it: while idle with a running count it does not hear SIGTERM."""
    counting = ("-icount", ICOUNT) if count else ()
    loaded = ("-kernel", str(elf), "-device", f"loader,file={files},addr={BARE_FILES:#x},force-raw=on")
    return f"exec:exec {shlex.join(['timeout', '-k', '1', LIFETIME, find_qemu(), *BARE_ARGV, *counting, *loaded])}"


def bare_romfs(root: Path, progress: Progress) -> bytes:
    """The files of the bare build: what tests import, and nothing that a shell would start by itself."""
    version = mpy.version_of_source(sources.obtain_all(root, progress)["micropython"])
    unittest = modules.parse("unittest", root / UNITTEST, (root / UNITTEST).read_bytes())
    compiler = mpy.Compiler(root / "build" / "mpy", version)
    return code.pack([unittest], {}, {}, lambda path: str(path.relative_to(root / "guest")), compiler)


def _system(root: Path, progress: Progress) -> Machine:
    contract = load_contract(layout.contract_dir(root))
    target = of_manifest(build_image(SYSTEM, root, progress), root)
    return lambda count: _booted(root, target, contract, count=count)


@contextmanager
def _booted(root: Path, target: Target, contract: Contract, *, count: bool) -> Iterator[str]:
    """The system, and `nexus console` as the line to its terminal."""
    launch = replace(launch_of(target, contract, rng=Rng()), icount=ICOUNT if count else None)
    with Session(root, SYSTEM, launch) as session:
        argv = [sys.executable, "-P", "-m", "nexus", "console", "--machine", session.run.id]
        yield f"exec:cd {shlex.quote(str(root))} && exec {shlex.join(argv)}"
