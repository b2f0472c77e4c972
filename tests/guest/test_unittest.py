"""guest/test/unittest.py under CPython: a test that fails, errs or skips is counted as what it is, and the summary says so in upstream's form.

Scenario: small classes of cases, run as a test script of MicroPython's suite runs them.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import pytest

PATH = Path(__file__).resolve().parents[2] / "guest" / "test" / "unittest.py"


@pytest.fixture
def unittest(monkeypatch: pytest.MonkeyPatch) -> Any:
    spec = importlib.util.spec_from_file_location("guest_unittest", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, "print_exception", lambda error: print(repr(error)), raising=False)
    return module


def summary(unittest: Any, capsys: pytest.CaptureFixture[str], **tests: Any) -> list[str]:
    space = types.ModuleType("space")
    space.Case = type("Case", (unittest.TestCase,), tests)  # type: ignore[attr-defined]
    unittest.main(space)
    return capsys.readouterr().out.splitlines()


def test_summary_has_the_form_that_upstreams_runner_reads(unittest: Any, capsys: pytest.CaptureFixture[str]) -> None:
    lines = summary(unittest, capsys, test_one=lambda _: None, test_two=lambda _: None)
    assert lines == ["test_one (Case) ... ok", "test_two (Case) ... ok", "-" * 70, "Ran 2 tests", "", "OK"]


def test_failures_and_errors_are_counted_apart(unittest: Any, capsys: pytest.CaptureFixture[str]) -> None:
    lines = summary(unittest, capsys, test_a=lambda self: self.assertEqual(1, 2), test_b=lambda _: 1 / 0)  # noqa: PT009
    assert "AssertionError('not so: 1, 2')" in lines
    assert lines[-1] == "FAILED (failures=1, errors=1)"


def test_skips_are_counted(unittest: Any, capsys: pytest.CaptureFixture[str]) -> None:
    lines = summary(
        unittest,
        capsys,
        test_a=unittest.skipIf(True, "no need")(lambda _: 1 / 0),
        test_b=unittest.skipUnless(True, "not so")(lambda _: None),
        test_c=lambda self: self.skipTest("later"),
    )
    assert lines[0] == "test_a (Case) ... skipped: no need"
    assert lines[-1] == "OK (skipped=2)"


def test_class_that_is_skipped_runs_nothing(unittest: Any, capsys: pytest.CaptureFixture[str]) -> None:
    space = types.ModuleType("space")
    case = type("Case", (unittest.TestCase,), {"test_a": lambda _: 1 / 0})
    space.Case = unittest.skip("not here")(case)  # type: ignore[attr-defined]
    unittest.main(space)
    assert capsys.readouterr().out.splitlines()[-1] == "OK (skipped=1)"


def test_each_test_has_its_own_case_between_set_up_and_tear_down(
    unittest: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    steps: list[str] = []
    tests = {
        "setUp": lambda _: steps.append("up"),
        "tearDown": lambda _: steps.append("down"),
        "test_a": lambda _: 1 / 0,
        "test_b": lambda _: steps.append("b"),
    }
    summary(unittest, capsys, **tests)
    assert steps == ["up", "down", "up", "b", "down"]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("assertEqual", (1, 1), (1, 2)),
        ("assertNotEqual", (1, 2), (1, 1)),
        ("assertTrue", (1,), (0,)),
        ("assertFalse", (0,), (1,)),
        ("assertIs", (None, None), (None, 1)),
        ("assertIsNot", (None, 1), (None, None)),
        ("assertIsNone", (None,), (1,)),
        ("assertIsNotNone", (1,), (None,)),
        ("assertIn", (1, [1]), (2, [1])),
        ("assertNotIn", (2, [1]), (1, [1])),
        ("assertIsInstance", (1, int), (1, str)),
        ("assertRaises", (ValueError, int, "x"), (ValueError, int, "1")),
    ],
)  # fmt: skip
def test_assertion_holds_or_raises(unittest: Any, name: str, good: tuple[Any, ...], bad: tuple[Any, ...]) -> None:
    case = unittest.TestCase()
    getattr(case, name)(*good)
    with pytest.raises(AssertionError):
        getattr(case, name)(*bad)


def test_another_exception_than_the_wanted_one_goes_through(unittest: Any) -> None:
    with pytest.raises(KeyError), unittest.TestCase().assertRaises(ValueError):  # noqa: PT027
        raise KeyError


def test_exception_can_be_looked_at(unittest: Any) -> None:
    with unittest.TestCase().assertRaises(ValueError) as caught:  # noqa: PT027
        int("x")
    assert isinstance(caught.exception, ValueError)
