"""What upstream's run-tests.py said of each test, and whether that is what tests/micropython/ lists. Pure: nothing is run or read here.

Called by suite.py. Believes no summary alone: a test that was asked for and got no line, or two, or a total that does not
fit, is a failure, as is a skip that is not listed and a listed one that was not skipped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

PASS, SKIP, FAIL = "pass", "skip", "fail"
DIRECTORIES = ("basics", "micropython", "misc", "extmod", "float")

LINE = re.compile(r"(pass|skip|FAIL)  (\S+\.py)(?: .*)?$")
PERFORMED = re.compile(r"(\d+) tests performed \((\d+) individual testcases\)$")
PASSED = re.compile(r"(\d+) tests passed$")


@dataclass(frozen=True)
class Run:
    """One run of run-tests.py: the end of each test by its name without `.py`, in the order in which they came."""

    lines: tuple[tuple[str, str], ...]
    performed: int | None  # as its last lines say; None if they never came
    passed: int | None
    testcases: int
    exit_code: int

    @property
    def ends(self) -> dict[str, str]:
        return dict(self.lines)


def parse_run(lines: Iterable[str], exit_code: int) -> Run:
    """From its standard output. Its summary gives tests by their last name only, so the lines before it are what counts."""
    ends: list[tuple[str, str]] = []
    performed = passed = None
    testcases = 0
    for line in map(str.rstrip, lines):
        if found := LINE.match(line):
            ends.append((found[2].removesuffix(".py"), found[1].lower()))
        elif found := PERFORMED.match(line):
            performed, testcases = int(found[1]), int(found[2])
        elif found := PASSED.match(line):
            passed = int(found[1])
    return Run(tuple(ends), performed, passed, testcases, exit_code)


def incomplete(run: Run, asked: Sequence[str]) -> list[str]:
    """Why a run is not the run that was asked for; nothing if it is."""
    said = Counter(name for name, _ in run.lines)
    problems = [f"{name}: no result" for name in asked if said[name] == 0]
    problems += [f"{name}: {times} results" for name, times in said.items() if times > 1]
    problems += [f"{name}: a result of a test that nobody asked for" for name in said if name not in set(asked)]
    counts = Counter(end for _, end in run.lines)
    if run.performed is None or run.passed is None:
        problems.append(f"run-tests.py ended with {run.exit_code} and without its summary")
    elif (run.performed, run.passed) != (counts[PASS] + counts[FAIL], counts[PASS]):
        problems.append(f"run-tests.py counts {run.passed} passed of {run.performed}, its lines say otherwise")
    if run.performed is not None and (run.exit_code == 0) != (counts[FAIL] == 0):
        problems.append(f"run-tests.py ended with {run.exit_code} after {counts[FAIL]} failures")
    return problems


def unlisted(ends: Mapping[str, str], listed: Mapping[str, str]) -> list[str]:
    """Failures, and each skip that the list does not have or that did not happen; `listed` gives each skip's reason."""
    failed = [f"{name}: failed" for name, end in ends.items() if end == FAIL]
    skipped = [f"{name}: skipped, and not listed" for name, end in ends.items() if end == SKIP and name not in listed]
    ran = [f"{name}: listed as skipped, but it {end}ed" for name, end in ends.items() if name in listed and end == PASS]
    return failed + skipped + ran


def judge(
    runs: Sequence[tuple[Run, Sequence[str]]], listed: Mapping[str, str], least_passed: int | None = None
) -> list[str]:
    """All that is wrong with some runs, each given with what it was asked for; `least_passed`: together they are the whole suite."""
    problems = [problem for run, asked in runs for problem in incomplete(run, asked)]
    ends = {name: end for run, _ in runs for name, end in run.lines}
    problems += unlisted(ends, listed)
    if least_passed is not None:
        problems += [f"{name}: listed as skipped, and no test of the suite" for name in listed if name not in ends]
        passed = sum(end == PASS for end in ends.values())
        if passed < least_passed:
            problems.append(f"{passed} tests passed, expected at least {least_passed}")
    return problems


def by_directory(ends: Mapping[str, str]) -> dict[str, Counter[str]]:
    """How many came to which end, for each directory."""
    counts: dict[str, Counter[str]] = {}
    for name, end in ends.items():
        counts.setdefault(name.partition("/")[0], Counter())[end] += 1
    return counts
