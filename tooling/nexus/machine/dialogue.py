"""A scripted conversation with the terminal, judged while it goes: what to send, what to wait for, what must never come. Pure: bytes
in, bytes out. Called by the scripted form of `nexus console`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nexus.errors import UsageError

WINDOW_BYTES = 4096  # of what came before, searched again with what is new; more would be a hostile guest's way to make each search longer
ESCAPED = re.compile(r"\\(x[0-9a-fA-F]{2}|.|\Z)", re.DOTALL)
LETTERS = {"r": "\r", "n": "\n", "t": "\t", "e": "\x1b", "a": "\a", "b": "\b", "0": "\0", "\\": "\\"}


@dataclass(frozen=True)
class Send:
    data: bytes


@dataclass(frozen=True)
class Expect:
    pattern: re.Pattern[bytes]
    text: str


Step = Send | Expect


def unescape(text: str) -> bytes:
    r"""The bytes that are meant: \r \n \t \e \a \b \0 \\ and \xNN, all else as it stands."""

    def byte(found: re.Match[str]) -> str:
        word = found[1]
        if len(word) == 3:
            return chr(0xDC00 + int(word[1:], 16)) if int(word[1:], 16) > 0x7F else chr(int(word[1:], 16))
        if word not in LETTERS:
            raise UsageError(f"`\\{word}` in `{text}` is no escape", r"known: \r \n \t \e \a \b \0 \\ and \xNN")
        return LETTERS[word]

    return ESCAPED.sub(byte, text).encode("utf-8", "surrogateescape")


class Dialogue:
    """`failure` says what went wrong; `done` that all came as it was to.

    A match may begin up to WINDOW_BYTES before the newest bytes; one that begins further back is not found.
    """

    def __init__(self, steps: Sequence[Step], forbidden: Sequence[Expect] = ()) -> None:
        self._steps = list(steps)
        self._forbidden = list(forbidden)
        self._came = b""
        self.failure: str | None = None

    @property
    def done(self) -> bool:
        return not self._steps and self.failure is None

    @property
    def over(self) -> bool:
        return self.done or self.failure is not None

    @property
    def waits_for(self) -> str:
        """The pattern that has to come next."""
        return next((step.text for step in self._steps if isinstance(step, Expect)), "")

    def take(self, data: bytes = b"") -> bytes:
        """What comes from the machine; what is to be sent to it now."""
        if self.over:
            return b""
        self._came = self._came[-WINDOW_BYTES:] + data
        sent = b""
        while self._steps and self.failure is None:
            step = self._steps[0]
            if isinstance(step, Send):
                sent += step.data
            elif not self._found(step):
                break
            del self._steps[:1]
        return sent if self.failure is None else b""

    def end(self) -> None:
        """Nothing more can come."""
        if not self.over:
            self.failure = f"`{self.waits_for}` can't come any more: the machine has ended"

    def _found(self, step: Expect) -> bool:
        """Whether it has come, and nothing forbidden before its end; what has been matched counts no more."""
        match = step.pattern.search(self._came)
        before = self._came[: match.end()] if match else self._came
        for one in self._forbidden:
            if wrong := one.pattern.search(before):
                self.failure = f"`{one.text}` came, which is forbidden: {wrong[0][:200]!r}"
                return False
        if match:
            self._came = self._came[match.end() :]
        return match is not None
