"""The judge of MicroPython's own suite (tooling/nexus/micropython): a run that lost, failed or skipped something is noticed, whatever its summary says.

Scenario: what run-tests.py prints for three tests of which the third is listed as skipped; each test damages that, or the list.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nexus.errors import DeadlineError, UsageError
from nexus.micropython import harness, suite
from nexus.micropython.outcomes import by_directory, incomplete, judge, parse_run

ASKED = ["basics/int1", "extmod/machine1", "micropython/viper_args"]
LISTED = {"micropython/viper_args": "no native code"}
SAID = """\
platform=nexus
pass  basics/int1.py
pass  extmod/machine1.py (unittest: 3 ran)
skip  micropython/viper_args.py
2 tests performed (41 individual testcases)
2 tests passed
1 tests skipped: viper_args
"""
FAILED = SAID.replace("pass  basics", "FAIL  basics").replace("2 tests passed", "1 tests passed")


def problems(said: str, exit_code: int = 0, listed: dict[str, str] | None = None, least: int | None = 2) -> list[str]:
    run = parse_run(said.splitlines(), exit_code)
    return judge([(run, ASKED)], LISTED if listed is None else listed, least)


def test_run_that_is_as_listed_has_no_problem() -> None:
    assert problems(SAID) == []


def test_run_is_read_with_its_ends_and_totals() -> None:
    run = parse_run(SAID.splitlines(), 0)
    assert run.ends == {"basics/int1": "pass", "extmod/machine1": "pass", "micropython/viper_args": "skip"}
    assert (run.performed, run.passed, run.testcases) == (2, 2, 41)
    assert {name: dict(ends) for name, ends in by_directory(run.ends).items()} == {
        "basics": {"pass": 1},
        "extmod": {"pass": 1},
        "micropython": {"skip": 1},
    }


def test_planted_failure_is_noticed() -> None:
    assert "basics/int1: failed" in problems(FAILED, exit_code=1)


def test_failure_is_noticed_even_if_the_script_says_success() -> None:
    assert problems(FAILED, exit_code=0) == [
        "run-tests.py ended with 0 after 1 failures",
        "basics/int1: failed",
        "1 tests passed, expected at least 2",
    ]


def test_skip_that_is_not_listed_is_noticed() -> None:
    said = SAID.replace("pass  basics", "skip  basics").replace("2 tests p", "1 tests p")
    assert "basics/int1: skipped, and not listed" in problems(said)


def test_listed_skip_that_ran_is_noticed() -> None:
    said = SAID.replace("skip  micro", "pass  micro").replace("2 tests p", "3 tests p")
    assert problems(said) == ["micropython/viper_args: listed as skipped, but it passed"]


def test_listed_skip_that_is_no_test_is_noticed_in_the_whole_suite_only() -> None:
    listed = LISTED | {"micropython/gone": "no native code"}
    assert problems(SAID, listed=listed) == ["micropython/gone: listed as skipped, and no test of the suite"]
    assert problems(SAID, listed=listed, least=None) == []


def test_too_few_passed_is_noticed() -> None:
    assert problems(SAID, least=3) == ["2 tests passed, expected at least 3"]


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda said: said.replace("pass  basics/int1.py\n", ""), "basics/int1: no result"),
        (lambda said: said.replace("pass  basics", "pass  basics/int1.py\npass  basics"), "basics/int1: 2 results"),
        (lambda said: said + "pass  float/float1.py\n", "float/float1: a result of a test that nobody asked for"),
        (lambda said: said.replace("2 tests passed", "3 tests passed"), "run-tests.py counts 3 passed of 2"),
        (lambda said: said[: said.index("2 tests")], "run-tests.py ended with 0 and without its summary"),
        (lambda said: said.replace("pass  basics/int1.py", "lost  basics/int1.py"), "basics/int1: no result"),
    ],
)  # fmt: skip
def test_run_that_is_not_what_was_asked_for_is_noticed(damage: Callable[[str], str], problem: str) -> None:
    run = parse_run(damage(SAID).splitlines(), 0)
    assert any(found.startswith(problem) for found in incomplete(run, ASKED))


def test_crash_of_the_script_is_noticed() -> None:
    said = "pass  basics/int1.py\nerror: test extmod/machine1.py requires unittest\n"
    found = problems(said, exit_code=1, least=None)
    assert found[:2] == ["extmod/machine1: no result", "micropython/viper_args: no result"]
    assert "run-tests.py ended with 1 and without its summary" in found


def test_test_that_hangs_is_the_first_without_a_result() -> None:
    heard = SAID.splitlines()
    assert suite.hanging(ASKED, heard[:2]) == "extmod/machine1"
    assert suite.hanging(ASKED, heard[:1]) == "basics/int1"
    assert suite.hanging(ASKED, heard) == "run-tests.py"


def test_tests_are_chosen_by_directory_then_by_name() -> None:
    tests = ["basics/misc_1", "micropython/viper_misc", "misc/features"]
    assert suite.choose(tests, ["misc"]) == ["misc/features"]
    assert suite.choose(tests, ["viper"]) == ["micropython/viper_misc"]
    assert suite.choose(tests, ["misc/features", "misc_"]) == ["basics/misc_1", "misc/features"]
    assert suite.choose(tests, []) == tests
    with pytest.raises(UsageError, match="--only nothing: no test of"):
        suite.choose(tests, ["nothing"])


# ---- the script itself -----------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    return tmp_path


def script(tree: Path, text: str) -> tuple[list[str], int]:
    (tree / "tests" / "script.py").write_text(text, encoding="utf-8")
    return harness.run_script(tree, "script.py", [], tree / "errors", lambda _line: None)


def test_script_runs_among_the_tests_and_its_lines_are_kept(tree: Path) -> None:
    text = "import os, sys\nprint(os.path.basename(os.getcwd()))\nprint('no end', end='')\nsys.stderr.write('x')\nsys.exit(3)\n"
    assert script(tree, text) == (["tests", "no end"], 3)
    assert (tree / "errors").read_text() == "x"


def test_expected_output_is_that_of_this_python(tree: Path) -> None:
    assert script(tree, "import os\nprint(os.environ['MICROPY_CPYTHON3'])\n") == ([sys.executable], 0)


def test_silent_script_is_ended_with_what_it_started(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "SILENCE_SECONDS", 0.5)
    text = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print('child', child.pid, flush=True)\n"
        "try:\n    time.sleep(60)\nfinally:\n    child.kill()\n    child.wait()\n"
    )
    with pytest.raises(DeadlineError, match=r"script.py said nothing for 0.5 s; its last lines:\nchild \d+") as caught:
        script(tree, text)
    child = caught.value.message.split()[-1]
    assert not Path(f"/proc/{child}").exists()
