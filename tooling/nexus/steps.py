"""Run the verbs of a gate one after the other, stop at the first that fails, and say how many seconds each took.

Called by the justfile (`test`, `test-all`, `test-os`). Never judges anything: a step's exit code is its answer.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TEST = ("lint", "test-host", "fuzz", "test-os", "test-kernel")
GATES = {"test": TEST, "test-all": (*TEST, "test-micropython", "mutants", "bench")}
# Options of a step where a gate has no time for all of it. Tests marked `thorough` do once more, elsewhere, what another test of the same
# file does in this gate.
WITHOUT_THOROUGH = ("-m", "not thorough")
SHORT = {"test": {"fuzz": ("--runs", "5000"), "test-host": WITHOUT_THOROUGH}}
SHORT_VARIABLE = "NEXUS_SHORT"  # the same for test-os, whose options would choose among its tests

# Variables that shorten or prolong one judged boot; whoever sets one wants that boot and nothing after it.
RUN_VARIABLES = ("RUN_PHASE", "RUN_UNTIL_MARKER")
PYTEST_OPTIONS = ("-k", "-x", "-m", "--lf", "--co", "--collect-only")

# Boots of different files side by side: a machine takes one core, and some tests wait for time to pass. Tests of one file share
# clones and machines.
SIDE_BY_SIDE = ("--numprocesses", str(1 + (os.cpu_count() or 1)), "--dist", "loadfile", "--no-loadscope-reorder")

# What `test-kernel` runs by itself; among tests/os it is for whoever asks pytest for it.
KERNEL_PROOF = "tests/os/test_kernel.py"

USAGE = 2
INTERRUPTED = 130


@dataclass(frozen=True)
class Result:
    step: str
    seconds: float
    exit_code: int


def choose(gate: str, names: Sequence[str]) -> tuple[str, ...] | None:
    """The steps of a gate, or those of them that are named, in the gate's order; None if a name is not among them."""
    steps = GATES[gate]
    if not set(names) <= set(steps):
        return None
    return tuple(step for step in steps if not names or step in names)


def run_steps(steps: Sequence[str], run: Callable[[str], int], clock: Callable[[], float]) -> list[Result]:
    """Results up to and including the first failure."""
    results: list[Result] = []
    for step in steps:
        begun = clock()
        exit_code = run(step)
        results.append(Result(step, clock() - begun, exit_code))
        if exit_code:
            break
    return results


def table(steps: Sequence[str], results: Sequence[Result]) -> str:
    """One line per step; those that were never reached are listed as such."""
    said = {result.step: result for result in results}
    lines = [""]
    for step in steps:
        result = said.get(step)
        if result is None:
            lines.append(f"{step:<18}      -    not run")
        else:
            answer = "ok" if result.exit_code == 0 else f"FAILED (exit code {result.exit_code})"
            lines.append(f"{step:<18} {result.seconds:6.1f} s  {answer}")
    lines.append(f"{'in all':<18} {sum(result.seconds for result in results):6.1f} s")
    return "\n".join(lines)


def test_os_commands(arguments: Sequence[str], environ: Mapping[str, str]) -> list[list[str]]:
    """Options of pytest select among tests/os; anything else belongs to the judged boot; nothing at all means both."""
    python = [sys.executable, "-P", "-m"]
    boot = [*python, "nexus", "test-os", *arguments]
    if any(word.startswith("tests/os") for word in arguments):
        return [[*python, "pytest", *arguments]]
    tests = [*python, "pytest", "tests/os", *arguments]
    if any(word in PYTEST_OPTIONS for word in arguments):
        return [tests]
    if arguments or any(environ.get(name) for name in RUN_VARIABLES):
        return [boot]
    chosen = WITHOUT_THOROUGH if environ.get(SHORT_VARIABLE) else ()
    return [boot, [*tests, *SIDE_BY_SIDE, *chosen, f"--ignore={KERNEL_PROOF}"]]


def call(argv: Sequence[str], **variables: str) -> int:
    sys.stdout.flush()
    return subprocess.run(argv, env=os.environ | variables, check=False).returncode


def run_gate(gate: str, names: Sequence[str]) -> int:
    steps = choose(gate, names)
    if steps is None:
        print(f"{gate}: the steps are: {' '.join(GATES[gate])}", file=sys.stderr)
        return USAGE
    just = str(Path(sys.executable).with_name("just"))

    def run(step: str) -> int:
        print(f"\n==> {step}", flush=True)
        variables = {SHORT_VARIABLE: "1"} if gate in SHORT else {}
        return call([just, step, *SHORT.get(gate, {}).get(step, ())], **variables)

    results = run_steps(steps, run, time.monotonic)
    print(table(steps, results))
    return results[-1].exit_code


def run_until_failure(commands: Sequence[Sequence[str]]) -> int:
    return next((code for code in map(call, commands) if code), 0)


def main(arguments: Sequence[str]) -> int:
    verb, rest = arguments[0], arguments[1:]
    try:
        return run_until_failure(test_os_commands(rest, os.environ)) if verb == "test-os" else run_gate(verb, rest)
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
