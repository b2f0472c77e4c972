"""C under the sanitizers in a process of its own, asked through pipes, and its coverage handed to the engine.

Used by frame.py and vault_request.py. Edges are those of the C, counted by cover.c; the Python around it is not instrumented.
"""

from __future__ import annotations

import importlib
import mmap
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
FLAGS = "-std=gnu11 -O1 -g -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover".split()
PLACES = 1 << 16
MARKS = 4 + 2 * PLACES
SAID = 2000


class Program:
    """A compiled program that answers one question at a time; `subjects` are the sources whose edges count."""

    def __init__(
        self,
        subjects: Sequence[Path],
        others: Sequence[Path],
        headers: Callable[[Path], None],
        includes: Sequence[Path],
    ) -> None:
        self.kept = tempfile.TemporaryDirectory(prefix="nexus-fuzz-")
        self.folder = Path(self.kept.name)
        headers(self.folder)
        self.flags = [*FLAGS, f"-I{self.folder}", *(f"-I{path}" for path in includes)]
        objects = [self._compiled(path, "-fsanitize-coverage=trace-pc") for path in subjects]
        objects += [self._compiled(path) for path in (*others, FOLDER / "cover.c")]
        self.built = self.folder / "program"
        subprocess.run(["cc", *FLAGS, "-o", str(self.built), *objects], check=True)
        shared = self.folder / "cover"
        shared.write_bytes(bytes(4 + 3 * PLACES))
        with shared.open("r+b") as file:
            self.cover = mmap.mmap(file.fileno(), 0)
        self.counters: dict[int, int] = {}
        self.atheris = importlib.import_module("atheris") if "atheris" in sys.modules else None
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def _compiled(self, source: Path, *more: str) -> str:
        made = self.folder / f"{source.parent.name}-{source.stem}.o"
        subprocess.run(["cc", *self.flags, *more, "-c", "-o", str(made), str(source)], check=True)
        return str(made)

    def restart(self) -> None:
        """A new process that knows nothing of what was asked before."""
        self.stop()
        self.start()

    def start(self) -> None:
        environ = {**os.environ, "NEXUS_COVER": str(self.folder / "cover")}
        with (self.folder / "said").open("wb") as said:
            self.process = subprocess.Popen(
                [str(self.built)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, env=environ, bufsize=0
            )

    def close(self) -> None:
        self.stop()
        self.cover.close()
        self.kept.cleanup()

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    pipe.close()

    def ask(self, question: bytes) -> bytes:
        """The answer; a program that died or hung up is a finding with its last words."""
        assert self.process is not None
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(question)
        except BrokenPipeError as error:
            raise AssertionError(self._last_words()) from error
        answer = self._read(struct.unpack("<H", self._read(2))[0])
        self._tell_coverage()
        return answer

    def _read(self, count: int) -> bytes:
        assert self.process is not None
        assert self.process.stdout is not None
        data = b""
        while len(data) < count:
            piece = self.process.stdout.read(count - len(data))
            if not piece:
                raise AssertionError(self._last_words())
            data += piece
        return data

    def _last_words(self) -> str:
        said = (self.folder / "said").read_text(encoding="utf-8", errors="replace")
        return f"the program has ended: {said[-SAID:]}"

    def _tell_coverage(self) -> None:
        count = struct.unpack_from("<I", self.cover)[0]
        if count == 0:
            return
        for place in struct.unpack_from(f"<{count}H", self.cover, 4):
            self.cover[MARKS + place] = 0
            if self.atheris is not None:
                if place not in self.counters:
                    self.counters[place] = self.atheris._reserve_counter()
                self.atheris._trace_branch(self.counters[place])
        struct.pack_into("<I", self.cover, 0, 0)
