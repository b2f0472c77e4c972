"""What a check gets to look at and what it answers. Used by every check and by doctor.py. Never prints.

A check that could not be made is SKIPPED, which is not a pass: the report says so and why.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

RUN_SECONDS = 20.0
COULD_NOT_RUN = 127
TIMED_OUT = 124


class Status(StrEnum):
    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """One answer. `missing` tells a tool or set-up step that is not there from one that is there and wrong."""

    status: Status
    detail: str
    hint: str | None = None
    missing: bool = False


def passed(detail: str) -> Finding:
    return Finding(Status.PASS, detail)


def warned(detail: str, hint: str) -> Finding:
    return Finding(Status.WARN, detail, hint)


def failed(detail: str, hint: str) -> Finding:
    return Finding(Status.FAIL, detail, hint)


def lacking(detail: str, hint: str) -> Finding:
    return Finding(Status.FAIL, detail, hint, missing=True)


def skipped(detail: str) -> Finding:
    return Finding(Status.SKIPPED, detail)


@dataclass(frozen=True)
class Answer:
    """How a program ended and all that it said."""

    exit_code: int
    text: str

    @property
    def first_line(self) -> str:
        return self.text.strip().partition("\n")[0]


def run_program(argv: Sequence[str], text: str = "") -> Answer:
    """Run to the end, never longer than RUN_SECONDS; what can't be run answers like a shell would."""
    try:
        done = subprocess.run(
            argv, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            encoding="utf-8", errors="replace", timeout=RUN_SECONDS, check=False,
        )  # fmt: skip
    except OSError as error:
        return Answer(COULD_NOT_RUN, f"{argv[0]}: {error.strerror}")
    except subprocess.TimeoutExpired:
        return Answer(TIMED_OUT, f"{argv[0]}: no end after {RUN_SECONDS:g} s")
    return Answer(done.returncode, done.stdout)


@dataclass(frozen=True)
class Computer:
    """The outside world as the checks see it; tests give another one."""

    root: Path
    environ: Mapping[str, str]
    run: Callable[[Sequence[str], str], Answer] = run_program
    which: Callable[[str], str | None] = shutil.which

    def ask(self, *argv: str, text: str = "") -> Answer:
        return self.run(argv, text)
