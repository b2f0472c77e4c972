"""The runner of fuzz targets: which runs count, that a planted bug is found by either engine, and that what was found becomes a fixture."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from nexus import fuzz
from nexus.fuzz import Asked, Outcome, describe, find_failure, run_target
from nexus.layout import find_root

ROOT = find_root()
MACHINERY = ("child.py", "guided.py", "unguided.py", "target.py")
ENGINES = [
    pytest.param("hypothesis"),
    pytest.param("atheris", marks=pytest.mark.skipif(not importlib.util.find_spec("atheris"), reason="no wheel here")),
]
SAID = "engine: atheris\n#3\tINITED cov: 20 ft: 9\n#500\tDONE   cov: 31 ft: 40 corp: 2\nDone 500 runs in 1 second(s)\n"
TARGET = '''"""A target of the test."""
import subject
from target import Target

def target():
    held = []
    def check(data):
        subject.look(data, held)
    return Target(check, [b"seed"], restart=held.clear)
'''
ALONE = "def look(data, held):\n    if data[:1] == b's' and b'e' not in data:\n        raise ValueError('planted')\n"
AFTERWARDS = "def look(data, held):\n    if data and data[0] > 0x80 and held:\n        raise ValueError('planted')\n    if data == b'seed':\n        held.append(1)\n"
SOUND = "def look(data, held):\n    if data[:1] == b's':\n        return 1\n    if data[:1] == b'x':\n        return 2\n    return len(data) > 5\n"


def outcome(said: str = SAID, exit_code: int = 0, kept: Path | None = None) -> Outcome:
    return Outcome("one", exit_code, said, 1.5, kept)


def test_run_that_counts() -> None:
    assert find_failure(outcome(), Asked(500)) == ""
    assert describe(outcome(), "").split() == "one atheris 500 runs 31 edges (20 by the seeds) 1.5 s ok".split()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (SAID.replace("500 runs", "499 runs"), "499 inputs ran instead of 500"),
        (SAID.replace("500 runs", "0 runs"), "0 inputs ran"),
        ("engine: atheris\n", "0 inputs ran"),
        ("engine: hypothesis\nDone 0 runs in 1 second(s)\n", "0 inputs ran"),
        (SAID.replace("31", "20"), "no more than its seeds"),
        (SAID.replace("DONE", "gone"), "no more than its seeds"),
    ],
)
def test_run_that_does_not_count(said: str, why: str) -> None:
    assert why in find_failure(outcome(said), Asked(500))
    assert "FAILED" in describe(outcome(said), why)


def test_run_by_time_needs_inputs_too() -> None:
    assert find_failure(outcome(), Asked(50_000, seconds=1)) == ""
    assert find_failure(outcome("engine: atheris\n"), Asked(50_000, seconds=1))


def test_process_that_failed_does_not_count() -> None:
    assert find_failure(outcome(exit_code=77), Asked(500)) == "its process ended with 77"
    assert "found/one/x" in find_failure(outcome(exit_code=77, kept=Path("found/one/x")), Asked(500))


def test_coverage_that_was_not_measured_is_said() -> None:
    said = "engine: hypothesis\nDone 500 runs in 1 second(s)\n"
    assert find_failure(outcome(said), Asked(500)) == ""
    assert "edges not measured" in describe(outcome(said), "")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A clone of nothing but the machinery and one target."""
    folder = tmp_path / fuzz.FOLDER
    folder.mkdir(parents=True)
    for name in MACHINERY:
        shutil.copy(ROOT / fuzz.FOLDER / name, folder / name)
    (folder / "targets.toml").write_text('[planted]\nmodules = ["subject"]\nlongest = 16\n')
    (folder / "planted.py").write_text(TARGET)
    return tmp_path


def planted(tree: Path, text: str, engine: str, runs: int = 5000) -> Outcome:
    (tree / fuzz.FOLDER / "subject.py").write_text(text)
    return run_target("planted", Asked(runs, engine=engine), tree)


@pytest.mark.parametrize("engine", ENGINES)
def test_sound_target_runs_all_that_was_asked(tree: Path, engine: str) -> None:
    found = planted(tree, SOUND, engine)
    assert find_failure(found, Asked(5000)) == "", found.said
    assert (found.engine, found.runs >= 5000) == (engine, True)
    assert not (tree / fuzz.FOLDER / "found").exists()


@pytest.mark.parametrize("engine", ENGINES)
def test_planted_bug_is_found_and_kept(tree: Path, engine: str) -> None:
    found = planted(tree, ALONE, engine)
    assert found.exit_code
    assert "planted" in found.said
    assert found.kept is not None
    (line,) = (tree / found.kept).read_text().splitlines()
    data = bytes.fromhex(line)
    assert (data[:1], b"e" in data) == (b"s", False)
    assert found.kept.parent == fuzz.FOLDER / "found" / "planted"


@pytest.mark.parametrize("engine", ENGINES)
def test_bug_that_needs_what_came_before_is_kept_with_it(tree: Path, engine: str) -> None:
    found = planted(tree, AFTERWARDS, engine)
    assert found.kept is not None, found.said
    lines = (tree / found.kept).read_text().splitlines()
    assert b"seed".hex() in lines[:-1]
    assert bytes.fromhex(lines[-1])[0] > 0x80


@pytest.mark.parametrize("engine", ENGINES)
def test_target_that_reaches_nothing_fails(tree: Path, engine: str) -> None:
    found = planted(tree, "def look(data, held):\n    pass\n", engine, 500)
    assert bool(find_failure(found, Asked(500))) is (engine == "atheris")


def test_every_target_is_listed_and_described() -> None:
    names = fuzz.known_targets(ROOT)
    assert {"policy_parser", "recipe_parser", "console_grammar", "audit_export", "frame", "vault_request"} <= set(names)
    assert {f"{name}_request" for name in ("init", "logd", "rngd", "policyd", "keystored")} <= set(names)
    assert [name for name in names if not (ROOT / fuzz.FOLDER / f"{name}.py").is_file()] == []


def test_name_that_is_no_target_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz.main(["nowhere"]) == fuzz.USAGE
    said = capsys.readouterr().err
    assert "no target nowhere; there are: " in said
    assert "policy_parser" in said
