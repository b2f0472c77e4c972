"""Where things stand on the screen of `nexus console`: the terminal's region, the status line, the pane beside it. Pure numbers and the
sequences that set them; rows count from 1. Used by consoleview.py.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

LEAST_ROWS, LEAST_COLUMNS = 4, 20  # of a screen that is divided at all
LOG_ROWS = 16  # a smaller screen has no pane unless asked for
PANE_MOST = 10

SAVE, RESTORE = b"\x1b7", b"\x1b8"  # the cursor with its colours, its origin and whether the line is full
HIDE, SHOW = b"\x1b[?25l", b"\x1b[?25h"
WHOLE = b"\x1b[?6l\x1b[r"  # no region, rows count from the top of the screen
PLAIN = b"\x1b[0m"
REVERSE = b"\x1b[7m"
NO_WRAP, WRAP = b"\x1b[?7l", b"\x1b[?7h"
REST_OF_SCREEN, REST_OF_LINE = b"\x1b[J", b"\x1b[K"


class Place(enum.Enum):
    """Of the pane, seen from the terminal."""

    BELOW = "below"
    ABOVE = "above"
    OFF = "off"

    @property
    def next(self) -> Place:
        order = list(Place)
        return order[(order.index(self) + 1) % len(order)]


def goto(row: int, column: int = 1) -> bytes:
    return b"\x1b[%d;%dH" % (row, column)


@dataclass(frozen=True)
class Layout:
    """One screen, divided. `pane`: how many rows that has; `status`: its row, 0 on a screen too small to be divided."""

    rows: int
    columns: int
    top: int
    bottom: int
    status: int
    pane_top: int
    pane: int

    @classmethod
    def of(cls, rows: int, columns: int, place: Place, *, large: bool = False) -> Layout:
        """`large`: the pane has something to read through."""
        if rows < LEAST_ROWS or columns < LEAST_COLUMNS:
            return cls(rows, columns, 1, max(rows, 1), 0, 0, 0)
        pane = 0
        if place is not Place.OFF:
            pane = (rows - 1) // 2 if large else max(1, min(PANE_MOST, rows // 4))
        if place is Place.ABOVE:
            return cls(rows, columns, pane + 2, rows, pane + 1, 1, pane)
        return cls(rows, columns, 1, rows - pane - 1, rows - pane, rows - pane + 1, pane)

    @property
    def region(self) -> bytes:
        """From here on the terminal's rows scroll, and count, alone; the cursor stands at its first."""
        if not self.status:
            return WHOLE + goto(1)
        return b"\x1b[%d;%dr\x1b[?6h" % (self.top, self.bottom) + goto(1)

    @property
    def leave(self) -> bytes:
        """Give the whole screen back, without what was ours on it, the cursor below what was the terminal's."""
        ours = range(1, self.top) if self.top > 1 else ()
        cleared = b"".join(goto(row) + REST_OF_LINE for row in ours)
        last = goto(self.bottom + 1) if self.status and self.top == 1 else goto(self.bottom) + b"\r\n"
        return WHOLE + PLAIN + WRAP + SHOW + cleared + last + REST_OF_SCREEN


def pane_at_first(rows: int) -> Place:
    return Place.BELOW if rows >= LOG_ROWS else Place.OFF
