"""A terminal's screen, as small as the line editor needs it: what is shown where, from the bytes that were written.

Used by the tests and the fuzzing of the shell. Refuses every sequence but those that the host lets through, and text beyond the row's end.
"""

from __future__ import annotations

import re
from collections.abc import Callable

COLUMNS = 80
PIECE = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])|(.)", re.DOTALL)
CELL = str  # one character and what combines with it; "" for the second column of a wide one


class Screen:
    """Scrolls for ever: `rows` is all that was ever shown."""

    def __init__(self, width: Callable[[str], int]) -> None:
        self.width = width
        self.rows: list[list[CELL]] = [[]]
        self.row = self.column = 0
        self.bells = 0

    @property
    def line(self) -> str:
        """The cursor's row, as far as it was ever written."""
        return "".join(self.rows[self.row])

    @property
    def text(self) -> str:
        return "\n".join("".join(row).rstrip(" ") for row in self.rows)

    def write(self, data: bytes) -> None:
        text, end = data.decode(), 0
        for found in PIECE.finditer(text):
            assert found.start() == end, f"no sequence: {text[end : found.start()]!r}"
            end = found.end()
            if found[3] is not None:
                self._character(found[3])
            else:
                self._sequence(found[2], [int(number or 0) for number in found[1].split(";")])
        assert end == len(text)

    def _character(self, character: str) -> None:
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self.row += 1
            if self.row == len(self.rows):
                self.rows.append([])
        elif character == "\a":
            self.bells += 1
        else:
            self._put(character)

    def _put(self, character: str) -> None:
        columns = self.width(character)
        assert columns >= 0, f"not to be shown: {character!r}"
        row = self.rows[self.row]
        row += [" "] * (self.column + columns - len(row))
        if columns == 0:
            assert self.column > 0
            row[self.column - 1 if row[self.column - 1] else self.column - 2] += character
            return
        row[self.column : self.column + columns] = [character, ""][:columns]
        self.column += columns
        assert self.column < COLUMNS, "a row without a place for the cursor"

    def _sequence(self, kind: str, numbers: list[int]) -> None:
        if kind == "m":
            return
        if kind == "K" and numbers == [0]:
            del self.rows[self.row][self.column :]
        elif kind == "C":
            assert numbers[0] > 0, "0 columns are one"
            self.column += numbers[0]
            assert self.column < COLUMNS
        elif kind == "H" and numbers == [0]:
            self.row = self.column = 0
        elif kind == "J" and numbers == [2]:
            self.rows = [[] for _ in self.rows]
        elif kind == "J" and numbers == [0]:
            del self.rows[self.row][self.column :]
            del self.rows[self.row + 1 :]
        else:
            raise AssertionError(f"sequence {kind} {numbers}")
