"""A time on the command line or in a variable of the environment: `190s`, `3m`, `190`. Called by the verbs; knows no verb."""

from __future__ import annotations

import re

from nexus.errors import UsageError

DURATION = re.compile(r"(\d+)(s|m|h|)")
MOST_SECONDS = 30 * 24 * 3600  # beyond some years a wait of the operating system is an error
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def parse_duration(text: str, name: str) -> float:
    """`190s`, `3m`, `190`."""
    found = DURATION.fullmatch(text)
    seconds = float(found[1]) * UNITS[found[2]] if found else 0.0
    if seconds == 0:
        raise UsageError(f"{name}: found `{text}`, expected a time like 190s, 3m or 190")
    if seconds > MOST_SECONDS:
        raise UsageError(f"{name}: found `{text}`, expected at most 30 days, which are 720h")
    return seconds
