"""Turns the target patterns of a policy into one automaton that reads a name once and tells which of them match.

Called by compile.py and universe.py. Pure; its lists are the sections `symbols` and `states` of recipes/contract/policy.toml.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nexus.policy.model import NAME_BYTES

Places = frozenset[tuple[int, int]]  # which pattern, and how many of its characters have been read
ILLEGAL, OTHER, FIRST = 1, 2, 3  # columns of a state's row; column 0 is the kind of a name that ends there
NO_NAME, NOTHING_SPECIAL = 0, 1  # kinds: what is no name at all; what no pattern matches
START, SINK = 0, 1  # states: nothing read yet; something read that is in no name


class TooLarge(ValueError):
    """More states than the table can hold."""


@dataclass(frozen=True)
class Automaton:
    symbols: tuple[int, ...]  # column of each byte
    states: tuple[int, ...]  # rows one after the other; a next state is the place where its row begins
    kinds: dict[frozenset[str], int]  # each set of patterns that some name matches, numbered from 1
    samples: dict[int, str]  # the shortest name of each kind

    def kind(self, name: str) -> int:
        """What the guest's evaluator makes of the name, but for its length."""
        state = START
        for byte in name.encode():
            state = self.states[state + self.symbols[byte]]
        return self.states[state]


class _States:
    """Sets of places met so far, each with the text that leads there; numbered after START and SINK."""

    def __init__(self) -> None:
        self.numbers: dict[Places, int] = {}
        self.found: list[tuple[Places, str]] = []

    def number(self, places: Places, text: str) -> int:
        if places not in self.numbers:
            self.numbers[places] = SINK + 1 + len(self.found)
            self.found.append((places, text))
        return self.numbers[places]


def build(patterns: Iterable[str], most_words: int) -> Automaton:
    """The automaton of these patterns, in which `*` may stand anywhere."""
    patterns = sorted(set(patterns))
    used = sorted(set("".join(patterns)) - {"*"})
    spare = next((chr(byte) for byte in NAME_BYTES if chr(byte) not in used), None)
    width = FIRST + len(used)
    states = _States()
    start = _closed(patterns, ((number, 0) for number in range(len(patterns))))
    rows = [[NO_NAME, *_next(patterns, start, "", used, spare, states)], [NO_NAME] + [SINK] * (width - 1)]
    kinds: dict[frozenset[str], int] = {frozenset(): NOTHING_SPECIAL}
    samples: dict[int, str] = {}
    for places, text in states.found:  # grows while it is walked
        matched = frozenset(patterns[number] for number, read in places if read == len(patterns[number]))
        kind = kinds.setdefault(matched, len(kinds) + 1)
        samples.setdefault(kind, text)
        rows.append([kind, *_next(patterns, places, text, used, spare, states)])
        count = SINK + 1 + len(states.found)
        if count * width > most_words:
            raise TooLarge(f"{count} states of {width} words")
    columns = {ord(character): FIRST + place for place, character in enumerate(used)}
    symbols = tuple(columns.get(byte, OTHER if byte in NAME_BYTES else ILLEGAL) for byte in range(256))
    return Automaton(
        symbols, tuple(row[0] if i == 0 else row[i] * width for row in rows for i in range(width)), kinds, samples
    )


def _next(
    patterns: Sequence[str], places: Places, text: str, used: Sequence[str], spare: str | None, states: _States
) -> list[int]:
    """Next state by column, from ILLEGAL on."""
    other = SINK if spare is None else states.number(_step(patterns, places, None), text + spare)
    return [SINK, other, *(states.number(_step(patterns, places, one), text + one) for one in used)]


def _step(patterns: Sequence[str], places: Places, character: str | None) -> Places:
    """Where one more character leads; None is one that stands in no pattern."""
    stay = {(number, read) for number, read in places if patterns[number][read : read + 1] == "*"}
    on = {
        (number, read + 1)
        for number, read in places
        if character is not None and patterns[number][read : read + 1] == character
    }
    return _closed(patterns, stay | on)


def _closed(patterns: Sequence[str], places: Iterable[tuple[int, int]]) -> Places:
    """With what follows a star, since a star may stand for nothing."""
    found = set(places)
    waiting = list(found)
    while waiting:
        number, read = waiting.pop()
        if patterns[number][read : read + 1] == "*" and (number, read + 1) not in found:
            found.add((number, read + 1))
            waiting.append((number, read + 1))
    return frozenset(found)
