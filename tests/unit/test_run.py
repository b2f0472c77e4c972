"""How `nexus run` ends when its machine ends by itself: well only if that machine did and nothing was still waited for. No QEMU: a stand-in
for the session says its lines and is gone.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from nexus.cli import main
from nexus.machine import drop, session, target
from nexus.verbs import machine as verb
from nexus.verbs.report import Outputs
from nexus.verdict.ladder import Exit

OK, INIT_DIED = 42, 45
Run = Callable[..., int]


class FakeSession:
    """A machine that has said these lines and has ended with that code."""

    terminal = None

    def __init__(self, lines: tuple[str, ...], code: int) -> None:
        self.lines, self.code = lines, code
        self.run = SimpleNamespace(id="r1")
        self.console = SimpleNamespace(view=self._view)

    def __enter__(self) -> FakeSession:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left."""

    def _view(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.sendall("".join(f"{line}\n" for line in self.lines).encode())
        return ours

    def wait(self, _seconds: float) -> Exit:
        return Exit(self.code, None, "")

    def qemu_words(self) -> str:
        return ""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """run(*arguments, lines=(), code=OK) -> the exit code of `nexus run`."""
    given = SimpleNamespace(system="fake", devices=["virtio-blk-device,drive=drop"])
    monkeypatch.setattr(target, "prepare", lambda *_, **__: given)
    monkeypatch.setattr(target, "launch_of", lambda *_, **__: None)
    monkeypatch.setattr(drop, "disk_of", lambda *_: b"")
    monkeypatch.setattr(verb, "_drop", lambda app, *_: SimpleNamespace(number=7) if app else None)
    monkeypatch.setattr(verb, "end_on_signals", lambda: None)
    monkeypatch.setattr(Outputs, "of_session", lambda *_: nullcontext())

    def start(*arguments: str, lines: tuple[str, ...] = (), code: int = OK) -> int:
        monkeypatch.setattr(session, "Session", lambda *_, **__: FakeSession(lines, code))
        return main(["run", *arguments])

    return start


def test_machine_that_ends_well_by_itself_is_a_success(run: Run) -> None:
    assert run(lines=("init: hello",)) == 0


def test_machine_that_ends_badly_by_itself_is_a_failure(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ((), ("--until", "never said")):
        assert run(*arguments, code=INIT_DIED) == 6
        assert "the machine ended with exit code 45: init died" in capsys.readouterr().err


def test_text_that_came_is_a_success_however_the_machine_ends(run: Run) -> None:
    assert run("--until", "hello", lines=("init: hello",), code=INIT_DIED) == 0


def test_text_that_had_not_come_when_the_machine_ended_is_a_failure(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--until", "never said", lines=("init: hello",)) == 6
    said = "nexus: machine r1 ended before `never said` came\n  hint: its logs: build/run/r1/\n"
    assert capsys.readouterr().err == said


def test_app_that_is_not_over_when_the_machine_ends_is_a_failure(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--app", str(tmp_path), lines=("init: hello",)) == 6
    assert "machine r1 ended before the app was over\n" in capsys.readouterr().err
