"""Planted bugs: each patch of tests/mutants removes one rule, and the test named for it in mutants.toml must then fail.

Called by verbs/mutants.py. Works in a copy of the tree, of which every file is put back after each bug; the clone is only read.
A bug that survives, a patch that no longer applies and a tree that no longer builds are all findings.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from nexus.errors import SetupError, UsageError, VerdictError
from nexus.image.toolchain import find_tool

FOLDER = Path("tests", "mutants")
LIST = "mutants.toml"
KEYS = {"name", "breaks", "test"}
SHOWN = 2000
SECONDS = 300.0  # for one run of one test, builds included

# What was built from the same sources already; make and the image builder find out what a patch has changed.
PRODUCTS = ("gen", "mpy", "sources", "kernel-host")
# A test that fails with one of these never came to its question.
NO_ANSWER = re.compile(r"nexus\.errors\.(?:Build|Recipe|Setup|Usage)Error\b")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Mutant:
    """One bug: its patch is `<name>.patch`, `breaks` says which rule is gone, `test` is the pytest node that has to fail."""

    name: str
    breaks: str
    test: str
    patch: Path


@dataclass(frozen=True)
class Outcome:
    """How one test ended: passed, failed, error (in its set-up), skipped, missing."""

    kind: str
    text: str = ""


@dataclass(frozen=True)
class Result:
    mutant: Mutant
    seconds: float
    finding: str  # empty: killed

    @property
    def line(self) -> str:
        verdict = f"SURVIVED: {self.finding}" if self.finding else "killed"
        return f"{self.seconds:6.1f} s  {self.mutant.name:<32} {verdict:<8} {self.mutant.test.partition('::')[2]}"


# ---- the list --------------------------------------------------------------------------------------------------------


def load_mutants(folder: Path) -> tuple[Mutant, ...]:
    """The rows of the list, in order; rows and patches must match one to one."""
    table = tomllib.loads((folder / LIST).read_text(encoding="utf-8"))
    rows = table.get("mutant", [])
    mutants = tuple(_mutant(folder, row) for row in rows)
    listed, found = [one.name for one in mutants], {path.stem for path in folder.glob("*.patch")}
    wrong = sorted(found.symmetric_difference(listed)) + sorted({name for name in listed if listed.count(name) > 1})
    if wrong:
        raise UsageError(f"{FOLDER / LIST}: expected one row for each patch, found otherwise for {', '.join(wrong)}")
    return mutants


def _mutant(folder: Path, row: Mapping[str, str]) -> Mutant:
    if set(row) != KEYS or "::" not in row["test"]:
        raise UsageError(f"{FOLDER / LIST}: found {dict(row)}, expected {', '.join(sorted(KEYS))}; test = file::name")
    return Mutant(row["name"], row["breaks"], row["test"], folder / f"{row['name']}.patch")


def choose(mutants: Sequence[Mutant], names: Sequence[str]) -> tuple[Mutant, ...]:
    """Those named, or all."""
    unknown = sorted(set(names) - {one.name for one in mutants})
    if unknown:
        raise UsageError(f"no such mutant: {', '.join(unknown)}", "there are: " + " ".join(one.name for one in mutants))
    return tuple(one for one in mutants if not names or one.name in names)


# ---- the copy --------------------------------------------------------------------------------------------------------


class Copy:
    """A copy of the tree, in which patches come and go."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.said = ""  # by the last run of tests
        self._git = find_tool("git")

    def apply(self, patch: Path) -> dict[Path, bytes | None]:
        """What the files held that it changes; None for one that it makes. Raises VerdictError if it does not apply."""
        listed = self._run("apply", "--numstat", "-z", str(patch)).stdout
        files = [self.root / row.split("\t")[2] for row in listed.split("\0") if row]
        before = {path: path.read_bytes() if path.exists() else None for path in files}
        done = self._run("apply", str(patch))
        if done.returncode or not files:
            raise VerdictError(f"its patch does not apply: {done.stderr.strip() or 'it changes nothing'}")
        return before

    def restore(self, before: Mapping[Path, bytes | None]) -> None:
        for path, data in before.items():
            if data is None:
                path.unlink()
            else:
                path.write_bytes(data)

    def run_tests(self, tests: Sequence[str], seconds: float) -> dict[str, Outcome]:
        """How each of these tests ends here, by node; one that did not end in time has no outcome."""
        report = self.root / "mutants.xml"
        report.unlink(missing_ok=True)
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("RUN_", "PYTEST_"))}
        # Stale bytecode would hide a patch: it is compared by size and by whole seconds.
        environ |= {"PYTHONPATH": str(self.root / "tooling"), "PYTHONDONTWRITEBYTECODE": "1"}
        argv = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *tests]
        try:
            done = subprocess.run(
                argv, cwd=self.root, env=environ, capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            self.said = f"no end within {seconds:g} s"
            return {}
        self.said = (done.stdout + done.stderr).strip()
        return read_report(report, tests)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "GIT_CEILING_DIRECTORIES": str(self.root.parent), "LC_ALL": "C"}
        return subprocess.run(
            [self._git, *arguments], cwd=self.root, env=environ, capture_output=True, text=True, check=False
        )


