"""A time on the command line or in a variable of the environment: `190s`, `3m`, `190`. Called by the verbs; knows no verb."""

from __future__ import annotations

import re

from nexus.errors import UsageError

DURATION = re.compile(r"(\d+)(s|m|h|)")
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def parse_duration(text: str, name: str) -> float:
    """`190s`, `3m`, `190`."""
    found = DURATION.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise UsageError(f"{name}: found `{text}`, expected a time like 190s, 3m or 190")
    return float(int(found[1]) * UNITS[found[2]])
