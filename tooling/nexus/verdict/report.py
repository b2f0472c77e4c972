"""A verdict as text for a person, as JSON and as JUnit. Called by test-os and the fixture; pure, writes nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from nexus.verdict.grammar import Seen, escape
from nexus.verdict.ladder import Failure, Verdict

LAST_LINES = 20
# XML 1.0 knows no other control characters than these three.
NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd]")


@dataclass(frozen=True)
class Context:
    """What a failure block adds to the verdict: taken from the session, so that the report needs no session."""

    machine: str  # how QEMU ended
    console: Sequence[Seen]
    counters: Sequence[str]  # decoded program counters, one line each
    logs: Sequence[str]
    repeat: str
    by_hand: str


def failure_block(verdict: Verdict, failure: Failure, context: Context) -> str:
    """The one block that a failing run prints."""
    phase = next((row.name for row in verdict.phases if row.verdict == "fail"), "-")
    after = f"after `{verdict.markers[-1].text}`" if verdict.markers else "before the first marker"
    rows = [
        ("step", f"phase {phase}, {after} ({len(verdict.markers)} of {verdict.total} markers)"),
        ("expected", failure.expected),
        ("seen", failure.seen or "nothing"),
        ("reason", failure.text),
        *(("pc", counter) for counter in context.counters),
        ("exit", f"machine: {context.machine}; nexus: {failure.exit_code}"),
    ]
    lines = [f"FAIL {failure.code}", *(f"  {name:<9} {value}" for name, value in rows)]
    lines += tail(context.console)
    lines += [f"  {'logs':<9} {path}" for path in context.logs]
    lines += [f"  {'repeat':<9} {context.repeat}", f"  {'by hand':<9} {context.by_hand}"]
    return "\n".join(lines)


def tail(console: Sequence[Seen], count: int = LAST_LINES) -> list[str]:
    """The last lines of the console, escaped, each with its time."""
    last = list(console)[-count:]
    if not last:
        return ["  console   empty"]
    head = f"  console   last {len(last)} of {len(console)} lines"
    return [head, *(f"    [{seen.at:9.3f}] {escape(seen.data)}{'' if seen.whole else ' ...'}" for seen in last)]


def pass_line(verdict: Verdict, seconds: float) -> str:
    phases = sum(1 for row in verdict.phases if row.verdict == "pass")
    return f"PASS {len(verdict.markers)} markers in {phases} phases, {seconds:.2f} s"


def to_json(verdict: Verdict) -> dict[str, Any]:
    """The shape that CONTRACT fixes for test-os."""
    failure = verdict.failure
    reason = None
    if failure is not None:
        reason = {"code": failure.code, "text": failure.text, "expected": failure.expected, "seen": failure.seen}
    return {
        "verdict": "pass" if verdict.passed else "fail",
        "reason": reason,
        "exit_code": verdict.exit_code,
        "nonce": verdict.nonce,
        "phases": [{"name": row.name, "ms": row.ms, "verdict": row.verdict} for row in verdict.phases],
        "markers": [{"text": row.text, "phase": row.phase, "ms": row.ms} for row in verdict.markers],
    }


def to_junit(verdict: Verdict, system: str, block: str = "") -> str:
    """One test case per phase; the failing one carries the whole failure block. What did not run is skipped, never passed."""
    results = [row.verdict for row in verdict.phases]
    suite = ElementTree.Element(
        "testsuite",
        name=f"nexus.test-os.{system}",
        tests=str(len(results)),
        failures=str(results.count("fail")),
        errors="0",
        skipped=str(results.count("not-run")),
        time=f"{sum(row.ms for row in verdict.phases) / 1000:.3f}",
    )
    for row in verdict.phases:
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"nexus.{system}", name=row.name, time=f"{row.ms / 1000:.3f}"
        )
        if row.verdict == "fail" and verdict.failure is not None:
            bad = ElementTree.SubElement(case, "failure", type=verdict.failure.code, message=_xml(verdict.failure.text))
            bad.text = _xml(block)
        if row.verdict == "not-run":
            ElementTree.SubElement(case, "skipped", message="not reached")
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    return NOT_XML.sub("?", text)