def read_report(report: Path, tests: Sequence[str]) -> dict[str, Outcome]:
    """The outcome of each test; of one with parameters that is named without any, the worst of them."""
    found: dict[str, list[Outcome]] = {}
    for case in ElementTree.parse(report).iter("testcase") if report.is_file() else ():
        whole = f"{case.get('classname')}.{case.get('name')}"
        for name in {whole, whole.partition("[")[0]}:
            found.setdefault(name, []).append(_outcome(case))
    return {test: min(found.get(_report_name(test), [Outcome("missing")]), key=_rank) for test in tests}


def _outcome(case: ElementTree.Element) -> Outcome:
    for kind, tag in (("error", "error"), ("failed", "failure"), ("skipped", "skipped")):
        element = case.find(tag)
        if element is not None:
            return Outcome(kind, element.get("message") or "")
    return Outcome("passed")


def _rank(outcome: Outcome) -> int:
    return ("missing", "error", "skipped", "failed", "passed").index(outcome.kind)


def _report_name(test: str) -> str:
    """file.py::Class::name[parameter] as the report spells it."""
    path, _, rest = test.partition("::")
    name, bracket, parameter = rest.partition("[")
    return f"{path.removesuffix('.py').replace('/', '.')}.{name.replace('::', '.')}{bracket}{parameter}"


@contextmanager
def copy_of(root: Path) -> Iterator[Copy]:
    """A copy of all that git knows or would add, and of what can be taken over from build/; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="nexus-mutants-") as folder:
        target = Path(folder)
        for name in _sources(root):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, target / name, follow_symlinks=False)
        for product in _products(root / "build"):
            (target / product.relative_to(root)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(product, target / product.relative_to(root))
        yield Copy(target)


def _sources(root: Path) -> list[str]:
    argv = [find_tool("git"), "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(argv, capture_output=True, text=True, check=False)
    if listed.returncode:
        raise SetupError("the list of source files comes from git, and this is no clone", listed.stderr.strip())
    return [name for name in listed.stdout.split("\0") if name and (root / name).exists()]


def _products(build: Path) -> Iterator[Path]:
    """Interpreters without make's own notes, which hold paths; they are found fresh by a hash of their sources."""
    for name in PRODUCTS:
        yield from (path for path in (build / name).rglob("*") if path.is_file())
    yield from (build / "runtime").glob("*.stamp")
    yield from (build / "runtime").glob("*/*.elf")


# ---- running ---------------------------------------------------------------------------------------------------------


def find_survivor(outcome: Outcome | None) -> str:
    """Why a test that ended like this has not killed its mutant; empty if it has."""
    if outcome is None:
        return f"its test did not end within {SECONDS:g} s"
    if outcome.kind == "failed":
        return f"the tree does not build: {outcome.text[:200]}" if NO_ANSWER.match(outcome.text) else ""
    return {
        "passed": "its test passes",
        "error": f"its test could not begin: {outcome.text[:200]}",
        "skipped": "its test was skipped",
        "missing": "its test does not exist",
    }[outcome.kind]


def check_unharmed(copy: Copy, mutants: Sequence[Mutant]) -> None:
    """Every named test passes before anything is broken, or its failing later would mean nothing."""
    tests = sorted({one.test for one in mutants})
    outcomes = copy.run_tests(tests, SECONDS + 10 * len(tests))
    wrong = [test for test in tests if outcomes.get(test) != Outcome("passed")]
    if wrong:
        states = "\n  ".join(f"{test}: {outcomes[test].kind if test in outcomes else 'no end'}" for test in wrong)
        raise VerdictError(f"named tests that do not pass in the unharmed tree:\n  {states}\n{copy.said[-SHOWN:]}")


def try_mutant(copy: Copy, mutant: Mutant, clock: Callable[[], float] = time.monotonic) -> Result:
    begun = clock()
    try:
        before = copy.apply(mutant.patch)
    except VerdictError as error:
        return Result(mutant, clock() - begun, error.message)
    try:
        finding = find_survivor(copy.run_tests([mutant.test], SECONDS).get(mutant.test))
    finally:
        copy.restore(before)
    return Result(mutant, clock() - begun, finding)


def run_mutants(root: Path, names: Sequence[str], say: Say) -> list[Result]:
    """Each mutant's result, said as it comes."""
    mutants = choose(load_mutants(root / FOLDER), names)
    with copy_of(root) as copy:
        begun = time.monotonic()
        check_unharmed(copy, mutants)
        say(
            f"{time.monotonic() - begun:6.1f} s  {len({one.test for one in mutants})} named tests pass in the unharmed tree"
        )
        results: list[Result] = []
        for mutant in mutants:
            results.append(try_mutant(copy, mutant))
            say(results[-1].line)
    return results
