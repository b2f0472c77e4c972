"""What a person at `nexus console` types: bytes for the guest, and behind the escape key commands for nexus. Pure. Used by the edge of the
view; knows no screen and no machine.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass

from nexus.errors import UsageError

KEY = re.compile(r"(?:ctrl-|\^|c-)([@-_a-z])", re.IGNORECASE)
NEEDED = {0x08: "backspace", 0x09: "tab", 0x0A: "line feed", 0x0D: "return", 0x1B: "escape"}
COMMANDS = "qprlftag?"
MENU = "q quit  p pause  r reset  l log  f filter  t times  a audit  g gdb  ? help"


class Mode(enum.Enum):
    TYPING = "typing"
    MENU = "menu"
    ASKING = "asking"  # for the label of a service


@dataclass(frozen=True)
class Typed:
    """For the guest."""

    data: bytes


@dataclass(frozen=True)
class Command:
    """One of COMMANDS."""

    letter: str


@dataclass(frozen=True)
class Answer:
    """The label that was asked for, or None if the person thought better of it."""

    label: str | None


Event = Typed | Command | Answer


def parse_key(text: str) -> int:
    """`ctrl-]` as the byte that it types."""
    found = KEY.fullmatch(text)
    if found is None:
        raise UsageError(f"--escape: found `{text}`, expected ctrl- and a letter or one of @ [ \\ ] ^ _")
    key = ord(found[1].upper()) & 0x1F
    if key in NEEDED:
        raise UsageError(
            f"--escape: {text} is what {NEEDED[key]} types", "ctrl-], ctrl-\\ and ctrl-_ are seldom needed"
        )
    return key


def key_name(key: int) -> str:
    return f"Ctrl-{chr(key + 0x40)}"


class Keys:
    """One person's keyboard. `labels` are what Tab completes while a label is asked for."""

    def __init__(self, escape: int) -> None:
        self._escape = escape
        self.mode = Mode.TYPING
        self.answer = ""
        self.rest = b""

    @property
    def prompt(self) -> str:
        """What the status line has to say in this mode; "" for nothing."""
        if self.mode is Mode.MENU:
            return MENU
        if self.mode is Mode.ASKING:
            return f"show the log of (Tab completes, nothing: all): {self.answer}_"
        return ""

    def ask(self) -> None:
        self.mode, self.answer = Mode.ASKING, ""

    def feed(self, data: bytes, labels: Sequence[str]) -> list[Event]:
        """In the order typed. A command may change the mode, so what is behind one is for the next call: `rest`."""
        events: list[Event] = []
        self.rest = b""
        while data and not (events and isinstance(events[-1], Command)):
            if self.mode is Mode.TYPING:
                mine, key, data = data.partition(bytes([self._escape]))
                events += [Typed(mine)] if mine else []
                self.mode = Mode.MENU if key else Mode.TYPING
            elif self.mode is Mode.MENU:
                events += self._choose(data[0])
                data = data[1:]
            else:
                events += self._edit(data[0], labels)
                data = b"" if data[0] == 0x1B else data[1:]  # that begins what an arrow types
        self.rest = data
        return events

    def _choose(self, key: int) -> list[Event]:
        self.mode = Mode.TYPING
        if key == self._escape:
            return [Typed(bytes([key]))]
        letter = chr(key).lower()
        return [Command(letter)] if letter in COMMANDS else []

    def _edit(self, key: int, labels: Sequence[str]) -> list[Event]:
        if key in (0x0D, 0x0A):
            self.mode = Mode.TYPING
            return [Answer(self.answer)]
        if key in (0x1B, 0x03, self._escape):
            self.mode = Mode.TYPING
            return [Answer(None)]
        if key in (0x7F, 0x08):
            self.answer = self.answer[:-1]
        elif key == 0x09:
            self.answer = _completed(self.answer, labels)
        elif 0x20 < key < 0x7F and len(self.answer) < 32:
            self.answer += chr(key)
        return []


def _completed(text: str, labels: Sequence[str]) -> str:
    """As far as all that begin so agree."""
    found = [label for label in labels if label.startswith(text)]
    while found and all(label.startswith(text) for label in found):
        longer = found[0][: len(text) + 1]
        if longer == text or not all(label.startswith(longer) for label in found):
            return text
        text = longer
    return text
