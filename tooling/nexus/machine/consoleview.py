"""The screen of `nexus console` for a person: the guest's terminal in a region that scrolls, the log beside it, a status line between.

Pure: events in (what the guest printed, a line of the log, a new size), bytes for the person's terminal out. What the guest printed has
passed the filter (escapes.py) before. Never draws while the guest's own output is in the midst of a character or sequence, since the
filter lets only whole ones through.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from nexus.machine import consolelayout as screen
from nexus.machine.consolelayout import Layout, Place, goto, pane_at_first

TAIL_BYTES = 64 << 10  # of the terminal, to be drawn again after a change of size
LOG_LINES = 2000
LOGGED = re.compile(r"(\[ *[0-9.]+\]) (?:([^:|\s]+)([:|]) )?(.*)")  # a line of console.log: time, label, text
ERASES = re.compile(rb"\x1b\[[012]?J")
BAD = re.compile(r"\b(?:deny|denied|DENIED|FAIL|panic|fault|lost)\b")
RED, BOLD, FAINT = b"\x1b[31m", b"\x1b[1m", b"\x1b[2m"


@dataclass(frozen=True)
class LogLine:
    time: str
    label: str
    mark: str
    text: str

    @classmethod
    def of(cls, line: str) -> LogLine:
        found = LOGGED.fullmatch(line)
        if found is None:
            return cls("", "", "", line)
        return cls(found[1], found[2] or "", found[3] or "", found[4])

    def drawn(self, columns: int, *, times: bool) -> bytes:
        """Cut to that many columns: it is printable ASCII, so a character is a column."""
        opening = f"{self.time} " if times and self.time else ""
        label = f"{self.label}{self.mark} " if self.label else ""
        text = self.text[: max(0, columns - len(opening) - len(label))]
        pieces = (
            FAINT,
            opening[:columns].encode(),
            screen.PLAIN,
            BOLD,
            label[: max(0, columns - len(opening))].encode(),
        )
        return b"".join((*pieces, screen.PLAIN, _coloured(text, self.text)))


def _coloured(shown: str, whole: str) -> bytes:
    """Red if it tells of something refused or wrong."""
    data = shown.encode("ascii", "replace")
    return RED + data + screen.PLAIN if BAD.search(whole) else data


@dataclass(frozen=True)
class Page:
    """Lines for reading. `newest`: those at the end count most."""

    title: str
    lines: Sequence[str]
    newest: bool = False

    def shown(self, rows: int) -> Sequence[str]:
        return self.lines[-rows:] if self.newest else self.lines[:rows]


class View:
    """What is shown and how. `status` is the left of the status line, `note` what is said there instead for a moment."""

    def __init__(self, rows: int, columns: int, status: str, place: Place | None = None) -> None:
        self._size = rows, columns
        self._place = pane_at_first(rows) if place is None else place
        self._lines: deque[LogLine] = deque(maxlen=LOG_LINES)
        self._tail = bytearray()
        self._page: Page | None = None  # shown instead of the log
        self._only = ""
        self._times = False
        self._dirty = False
        self.status, self.note = status, ""
        self.layout = self._divide()

    # ---- what comes ----

    def open(self) -> bytes:
        """Take the screen; what is on it goes to where the terminal keeps what has scrolled by."""
        return screen.WHOLE + goto(self._size[0]) + b"\n" * self._size[0] + self._redraw()

    def guest(self, data: bytes) -> bytes:
        self._tail += data
        if len(self._tail) > TAIL_BYTES:
            del self._tail[: len(self._tail) - TAIL_BYTES // 2]
        # To erase is not confined to a region.
        return data + self._status() + self._pane() if ERASES.search(data) else data

    def log(self, lines: Sequence[str]) -> None:
        """They are drawn with the next `refresh`: a flood of them costs one drawing."""
        self._lines.extend(map(LogLine.of, lines))
        self._dirty = self._dirty or bool(lines)

    def refresh(self) -> bytes:
        if not self._dirty or self._page is not None:
            return b""
        self._dirty = False
        return self._pane()

    def resize(self, rows: int, columns: int) -> bytes:
        self._size = rows, columns
        return self._changed()

    def close(self) -> bytes:
        return self.layout.leave

    # ---- what a person changes ----

    @property
    def labels(self) -> list[str]:
        return sorted({line.label for line in self._lines if line.label})

    def say(self, note: str) -> bytes:
        """In the status line, until something else is said; "" ends it."""
        self.note = note
        return self._status()

    def move_log(self) -> bytes:
        self._place = self._place.next
        return self._changed()

    def toggle_times(self) -> bytes:
        self._times = not self._times
        return self._pane()

    def only(self, label: str) -> bytes:
        """Lines of that label alone; "" for all."""
        self._only = label
        return self._status() + self._pane()

    def page(self, page: Page) -> bytes:
        """Show it instead of the log."""
        self._page = page
        return self._changed()

    @property
    def page_title(self) -> str:
        return self._page.title if self._page else ""

    def close_page(self) -> bytes:
        self._page = None
        return self._changed()

    # ---- drawing ----

    def _divide(self) -> Layout:
        place = Place.BELOW if self._page and self._place is Place.OFF else self._place
        return Layout.of(*self._size, place, large=self._page is not None)

    def _changed(self) -> bytes:
        layout = self._divide()
        if layout == self.layout:
            return self._status() + self._pane()
        self.layout = layout
        return self._redraw()

    def _redraw(self) -> bytes:
        """All of it, the terminal's region from what it printed last."""
        clear = screen.WHOLE + screen.PLAIN + goto(1) + screen.REST_OF_SCREEN
        return clear + self.layout.region + self._last() + self._status() + self._pane()

    def _last(self) -> bytes:
        """As many lines as the region has rows, or less if the guest has cleared it since."""
        place = len(self._tail)
        for _ in range(self.layout.bottom - self.layout.top + 1):
            place = self._tail.rfind(b"\n", 0, place)
            if place < 0:
                break
        cleared = [found.start() for found in ERASES.finditer(self._tail) if found[0] == b"\x1b[2J"]
        return bytes(self._tail[max(place + 1, *cleared[-1:], 0) :])

    def _status(self) -> bytes:
        if not self.layout.status:
            return b""
        width = self.layout.columns - 1
        text = self.note or self.status
        right = "" if self.note else self._shows()
        gap = width - len(text) - len(right) - 2
        line = f" {text}{' ' * gap}{right} " if gap > 0 else f" {text} "
        return _aside(goto(self.layout.status) + screen.REVERSE + f"{line:{width}.{width}}".encode("ascii", "replace"))

    def _shows(self) -> str:
        """What the pane has."""
        if self._page is not None:
            return self._page.title
        if not self.layout.pane:
            return "log off"
        return f"log of {self._only}" if self._only else "log"

    def _pane(self) -> bytes:
        if not self.layout.pane:
            return b""
        lines = self._pane_lines()
        lines += [b""] * (self.layout.pane - len(lines))
        drawn = [goto(self.layout.pane_top + row) + line + screen.REST_OF_LINE for row, line in enumerate(lines)]
        return _aside(b"".join(drawn))

    def _pane_lines(self) -> list[bytes]:
        width = self.layout.columns - 1
        if self._page is not None:
            return [_coloured(line[:width], line) for line in self._page.shown(self.layout.pane)]
        found = [line for line in self._lines if not self._only or line.label == self._only]
        return [line.drawn(width, times=self._times) for line in found[-self.layout.pane :]]


def _aside(drawing: bytes) -> bytes:
    """Draw outside of the region, and be back where the guest's cursor was, as it was."""
    opening = screen.SAVE + screen.HIDE + b"\x1b[?6l" + screen.NO_WRAP + screen.PLAIN
    return opening + drawing + screen.PLAIN + screen.WRAP + screen.RESTORE + screen.SHOW
