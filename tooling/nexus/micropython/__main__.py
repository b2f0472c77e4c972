"""`just test-micropython`: upstream's test suite on the booted system, then its benchmarks; exit code 0 only if both reach what is committed.

    test-micropython [--target system|bare|bare-size|DEVICE] [--only NAME]... [--jobs N] [--json FILE]

A NAME is a directory, a test or a part of its name, or `perfbench`. Whoever names some gets only those.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nexus import errors
from nexus.cli import show
from nexus.layout import find_root
from nexus.micropython import perf, suite
from nexus.micropython.lists import Peer, load_peer, load_targets
from nexus.micropython.outcomes import DIRECTORIES, FAIL, PASS, SKIP, by_directory
from nexus.micropython.suite import Verdict
from nexus.micropython.targets import NAMES

PERFBENCH = "perfbench"
JOBS = min(2, os.cpu_count() or 1)  # a machine takes one core, and so much of upstream's runner the other


def main(arguments: Sequence[str]) -> int:
    try:
        return run(_options(arguments), find_root())
    except KeyboardInterrupt:
        return errors.EXIT_INTERRUPTED
    except errors.NexusError as error:
        show(error)
        return error.exit_code


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="test-micropython", description="MicroPython's own tests and benchmarks")
    parser.add_argument("--target", default="system", help=f"{', '.join(NAMES)}, or a device as run-tests.py takes it")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="directory, test, or perfbench")
    parser.add_argument("--jobs", type=int, default=JOBS, metavar="N", help="machines at one time")
    parser.add_argument("--json", metavar="FILE", help="write all results there")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace, root: Path) -> int:
    """Suite, then benchmarks, as far as they are asked for."""
    names = [name for name in options.only if name != PERFBENCH]
    answer: dict[str, Any] = {}
    problems: list[str] = []
    if names or not options.only:
        begun = time.monotonic()
        verdict = suite.run_suite(root, options.target, names, max(1, options.jobs), _say)
        problems += verdict.problems
        answer["suite"] = report(verdict)
        lines = [*summary(verdict, time.monotonic() - begun), *suite.evidence(root, verdict)]
        if not names:
            lines += peer_lines(load_peer(root))
        _say("\n".join(lines))
    if PERFBENCH in options.only or (not options.only and options.target == "system"):
        targets = load_targets(root)
        table = perf.measure(root, targets, max(1, options.jobs), _say)
        problems += perf.judge(table, targets)
        answer[PERFBENCH] = perf_report(table)
        _say("\n".join(["", "thousands of instructions", *perf.show(table)]))
    answer["problems"] = problems
    if options.json:
        Path(options.json).write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")
    _say("\n".join([*(f"FAILED  {problem}" for problem in problems), "" if problems else "ok"]).rstrip())
    return 1 if problems else errors.EXIT_OK


def _say(text: str) -> None:
    print(text, flush=True)


def summary(verdict: Verdict, seconds: float) -> list[str]:
    counts = by_directory(verdict.ends)
    lines = ["", f"MicroPython's suite on {verdict.target}: {seconds:.0f} s", f"{'':<12} passed  failed  skipped"]
    for name in (*DIRECTORIES, ""):
        found = counts.get(name, Counter()) if name else sum(counts.values(), Counter())
        lines.append(f"{name or 'in all':<12} {found[PASS]:>6}  {found[FAIL]:>6}  {found[SKIP]:>7}")
    return [*lines, f"{verdict.testcases} testcases; every skip and its reason: tests/micropython/skips.toml"]


def peer_lines(peer: Peer) -> list[str]:
    """How upstream's own port does, and where it differs."""
    lines = [f"upstream's QEMU port of 1.26.1: {peer.passed} passed, {peer.failed} failed, {peer.skipped} skipped"]
    return lines + [
        f"  {len(group.tests):>3} {group.there} there, {group.here} here: {group.reason}" for group in peer.differences
    ]


def report(verdict: Verdict) -> dict[str, Any]:
    counts = Counter(verdict.ends.values())
    return {
        "target": verdict.target,
        "passed": counts[PASS],
        "failed": counts[FAIL],
        "skipped": counts[SKIP],
        "testcases": verdict.testcases,
        "tests": verdict.ends,
    }


def perf_report(table: perf.Table) -> dict[str, Any]:
    return {
        "tax": table.tax,
        "long_tax": table.long_tax,
        "ratio": table.ratio,
        "to_published": table.to_published,
        "kilo_instructions": {name: asdict(row) for name, row in table.rows.items()},
    }


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
