"""The keys of a rule and of a delegate row: how a value is read and what is expected of it. Called by check.py; knows one row at a time."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from nexus.policy.model import ALLOW, DENY
from nexus.recipe.fields import REQUIRED, Field

BUNDLE = re.compile(r"[a-z0-9.-]{1,32}")
TARGET = re.compile(r"[a-z0-9.:_*-]{1,32}")
ID_NAME = re.compile(r"[a-z][a-z0-9-]{0,23}")


def _text(pattern: re.Pattern[str]) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValueError
        return value

    return parse


def _names(pattern: re.Pattern[str]) -> Callable[[Any], tuple[str, ...]]:
    parse_one = _text(pattern)

    def parse(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not value:
            raise ValueError
        names = tuple(parse_one(item) for item in value)
        if len(set(names)) != len(names):
            raise ValueError
        return names

    return parse


SUBJECT = Field(
    _text(re.compile(r"@?[a-z][a-z0-9-]{0,23}|app:(?:\*|[a-z0-9.-]{1,32})")),
    "an id name, a @domain, app:* or app:<bundle id>",
    REQUIRED,
)
ASKED_ABOUT = Field(
    _text(re.compile(r"\*|@?[a-z][a-z0-9-]{0,23}|app:(?:\*|[a-z0-9.-]{1,32})")),
    "an id name, a @domain, app:*, app:<bundle id> or * for everybody",
    REQUIRED,
)
ASKER = Field(_text(re.compile(r"@?[a-z][a-z0-9-]{0,23}")), "an id name or a @domain", REQUIRED)
ACTION = re.compile(r"[a-z0-9.*]{1,40}")
ACTION_EXPECTED = "an action such as rng.entropy, or several as device.*"
REASON = Field(_text(re.compile(r"\S(?:.*\S)?")), "a sentence that says why", REQUIRED)

RULE = {
    "subject": SUBJECT,
    "action": Field(_text(ACTION), ACTION_EXPECTED, REQUIRED),
    "target": Field(_text(TARGET), "a name of at most 32 of a-z 0-9 . : _ - in which * stands for any text", None),
    "effect": Field(_text(re.compile(f"{ALLOW}|{DENY}")), f'"{ALLOW}" or "{DENY}"', REQUIRED),
    "gates": Field(_names(re.compile(r"[a-z_]+")), "a list of different gates", ()),
    "reason": REASON,
}
DELEGATE = {
    "asker": ASKER,
    "subject": ASKED_ABOUT,
    "actions": Field(_names(ACTION), f"a list of different actions, each {ACTION_EXPECTED}", REQUIRED),
    "reason": REASON,
}
DOMAIN_MEMBERS = Field(
    _names(ID_NAME), "a list of different id names, none of them an app, a glob or a @domain", REQUIRED
)
SERVICE = Field(_text(re.compile(r"\S(?:.*\S)?")), "a sentence that says what it is", REQUIRED)
