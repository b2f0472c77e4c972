"""What a person, a JSON reader and a JUnit reader get from a verdict."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from nexus.contract.load import load_contract
from nexus.duration import parse_duration
from nexus.errors import UsageError
from nexus.layout import contract_dir, find_root
from nexus.machine.trial import check_phase
from nexus.verdict.grammar import Seen
from nexus.verdict.ladder import Failure, PhaseResult, Reached, Verdict
from nexus.verdict.report import LAST_LINES, Context, failure_block, pass_line, tail, to_json, to_junit

FAILURE = Failure("order", "`b` came in place of `a` <&\x1b>", "x: a", "x: b")
PHASES = (PhaseResult("one", 12, "pass"), PhaseResult("two", 0, "fail"), PhaseResult("three", 0, "not-run"))
FAILED = Verdict(FAILURE, "00ff", 43, PHASES, (Reached("x: first", "one", 7),), 3)
PASSED = Verdict(None, "00ff", 42, (PhaseResult("one", 12, "pass"),), (Reached("x: first", "one", 7),), 1)
CONSOLE = [Seen(number / 1000, f"x: line {number}".encode()) for number in range(30)] + [Seen(0.5, b"\x1b[31mred\xff")]
CONTEXT = Context(
    "exit code 43", CONSOLE, ["0x80000010 main+0x10 (main.c:3)"], ["r/console.log"], "again --phase two", "qemu -M virt"
)


def test_failure_block_says_everything_once() -> None:
    block = failure_block(FAILED, FAILURE, CONTEXT)
    for text in (
        "FAIL order", "phase two, after `x: first` (1 of 3 markers)", "x: a", "x: b", "came in place",
        "main+0x10 (main.c:3)", "exit code 43", "nexus: 1", "r/console.log", "again --phase two", "qemu -M virt",
    ):  # fmt: skip
        assert block.count(text) >= 1, text


def test_failure_block_shows_the_last_lines_escaped() -> None:
    block = failure_block(FAILED, FAILURE, CONTEXT)
    assert f"last {LAST_LINES} of 31 lines" in block
    assert "x: line 29" in block
    assert "x: line 10" not in block
    assert r"[    0.500] \x1b[31mred\xff" in block
    assert "\x1b" not in tail(CONSOLE)[-1]


def test_silent_machine_is_told_as_such() -> None:
    nothing = Failure("no-output", "not one line came", "kernel: boot", "", 7)
    block = failure_block(Verdict(nothing, "00", None, PHASES, (), 3), nothing, Context("killed", [], [], [], "a", "b"))
    assert "console   empty" in block
    assert "before the first marker" in block
    assert "seen      nothing" in block


def test_pass_line() -> None:
    assert pass_line(PASSED, 0.5) == "PASS 1 markers in 1 phases, 0.50 s"


def test_json_has_the_shape_of_the_contract() -> None:
    data = json.loads(json.dumps(to_json(FAILED)))
    assert data == {
        "verdict": "fail",
        "reason": {"code": "order", "text": FAILURE.text, "expected": "x: a", "seen": "x: b"},
        "exit_code": 43,
        "nonce": "00ff",
        "phases": [
            {"name": "one", "ms": 12, "verdict": "pass"},
            {"name": "two", "ms": 0, "verdict": "fail"},
            {"name": "three", "ms": 0, "verdict": "not-run"},
        ],
        "markers": [{"text": "x: first", "phase": "one", "ms": 7}],
    }
    assert to_json(PASSED)["reason"] is None
    assert to_json(PASSED)["verdict"] == "pass"


def test_junit_counts_and_escapes() -> None:
    suite = ElementTree.fromstring(to_junit(FAILED, "selftest", "the <block> \x00 &")).find("testsuite")
    assert suite is not None
    assert {key: suite.get(key) for key in ("tests", "failures", "skipped", "errors")} == {
        "tests": "3", "failures": "1", "skipped": "1", "errors": "0",
    }  # fmt: skip
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == ["one", "two", "three"]
    assert cases[0].get("time") == "0.012"
    failed = cases[1].find("failure")
    assert failed is not None
    assert (failed.get("type"), failed.text) == ("order", "the <block> ? &")
    assert cases[2].find("skipped") is not None


def test_junit_of_a_pass_has_no_failure() -> None:
    text = to_junit(PASSED, "selftest")
    assert "<failure" not in text
    assert 'failures="0"' in text


@pytest.mark.parametrize(
    ("text", "seconds"), [("190s", 190), ("3m", 180), ("190", 190), ("1h", 3600), ("720h", 2592000)]
)
def test_duration(text: str, seconds: float) -> None:
    assert parse_duration(text, "RUN_TIMEOUT") == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "-1", "3x", "1.5s", "s", "3 m", "3m "])
def test_duration_of_no_form(text: str) -> None:
    with pytest.raises(UsageError, match="RUN_TIMEOUT"):
        parse_duration(text, "RUN_TIMEOUT")


@pytest.mark.parametrize("text", ["2592001s", "721h", "99999999999999999999s", "9" * 5000])
def test_duration_beyond_what_a_wait_can_be(text: str) -> None:
    with pytest.raises(UsageError, match=r"RUN_TIMEOUT: found `\d+[hs]?`, expected at most 30 days"):
        parse_duration(text, "RUN_TIMEOUT")


def test_unknown_phase_lists_the_known_ones() -> None:
    contract = load_contract(contract_dir(find_root()))
    check_phase(contract, None)
    check_phase(contract, contract.phases[2])
    with pytest.raises(UsageError) as raised:
        check_phase(contract, "mmiο")
    assert all(phase in str(raised.value.hint) for phase in contract.phases)
