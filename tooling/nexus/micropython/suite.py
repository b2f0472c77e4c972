"""MicroPython's own test suite on a target: some runs side by side, each on a machine of its own, judged together.

Called by __main__.py and by the tests. Writes what failed into build/test-micropython/, as upstream's runner leaves it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from nexus.errors import DeadlineError, UsageError
from nexus.micropython import harness, outcomes
from nexus.micropython.lists import load_skips, load_targets
from nexus.micropython.outcomes import Run
from nexus.micropython.targets import Machine, prepare

Progress = Callable[[str], None]

SHOWN_LINES = 40  # of what a failed test printed


@dataclass(frozen=True)
class Verdict:
    """What came of a suite."""

    target: str
    runs: tuple[Run, ...]
    problems: list[str]

    @property
    def ends(self) -> dict[str, str]:
        return {name: end for run in self.runs for name, end in run.lines}

    @property
    def testcases(self) -> int:
        return sum(run.testcases for run in self.runs)


def choose(tests: Sequence[str], only: Sequence[str]) -> list[str]:
    """Tests by directory or name, else by a part of it; all of them if nothing is asked for."""
    chosen: set[str] = set()
    for word in only:
        named = [test for test in tests if word in (test, test.partition("/")[0])]
        found = named or [test for test in tests if word in test]
        if not found:
            raise UsageError(f"--only {word}: no test of {', '.join(outcomes.DIRECTORIES)} has this in its name")
        chosen.update(found)
    return [test for test in tests if not only or test in chosen]


def run_suite(root: Path, target: str, only: Sequence[str], jobs: int, progress: Progress) -> Verdict:
    """The verdict on these tests; on the whole suite if none are named."""
    with harness.checkout(root, progress) as tree:
        return run_tests(root, tree, target, choose(harness.all_tests(tree), only), jobs, progress, whole=not only)


def run_tests(
    root: Path, tree: Path, target: str, tests: Sequence[str], jobs: int, progress: Progress, *, whole: bool
) -> Verdict:
    """Every so-manieth test to each job, so that long ones spread."""
    machine = prepare(target, root, progress)
    results = root / harness.RESULTS / _plain(target)
    shutil.rmtree(results, ignore_errors=True)
    shares = [list(tests[job::jobs]) for job in range(min(jobs, len(tests)))]
    with ThreadPoolExecutor(len(shares)) as pool:
        works = [
            pool.submit(_run, tree, machine, share, results / str(job), progress) for job, share in enumerate(shares)
        ]
        runs = [work.result() for work in works]
    least = load_targets(root).least_passed if whole else None
    problems = outcomes.judge(list(zip(runs, shares, strict=True)), load_skips(root), least)
    return Verdict(target, tuple(runs), problems)


def _run(tree: Path, machine: Machine, tests: Sequence[str], results: Path, progress: Progress) -> Run:
    results.mkdir(parents=True)
    heard: list[str] = []

    def hear(line: str) -> None:
        heard.append(line)
        if line.startswith("FAIL"):
            progress(line)  # when it happens

    with machine(False) as device:
        words = ["-t", device, "-r", str(results), *(f"{test}.py" for test in tests)]
        try:
            lines, exit_code = harness.run_script(tree, "run-tests.py", words, results / "stderr", hear)
        except DeadlineError as error:
            raise DeadlineError(f"{hanging(tests, heard)}: hangs", error.message) from error
    (results / "stdout").write_text("\n".join(lines), encoding="utf-8")
    return outcomes.parse_run(lines, exit_code)


def hanging(tests: Sequence[str], heard: Sequence[str]) -> str:
    """The first test without a result: upstream's runner waits for ever for the first byte of a script."""
    ends = outcomes.parse_run(heard, 0).ends
    return next((test for test in tests if test not in ends), "run-tests.py")


def _plain(target: str) -> str:
    return target if target.isalnum() else "device"


def evidence(root: Path, verdict: Verdict) -> list[str]:
    """What the tests that failed printed, and what was expected of them."""
    found: list[str] = []
    folder = root / harness.RESULTS / _plain(verdict.target)
    for name, end in verdict.ends.items():
        if end == outcomes.FAIL:
            for path in sorted(folder.glob(f"*/{name.replace('/', '_')}.py.*")):
                text = path.read_text(encoding="utf-8", errors="backslashreplace").splitlines()
                found += [f"--- {path.relative_to(root)}", *text[:SHOWN_LINES]]
    return found
