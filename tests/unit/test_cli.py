"""The command itself: one place that catches errors, exit codes of the table, help that imports nothing."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import click
import pytest

from nexus import cli, errors
from nexus.verbs import image


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.VerdictError, 1),
        (errors.UsageError, 2),
        (errors.SetupError, 3),
        (errors.RecipeError, 4),
        (errors.BuildError, 5),
        (errors.MachineError, 6),
        (errors.DeadlineError, 7),
    ],
)
def test_error_becomes_message_hint_and_exit_code(
    kind: type[errors.NexusError], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> None:
        raise kind("what is wrong", "what to do")

    monkeypatch.setattr(image, "progress_to", fail)
    assert cli.main(["build-image"]) == code
    captured = capsys.readouterr()
    assert captured.err == "nexus: what is wrong\n  hint: what to do\n"
    assert captured.out == ""


def test_interrupt_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(image, "progress_to", interrupt)
    assert cli.main(["build-image"]) == 130


@pytest.mark.parametrize("args", [["nonsense"], ["build-image", "--nonsense"], ["new-service"]])
def test_wrong_usage_is_2(args: list[str]) -> None:
    assert cli.main(args) == 2


@pytest.mark.parametrize(
    "words",
    [
        "bench --json", "build-image --json", "doctor --json", "inspect --json", "run --detach --json", "test-os --json",
        "test-os --junit", "test-kernel --json", "test-kernel --junit", "policy check --json", "policy explain shell route --json",
        "policy lint --json", "policy diff a b --json", "policy matrix --json", "audit show --json", "audit export --out",
        "console --new --log", "top --json",
    ],
)  # fmt: skip
def test_place_that_can_not_be_written_to_is_refused_before_anything_runs(
    words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    option = words.split()[-1]
    place = tmp_path / "none" / "out"
    assert cli.main([*words.split(), str(place)]) == 2
    said = f"nexus: {option}: there is no folder {place.parent}\n  hint: make it: mkdir -p {place.parent}\n"
    assert capsys.readouterr() == ("", said)
    assert cli.main([*words.split(), str(tmp_path)]) == 2
    assert capsys.readouterr().out == ""


def test_unexpected_error_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(image, "progress_to", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main(["build-image"])


def test_every_verb_is_a_command_with_help() -> None:
    for name, verb in cli.VERBS.items():
        module = importlib.import_module(f"nexus.verbs.{verb.module}")
        command = getattr(module, name.replace("-", "_"))
        assert isinstance(command, click.Command), name
        assert command.help, name


def test_help_lists_every_verb_and_imports_none() -> None:
    program = "import sys; from nexus.cli import main; main(['--help']); print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert all(f"  {name} " in said for name in cli.VERBS)
    loaded = said.splitlines()[-1].split()
    assert [name for name in loaded if name.startswith(("nexus.verbs.", "nexus.image", "elftools", "pexpect"))] == []


def test_progress_is_for_people_only(capsys: pytest.CaptureFixture[str]) -> None:
    image.progress_to(False)("stage")
    assert capsys.readouterr().err == ""
    image.progress_to(True)("stage")
    assert capsys.readouterr().err.endswith(" s  stage\n")
