"""A kernel proof as text for a person, as JSON and as JUnit. Called by machine/proof.py and the verb; pure, writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from xml.etree import ElementTree

from nexus.errors import DeadlineError, MachineError, VerdictError
from nexus.verdict.proof import Problem, Score
from nexus.verdict.report import NOT_XML, Context, tail

MORE = 8  # further problems that the block tells
# Of the command, by the code of the first problem; any other one is a verdict.
EXIT_CODES = {
    "machine": MachineError.exit_code,
    "died": MachineError.exit_code,
    "time-out": DeadlineError.exit_code,
}


def exit_code(problem: Problem) -> int:
    return EXIT_CODES.get(problem.code, VerdictError.exit_code)


@dataclass(frozen=True)
class Outcome:
    """What a run gave: the score, and what its reports need besides."""

    score: Score
    names: tuple[str, ...]  # every case of the table
    nonce: str
    exit_code: int | None
    seconds: float

    @property
    def failure(self) -> Problem | None:
        return self.score.problems[0] if self.score.problems else None

    @property
    def failed(self) -> dict[str, Problem]:
        """The first problem of each case; what concerns no case alone has the name of its place."""
        first: dict[str, Problem] = {}
        for problem in self.score.problems:
            first.setdefault(problem.case.split(" ")[0], problem)
        return first

    def verdict(self, name: str) -> str:
        if name in self.failed:
            return "fail"
        return "pass" if name in self.score.passed else "not-run"


def pass_line(outcome: Outcome) -> str:
    return (
        f"PASS {len(outcome.score.passed)} attacks refused, their twins served, nothing leaked, {outcome.seconds:.2f} s"
    )


def failure_block(problems: Sequence[Problem], ran: int, context: Context) -> str:
    """The one block that a failing run prints."""
    first = problems[0]
    rows = [
        ("step", f"case {first.case}, {ran} runs were judged; {len(problems)} problems"),
        ("expected", first.expected),
        ("seen", first.seen),
        ("reason", first.text),
        *(("pc", counter) for counter in context.counters),
        ("exit", f"machine: {context.machine}; nexus: {exit_code(first)}"),
    ]
    for other in problems[1 : 1 + MORE]:
        rows.append(("also", f"{other.case}: {other.text} (expected {other.expected}, seen {other.seen})"))
    lines = [f"FAIL {first.code}", *(f"  {name:<9} {value}" for name, value in rows), *tail(context.console)]
    lines += [f"  {'logs':<9} {path}" for path in context.logs]
    lines += [f"  {'repeat':<9} {context.repeat}", f"  {'by hand':<9} {context.by_hand}"]
    return "\n".join(lines)


def to_json(outcome: Outcome) -> dict[str, Any]:
    """In the shape of test-os, with cases in the place of phases and markers."""
    failure = outcome.failure
    return {
        "verdict": "fail" if failure else "pass",
        "reason": {key: value for key, value in asdict(failure).items() if key != "case"} if failure else None,
        "exit_code": outcome.exit_code,
        "nonce": outcome.nonce,
        "cases": [{"name": name, "verdict": outcome.verdict(name)} for name in outcome.names],
        "problems": [asdict(problem) for problem in outcome.score.problems],
    }


def to_junit(outcome: Outcome, block: str = "") -> str:
    """One test case per case; what concerns none alone is a test case of its own, so that no failure is lost."""
    failed = outcome.failed
    names = [*outcome.names, *(name for name in failed if name not in outcome.names)]
    verdicts = [outcome.verdict(name) for name in names]
    suite = ElementTree.Element(
        "testsuite",
        name="nexus.test-kernel",
        tests=str(len(names)),
        failures=str(verdicts.count("fail")),
        errors="0",
        skipped=str(verdicts.count("not-run")),
        time=f"{outcome.seconds:.3f}",
    )
    for name, verdict in zip(names, verdicts, strict=True):
        group, _, case_name = name.partition(".")
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"nexus.test-kernel.{group}", name=case_name or group
        )
        if verdict == "fail":
            problem = failed[name]
            bad = ElementTree.SubElement(case, "failure", type=problem.code, message=_xml(problem.text))
            bad.text = _xml(
                block if problem is outcome.failure else f"expected {problem.expected}, seen {problem.seen}"
            )
        if verdict == "not-run":
            ElementTree.SubElement(case, "skipped", message="not reached")
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    return NOT_XML.sub("?", text)
