"""What of a guest's output may reach a person's terminal: printable text, plain controls, colours and cursor movement; nothing else.

Pure and incremental: the same bytes in other pieces give the same bytes out. Called wherever guest text goes to a terminal. What a
terminal could answer, store, rename, switch or load is dropped, whatever it is, because it is not on the list.
"""

from __future__ import annotations

import re

STRING_BYTES = 4096  # of a title, a device string or the like that never ends: after that, text again
PARAMETER_BYTES = 64
INTERMEDIATE_BYTES = 4
MOST_NUMBERS = 16
MOST_STEPS = 999  # that a cursor may be moved at once

TEXT = rb"[\x20-\x7e\r\n\t\x08\x07]+"
PLAIN = re.compile(TEXT)
TOKEN = re.compile(
    rb"(?P<text>" + TEXT + rb")"
    rb"|(?P<wide>(?:[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|\xed[\x80-\x9f][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})+)"
    rb"|\x1b\[(?P<numbers>[0-?]{0,%d})(?P<rest>[ -/]{0,%d}[@-~])"
    % (PARAMETER_BYTES, INTERMEDIATE_BYTES)
    + rb"|(?P<string>\x1b[P\]X^_])"
    rb"|\x1b[ -/]{0,%d}(?!\[)[0-~]" % INTERMEDIATE_BYTES
)
# The beginning of one of the above, to the end of what has come.
PARTIAL = re.compile(
    rb"(?:\x1b(?:\[[0-?]{0,%d}[ -/]{0,%d}|[ -/]{0,%d})?"
    % (PARAMETER_BYTES, INTERMEDIATE_BYTES, INTERMEDIATE_BYTES)
    + rb"|[\xc2-\xdf]|\xe0[\xa0-\xbf]?|\xed[\x80-\x9f]?|[\xe1-\xec\xee\xef][\x80-\xbf]?"
    rb"|\xf0(?:[\x90-\xbf][\x80-\xbf]?)?|[\xf1-\xf3][\x80-\xbf]{0,2}|\xf4(?:[\x80-\x8f][\x80-\xbf]?)?)\Z"
)
# What is none of them after all.
BROKEN = re.compile(rb"\x1b(?:\[[0-?]{0,%d}[ -/]{0,%d})?|[^\x1b]" % (PARAMETER_BYTES, INTERMEDIATE_BYTES))
# The rest of a string: it ends with its own end, with any escape sequence, or with the line.
STRING = re.compile(rb"[^\x1b\x07\x18\x1a\r\n]*")
STRING_ENDS = b"\x07\x18\x1a"
# How many numbers each may have, and how large.
ALLOWED = {b"m": (MOST_NUMBERS, 255), b"H": (2, MOST_STEPS), b"f": (2, MOST_STEPS), b"J": (1, 2), b"K": (1, 2)}
ALLOWED |= {letter.encode(): (1, MOST_STEPS) for letter in "ABCDEFGd"}


class Filter:
    """One stream's. Holds back no more than the beginning of one character or sequence."""

    def __init__(self) -> None:
        self._pending = b""
        self._string = 0  # how much more of a string is dropped at most; 0 outside of one

    def feed(self, data: bytes) -> bytes:
        """What of it may pass, with what was held back."""
        if not self._pending and not self._string and PLAIN.fullmatch(data):
            return data
        data, self._pending = self._pending + data, b""
        passed: list[bytes] = []
        place = 0
        while place < len(data):
            if self._string:
                place = self._skip(data, place)
            elif token := TOKEN.match(data, place):
                place = token.end()
                passed.append(self._judge(token))
            elif PARTIAL.match(data, place):
                self._pending = data[place:]
                break
            elif broken := BROKEN.match(data, place):
                place = broken.end()
        return b"".join(passed)

    def _skip(self, data: bytes, place: int) -> int:
        """Where the string that is open ends, or all of it."""
        found = STRING.match(data, place, place + self._string)
        end = found.end() if found else place
        self._string -= end - place
        if end < len(data) and self._string:
            self._string = 0
            return end + (data[end] in STRING_ENDS)
        return end

    def _judge(self, token: re.Match[bytes]) -> bytes:
        if token["text"] is not None:
            return token[0]
        if token["wide"] is not None:
            return "".join(filter(_is_shown, token[0].decode())).encode()
        if token["string"] is not None:
            self._string = STRING_BYTES
        elif token["rest"] is not None and _is_allowed(token["numbers"], token["rest"]):
            return token[0]
        return b""


def _is_shown(character: str) -> bool:
    """Neither a control, nor one that reorders or hides what stands beside it."""
    return character.isprintable() or character in "\u00a0\u3000"


def _is_allowed(numbers: bytes, final: bytes) -> bool:
    most, largest = ALLOWED.get(final, (0, 0))
    values = numbers.split(b";") if numbers else []
    return (
        len(values) <= most
        and most > 0
        and all(re.fullmatch(rb"\d{0,4}", one) for one in values)
        and all(int(one or b"0") <= largest for one in values)
    )
