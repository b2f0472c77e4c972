"""Runs upstream's own scripts, unchanged, out of a fresh copy of the pinned sources; hands on what they print, line by line.

Called by suite.py and perf.py. A script that says nothing for long is ended with all that it started: its transport waits for
ever for a machine that is gone.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nexus.errors import DeadlineError
from nexus.image import sources
from nexus.micropython.outcomes import DIRECTORIES

Progress = Callable[[str], None]

SOURCE = "micropython-tests"
RESULTS = Path("build", "test-micropython")  # what scripts printed and left
SILENCE_SECONDS = 120.0
LEAVE_SECONDS = 5.0
SHOWN = 15  # last lines of a script that was ended


@contextmanager
def checkout(root: Path, progress: Progress) -> Iterator[Path]:
    """A copy of the verified sources, which scripts may write into; gone after the block."""
    source = sources.load_lock(root / "sources.lock")[SOURCE]
    tree = sources.obtain(source, os.environ, progress)
    with tempfile.TemporaryDirectory(prefix="nexus-micropython-") as folder:
        yield Path(shutil.copytree(tree, Path(folder) / "micropython"))


def all_tests(tree: Path) -> list[str]:
    """Every test of the directories, by its name without `.py`."""
    tests = tree / "tests"
    found = [path for directory in DIRECTORIES for path in (tests / directory).glob("*.py")]
    return sorted(str(path.relative_to(tests).with_suffix("")) for path in found)


def run_script(
    tree: Path, script: str, words: Sequence[str], errors: Path, hear: Callable[[str], None]
) -> tuple[list[str], int]:
    """What a script of tests/ printed, and its exit code. `hear` gets each line as it comes."""
    with errors.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-B", script, *words],
            cwd=tree / "tests", env=_environ(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        with process:
            try:
                lines = _follow(process, script, hear)
                return lines, process.wait(LEAVE_SECONDS)
            finally:
                _end(process)


def _environ() -> dict[str, str]:
    """The expected output is that of the Python which runs nexus."""
    return {**os.environ, "MICROPY_CPYTHON3": sys.executable, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}


def _follow(process: subprocess.Popen[bytes], script: str, hear: Callable[[str], None]) -> list[str]:
    if process.stdout is None:
        return []
    lines: list[str] = []
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while selector.select(SILENCE_SECONDS):
            data = os.read(process.stdout.fileno(), 65536)
            *whole, rest = (rest + data).split(b"\n")
            for line in whole if data or not rest else [*whole, rest]:
                lines.append(line.decode("utf-8", "backslashreplace"))
                hear(lines[-1])
            if not data:
                return lines
    last = "\n".join([*lines[-SHOWN:], rest.decode("utf-8", "backslashreplace")])
    raise DeadlineError(f"{script} said nothing for {SILENCE_SECONDS:g} s; its last lines:\n{last}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """By SIGINT, on which upstream's scripts end their machine; then for certain."""
    for number in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is not None:
            return
        os.killpg(process.pid, number)
        deadline = time.monotonic() + LEAVE_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
