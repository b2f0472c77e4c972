"""What one console line is: whose it is, what it says, or why it is no line of this system at all.

Used by the ladder and by everything that shows guest text. Pure, and never trusts a byte of its input.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

KERNEL = "kernel"
SELFTEST = "SELFTEST"
INIT = "init"
POLICY = "policyd"
KEYSTORE = "keystored"

# The longest line the kernel can print is far below; what is longer is no line of ours and is cut by the reader.
MAX_LINE_BYTES = 1024
PANIC = b"kernel: panic"
APP_LABEL = re.compile(r"(app:[a-z0-9.-]{1,32})(: |\| )")
BOOT = re.compile(r"boot run=([0-9a-f]{32}) contract=([0-9a-f]{64}) policy=([0-9a-f]{64}|none)")
END = re.compile(r"end run=([0-9a-f]{32}) code=([0-9]{1,3})")
DECISION = re.compile(r"(?:allow|deny) \(subject=[\w:.-]{1,40} action=[\w.-]{1,40}\)")
SIGN_DENIED = re.compile(r"sign denied \(subject=[\w:.-]{1,40}\)")
COUNTER = re.compile(r"\bpc=(?:0x)?([0-9a-f]{4,16})\b")


@dataclass(frozen=True, slots=True)
class Seen:
    """Bytes of one line as they came, without the line end; `at` in seconds since the machine ran."""

    at: float
    data: bytes
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a known label. `continued` lines go on with what the same label said just before."""

    label: str
    text: str
    continued: bool

    def __str__(self) -> str:
        return f"{self.label}{'| ' if self.continued else ': '}{self.text}"


@dataclass(frozen=True, slots=True)
class Malformed:
    why: str


def phase_pattern(opening: str, decisions: str) -> re.Pattern[str]:
    """The line with which init closes a phase; its fixed texts stand in the contract ([line] phase, decisions)."""
    return re.compile(re.escape(opening) + r"([a-z-]{1,32})" + re.escape(decisions) + r"([0-9]{1,6})")


def escape(data: bytes) -> str:
    """Guest bytes as one line of printable ASCII. A backslash stays: the kernel has escaped its own already."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}" for byte in data)


def parse(seen: Seen, labels: frozenset[str]) -> Line | Malformed:
    """The line, if the kernel of an image with these labels could have printed it."""
    if not seen.whole:
        return Malformed(f"longer than {MAX_LINE_BYTES} bytes")
    if any(not 0x20 <= byte < 0x7F for byte in seen.data):
        return Malformed("a byte that is not printable ASCII: somebody writes raw to the UART")
    raw = seen.data.decode("ascii")
    app = APP_LABEL.match(raw)
    if app:
        return Line(app[1], raw[app.end() :], app[2] == "| ")
    for label in labels:
        for mark in (": ", "| "):
            if raw.startswith(label + mark):
                return Line(label, raw[len(label) + 2 :], mark == "| ")
    return Malformed("no label of this image: only the kernel prints, and it labels every line")
