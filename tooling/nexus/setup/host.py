"""Checks of this computer and of the clone: Python, packages, room, sockets. Called by doctor.py; changes nothing."""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from nexus.setup.finding import Computer, Finding, failed, lacking, passed, warned

SET_UP = "run ./scripts/nexus, which sets the clone up"
OLDEST_PYTHON = (3, 11)
SUN_PATH = 107  # bytes of an AF_UNIX path
LONGEST_SOCKET = "20260101-235959-test-kernel-ffff.console"  # as machine/registry.py names them
MIB = 1 << 20
ENOUGH_ROOM = 1024 * MIB
LEAST_ROOM = 256 * MIB


def check_python(computer: Computer) -> Finding:
    seen = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        return lacking(f"Python {seen} is older than 3.11", "install Python 3.11 or newer, then run ./scripts/nexus")
    if Path(sys.prefix) != computer.root / ".venv":
        return warned(f"Python {seen} of {sys.prefix}, not of this clone's .venv", SET_UP)
    return passed(f"Python {seen} in .venv")


def check_stamp(computer: Computer) -> Finding:
    """Asks the very function that scripts/nexus asks."""
    script = 'root=$1; . "$root/scripts/ready.sh"; is_ready'
    if computer.ask("sh", "-c", script, "sh", str(computer.root)).exit_code:
        return lacking(".venv is incomplete or does not belong to these lock files", SET_UP)
    return passed(".venv is complete and belongs to the lock files")


def locked_versions(lock: str) -> Iterator[tuple[str, str]]:
    """Name and version of each package that every platform needs."""
    for line in lock.splitlines():
        found = re.match(r"([A-Za-z0-9._-]+)==([^ ;\\]+)\s*(;)?", line)
        if found and not found[3]:
            yield found[1], found[2]


def installed_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def check_packages(computer: Computer) -> Finding:
    wanted = list(locked_versions((computer.root / "requirements.lock").read_text(encoding="utf-8")))
    seen = [(name, version, installed_version(name)) for name, version in wanted]
    wrong = [f"{name} {have or 'missing'} instead of {version}" for name, version, have in seen if have != version]
    if wrong:
        return lacking("Python packages: " + ", ".join(wrong), f"rm -r {computer.root}/.venv, then {SET_UP}")
    return passed(f"{len(wanted)} Python packages as locked")


def check_room(computer: Computer) -> Finding:
    free = shutil.disk_usage(computer.root).free
    said = f"{free // MIB} MiB free where the clone is"
    if free < LEAST_ROOM:
        return failed(said, "make room: a build with its logs takes 200 MiB")
    if free < ENOUGH_ROOM:
        return warned(said, "make room: builds, run logs and caches grow to 1 GiB")
    return passed(said)


def check_writable(computer: Computer) -> Finding:
    build = computer.root / "build"
    place = build if build.exists() else computer.root
    if not os.access(place, os.W_OK):
        return failed(
            f"{place} can't be written",
            f"builds and logs go there: make it yours (chown), it belongs to uid {place.stat().st_uid}",
        )
    return passed("build/ can be written")


def check_cache(computer: Computer) -> Finding:
    """The folder may not exist yet; then its nearest ancestor counts."""
    base = computer.environ.get("XDG_CACHE_HOME") or str(Path(computer.environ.get("HOME", "/")) / ".cache")
    folder = Path(base) / "nexus"
    place = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(place, os.W_OK):
        return failed(
            f"{folder} can't be written", "set XDG_CACHE_HOME to a folder of yours: fetched sources are kept there"
        )
    return passed(f"sources are kept in {folder}")


def check_sockets(computer: Computer) -> Finding:
    base = Path(computer.environ.get("XDG_RUNTIME_DIR") or "/tmp")
    if not base.is_dir():
        base = Path("/tmp")
    folder = base / f"nexus-{os.getuid()}"
    length = len(os.fsencode(folder / LONGEST_SOCKET))
    if length > SUN_PATH:
        return failed(
            f"a socket in {folder} has a path of {length} bytes, {SUN_PATH} fit",
            "set XDG_RUNTIME_DIR to a shorter folder",
        )
    if not os.access(folder if folder.exists() else base, os.W_OK | os.X_OK):
        return failed(f"{folder} can't be used", "set XDG_RUNTIME_DIR to a folder of yours")
    if folder.exists() and not is_private(folder):
        return failed(f"{folder} is not private to you", f"look at it, then remove it: rm -r {folder}")
    return passed(f"sockets in {folder}: {length} of {SUN_PATH} bytes")


def is_private(folder: Path) -> bool:
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
