"""Follows a run's console.log, in which each line has its time. Called by the view of `nexus console`, again and again; never waits."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

FIRST_BYTES = 256 << 10  # of what was there before
MOST_BYTES = 256 << 10  # taken at once


class LogTail:
    """Used as a context manager."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        size = path.stat().st_size
        self._torn = size > FIRST_BYTES
        self._file.seek(max(0, size - FIRST_BYTES))
        self._rest = b""

    def __enter__(self) -> LogTail:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def lines(self) -> list[str]:
        """The whole lines that have come since."""
        *whole, self._rest = (self._rest + self._file.read(MOST_BYTES)).split(b"\n")
        if self._torn and whole:
            self._torn = False
            del whole[0]
        return [line.decode("ascii", "replace") for line in whole]
