"""Mutations of TOML texts that stay texts: words exchanged for others of a vocabulary, whole tables doubled, dropped, moved, exchanged.

Used by policy_parser.py and recipe_parser.py, beside the plain damage of tests/policy/mangle.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random

from mangle import mangled
from target import Generic

STRING = re.compile(r'"[^"\n]*"')


def mutator(vocabulary: Sequence[str]) -> Callable[[bytes, Random, Generic], bytes]:
    """What a Target takes as `mutate`; the vocabulary is of TOML values."""

    def mutate(data: bytes, chance: Random, generic: Generic) -> bytes:
        kind, text = chance.random(), data.decode("utf-8", errors="replace")
        if kind < 0.15:
            return generic(data)
        if kind < 0.35:
            text = mangled(text, chance)
        elif kind < 0.6:
            text = _tables(text, chance)
        else:
            text = _words(text, chance, vocabulary)
        return text.encode("utf-8", errors="replace")

    return mutate


def _words(text: str, chance: Random, vocabulary: Sequence[str]) -> str:
    for _ in range(chance.choice((1, 1, 2))):
        places = list(STRING.finditer(text))
        if places:
            place = chance.choice(places)
            text = text[: place.start()] + chance.choice(vocabulary) + text[place.end() :]
    return text


def _tables(text: str, chance: Random) -> str:
    tables = re.split(r"^(?=\[)", text, flags=re.MULTILINE)
    place, other = chance.randrange(len(tables)), chance.randrange(len(tables))
    kind = chance.randrange(4)
    if kind == 0:
        tables[place], tables[other] = tables[other], tables[place]
    elif kind == 1:
        tables.insert(place, tables[other])
    elif kind == 2:
        del tables[place]
    else:
        lines, others = tables[place].split("\n"), tables[other].split("\n")
        lines.insert(chance.randrange(1, len(lines) + 1), chance.choice(others))
        tables[place] = "\n".join(lines)
    return "".join(tables)
