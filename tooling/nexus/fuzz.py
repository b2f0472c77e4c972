"""Fuzz the decoders: each target of tests/fuzz in a process of its own, two at a time; says for each how many inputs ran and what they covered.

Called by the justfile: `fuzz [TARGET...] [--runs N | --seconds S] [--seed N] [--engine E]`. An input that breaks a rule is kept in tests/fuzz/found,
where pytest finds it. Never judges an input itself: that is the target's part.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from nexus.layout import find_root

FOLDER = Path("tests", "fuzz")
LIST = "targets.toml"
RUNS = 50_000
AT_ONCE = 2
SHOWN = 25  # lines of a run that failed
OK, FAILED, USAGE = 0, 1, 2

ENGINE = re.compile(r"^engine: (\w+)$", re.MULTILINE)
DONE = re.compile(r"^Done (\d+) runs in \d+ second", re.MULTILINE)
SEEDS = re.compile(r"^#\d+\s+INITED cov: (\d+) ", re.MULTILINE)
COVERED = re.compile(r"^#\d+\s+DONE\s+cov: (\d+) ", re.MULTILINE)


@dataclass(frozen=True)
class Asked:
    """How much of each target: so many inputs, or so many seconds."""

    runs: int
    seconds: int = 0
    seed: int = 1
    engine: str | None = None  # the best there is

    @property
    def options(self) -> list[str]:
        amount = ["--seconds", str(self.seconds)] if self.seconds else ["--runs", str(self.runs)]
        return [*amount, "--seed", str(self.seed), *(["--engine", self.engine] if self.engine else [])]


@dataclass(frozen=True)
class Outcome:
    """What one target's process said before it ended."""

    name: str
    exit_code: int
    said: str
    seconds: float
    kept: Path | None = None  # the input that broke a rule

    @property
    def engine(self) -> str:
        return _first(ENGINE, self.said) or "none"

    @property
    def runs(self) -> int:
        return int(_first(DONE, self.said) or 0)

    @property
    def edges(self) -> tuple[int, int] | None:
        """Covered by the seeds, and in the end; None if the engine sees no coverage."""
        first, last = _first(SEEDS, self.said), _first(COVERED, self.said)
        return (int(first), int(last)) if first and last else None


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found[1] if found else None


def find_failure(outcome: Outcome, asked: Asked) -> str:
    """Why this run does not count; empty if it does."""
    if outcome.kept is not None:
        return f"an input breaks a rule: {outcome.kept}"
    if outcome.exit_code:
        return f"its process ended with {outcome.exit_code}"
    if outcome.runs == 0 or (not asked.seconds and outcome.runs < asked.runs):
        return f"{outcome.runs} inputs ran instead of {asked.runs}"
    if outcome.engine == "atheris" and (outcome.edges is None or outcome.edges[1] <= outcome.edges[0]):
        return "it covered no more than its seeds: its inputs reach nothing"
    return ""


def describe(outcome: Outcome, failure: str) -> str:
    edges = f"{outcome.edges[1]:>5} edges ({outcome.edges[0]} by the seeds)" if outcome.edges else "edges not measured"
    row = f"{outcome.name:<18} {outcome.engine:<10} {outcome.runs:>8} runs  {edges:<30} {outcome.seconds:6.1f} s"
    return f"{row}  {'FAILED: ' + failure if failure else 'ok'}"


# ---- one target ------------------------------------------------------------------------------------------------------


def run_target(name: str, asked: Asked, root: Path) -> Outcome:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="nexus-fuzz-") as folder:
        done = _child(name, [*asked.options, "--folder", folder], root)
        kept = keep_finding(name, Path(folder), root) if done.returncode else None
    return Outcome(name, done.returncode, done.stdout, time.monotonic() - begun, kept)


def _child(name: str, options: Sequence[str], root: Path) -> subprocess.CompletedProcess[str]:
    # One hash seed, so that sets are walked in the same order and a run can be repeated.
    environ = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    argv = [sys.executable, str(root / FOLDER / "child.py"), name, *options]
    return subprocess.run(
        argv, cwd=root, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        encoding="utf-8", errors="replace", check=False,
    )  # fmt: skip


def keep_finding(name: str, folder: Path, root: Path) -> Path | None:
    """The input alone where it breaks the rule alone, else with all that ran before it; None if there is no input to blame."""
    history = read_history(folder)
    if not history:
        return None
    alone = folder / "alone.hex"
    alone.write_text(history[-1], encoding="ascii")
    needs_more = _child(name, ["--replay", str(alone), "--folder", str(folder)], root).returncode == 0
    text = "".join(history) if needs_more and len(history) > 1 else history[-1]
    target = root / FOLDER / "found" / name / f"{hashlib.sha256(text.encode('ascii')).hexdigest()[:8]}.hex"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="ascii")
    return target.relative_to(root)


def read_history(folder: Path) -> list[str]:
    """Inputs as lines of hex, the last one to blame: from the target's own record, or, where the engine stopped the process
    (an endless loop, no memory), from the engine's copy of it."""
    history = folder / "history.hex"
    if history.is_file():
        return history.read_text(encoding="ascii").splitlines(keepends=True)
    copies = sorted(path for path in folder.iterdir() if path.name.startswith(("crash-", "timeout-", "oom-", "leak-")))
    return [f"{copies[0].read_bytes().hex()}\n"] if copies else []


# ---- all of them -----------------------------------------------------------------------------------------------------


def known_targets(root: Path) -> tuple[str, ...]:
    return tuple(tomllib.loads((root / FOLDER / LIST).read_text(encoding="utf-8")))


def run_all(names: Sequence[str], asked: Asked, root: Path) -> int:
    """The slowest are listed first, so that the last one to end does not run alone."""
    failures = 0

    def one(name: str) -> tuple[Outcome, str]:
        outcome = run_target(name, asked, root)
        return outcome, find_failure(outcome, asked)

    with ThreadPoolExecutor(min(AT_ONCE, os.cpu_count() or 1)) as pool:
        for outcome, failure in pool.map(one, names):
            print(describe(outcome, failure), flush=True)
            if failure:
                failures += 1
                print("\n".join(f"    {line}" for line in outcome.said.splitlines()[-SHOWN:]), flush=True)
    return FAILED if failures else OK


def main(arguments: Sequence[str]) -> int:
    root = find_root()
    known = known_targets(root)
    parser = argparse.ArgumentParser(prog="fuzz", description=f"targets: {' '.join(known)}")
    parser.add_argument("target", nargs="*")
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--runs", type=int, default=RUNS, help="inputs for each target")
    amount.add_argument("--seconds", type=int, default=0, help="time for each target instead")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--engine", choices=("atheris", "hypothesis"), help="the second sees no coverage and needs no wheel"
    )
    chosen = parser.parse_args(arguments)
    unknown = sorted(set(chosen.target) - set(known))
    if unknown or chosen.runs < 1 or chosen.seconds < 0:
        print(
            f"fuzz: {'no target ' + ', '.join(unknown) if unknown else 'runs'}; there are: {' '.join(known)}",
            file=sys.stderr,
        )
        return USAGE
    return run_all(chosen.target or known, Asked(chosen.runs, chosen.seconds, chosen.seed, chosen.engine), root)


if __name__ == "__main__":
    try:
        raise SystemExit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        raise SystemExit(130) from None
