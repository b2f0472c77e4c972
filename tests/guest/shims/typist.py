"""Somebody who types on the shell's line editor, and looks at the screen after each key: it must show the line. Used by the editor's tests
and its fuzzing.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from nexus.layout import find_root
from shims.loader import Loader
from shims.screen import COLUMNS, Screen

PROMPT = "nexus> "
DRAWN = b"\x1b[1;32mnexus>\x1b[0m "
ROOM = COLUMNS - len(PROMPT) - 3  # the cursor, or ^C, comes behind it
WORDS = ("policy", "ps", "prompt")

LOADER = Loader([find_root() / "guest" / "shell"], {}, {})
EDITOR: Any = LOADER.load("editor")
HISTORY: Any = LOADER.load("history")
KEYS: Any = LOADER.load("keys")


def complete(text: str) -> tuple[int, list[str]]:
    start = text.rfind(" ") + 1
    return start, [word for word in WORDS if word.startswith(text[start:])]


class Typed:
    """An editor, its screen, and every line that was ended."""

    def __init__(self, kept: bytearray | None = None) -> None:
        self.kept = bytearray(2048) if kept is None else kept
        self.history = HISTORY.History(memoryview(self.kept))
        self.line = EDITOR.Editor(PROMPT, DRAWN, self.history, complete)
        self.screen = Screen(width)
        self.screen.write(self.line.begin())
        self.events: list[str] = []
        self.lines: list[str] = []
        self.most = 0

    def type(self, data: bytes) -> Typed:
        for byte in data:
            before = self.line.text, self.line.at
            event, out = self.line.feed(byte)
            self.screen.write(out)
            self.most = max(self.most, len(out))
            if event is None:
                if out:
                    self.assert_shown()
                assert out or (self.line.text, self.line.at) == before
                continue
            self.events.append(event)
            if event == EDITOR.LINE:
                self.lines.append(self.line.text)
            self.screen.write(b"\r" + self.line.begin() if event == EDITOR.RAW else self.line.begin())
        return self

    def assert_shown(self) -> None:
        """The row is the prompt and a piece of the line around the cursor; all of it, if it has room."""
        text, at = self.line.text, self.line.at
        shown, first = self.screen.line, 0 if columns(text) <= ROOM else self.line.first
        assert shown.startswith(PROMPT)
        piece = shown[len(PROMPT) :]
        assert text[first:].startswith(piece)
        beyond = text[first + len(piece) :]
        assert not beyond or ((first > 0 or columns(text) > ROOM) and columns(piece + beyond[0]) > ROOM)
        assert self.screen.column == len(PROMPT) + columns(text[first:at])
        assert first <= at <= len(text) <= EDITOR.LONGEST


@cache
def width(character: str) -> int:
    return int(KEYS.width(character))


def columns(text: str) -> int:
    return sum(map(width, text))
