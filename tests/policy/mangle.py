"""Texts that are nearly a policy: one with values, lines and characters exchanged at random. Used by tests/unit/test_policy_check.py."""

from __future__ import annotations

import random
import re

VALUE = re.compile(r'"[^"\n]*"|\[[^\n]*\]')
PIECES = """
"*" [] {} 1 true "" "app:*" "@some" [[rule]] [rule] [services] [[delegate]] "deny" [["a"]] 1.5 2020-01-01 "\\u0000" "é" nan
[{a=1}] "route" "-" "device.key.export" x=1 [domains] "bring_up" [1,2] -1 "@" "app:" "**" "."
""".split()


def mangled(text: str, chance: random.Random) -> str:
    """The text after one to four random changes."""
    for _ in range(chance.randint(1, 4)):
        text = chance.choice([_value, _value, _line_more, _line_less, _character])(text, chance)
    return text


def _value(text: str, chance: random.Random) -> str:
    places = list(VALUE.finditer(text))
    if not places:
        return text
    place = chance.choice(places)
    return text[: place.start()] + chance.choice(PIECES) + text[place.end() :]


def _line_more(text: str, chance: random.Random) -> str:
    lines = text.split("\n")
    lines.insert(chance.randrange(len(lines)), chance.choice(lines + PIECES))
    return "\n".join(lines)


def _line_less(text: str, chance: random.Random) -> str:
    lines = text.split("\n")
    del lines[chance.randrange(len(lines))]
    return "\n".join(lines)


def _character(text: str, chance: random.Random) -> str:
    place = chance.randrange(max(1, len(text)))
    return text[:place] + chr(chance.randrange(1, 300)) + text[place + 1 :]
