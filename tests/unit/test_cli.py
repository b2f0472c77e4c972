"""The edge of the host tool: every kind of failure becomes one message, a hint and one exit code."""

from __future__ import annotations

import errno
from pathlib import Path

import click
import pytest

from nexus import cli, errors
from nexus.image import sources
from nexus.layout import find_root

ROOT = find_root()


def run_raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    @click.command()
    def failing() -> None:
        raise error

    monkeypatch.setattr(cli.LazyGroup, "get_command", lambda self, ctx, name: failing)
    return cli.main(["run"])


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
def test_failure_has_the_exit_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: type[errors.NexusError], code: int
) -> None:
    assert run_raising(monkeypatch, kind("what went wrong", "what to do")) == code
    assert capsys.readouterr().err == "nexus: what went wrong\n  hint: what to do\n"


def test_interrupt_has_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_raising(monkeypatch, KeyboardInterrupt()) == 130


def test_full_or_read_only_disk_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_raising(monkeypatch, OSError(errno.ENOSPC, "No space left on device", "/a clone/build/x")) == 3
    assert "nexus: /a clone/build/x: No space left on device" in capsys.readouterr().err


def test_other_system_error_stays_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError):
        run_raising(monkeypatch, FileNotFoundError(errno.ENOENT, "No such file or directory", "x"))


def test_unknown_verb_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bild-image"]) == 2
    assert "bild-image" in capsys.readouterr().err


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_of_the_table_exists(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([verb, "--help"]) == 0
    assert verb in capsys.readouterr().out


def test_cache_that_cannot_be_made_says_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    source = sources.load_lock(ROOT / "sources.lock")["sodium"]
    with pytest.raises(errors.SetupError) as caught:
        sources.obtain(source, {"XDG_CACHE_HOME": str(tmp_path / "file")}, lambda text: None)
    assert "XDG_CACHE_HOME" in str(caught.value.hint)
