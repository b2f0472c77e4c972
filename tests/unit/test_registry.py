"""Which machine a command means, and what is kept of old runs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus.errors import UsageError
from nexus.machine.registry import (
    KEEP_RUNS,
    RunDir,
    create_run,
    live_machines,
    pick_machine,
    read_record,
    runs_dir,
    socket_dir,
    sweep_sockets,
    write_record,
)


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """Something that lives and has a socket's name among its words, as QEMU has."""
    program = "import sys, time; print(flush=True); time.sleep(60)"
    words = [sys.executable, "-S", "-c", program, "unix:/s/a.monitor,server=on"]
    child = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert child.stdout
    child.stdout.readline()  # only now /proc surely shows its words
    yield child
    child.stdout.close()
    child.kill()
    child.wait()


def record(run: RunDir, pid: int, qmp: str = "/s/a.monitor") -> None:
    write_record(run, {"pid": pid, "system": "x", "image": "i", "nonce": "0", "qmp": qmp, "console": "/s/a.console"})


def test_only_live_machine_is_meant(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    run = create_run(tmp_path, "x")
    record(run, process.pid)
    assert pick_machine(tmp_path, None).id == run.id
    assert pick_machine(tmp_path, run.id).pid == process.pid


def test_no_live_machine(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no machine is live"):
        pick_machine(tmp_path, None)


def test_several_live_machines_are_listed(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    runs = [create_run(tmp_path, "x") for _ in range(2)]
    for run in runs:
        record(run, process.pid)
    with pytest.raises(UsageError) as raised:
        pick_machine(tmp_path, None)
    assert all(run.id in str(raised.value.hint) for run in runs)
    assert pick_machine(tmp_path, runs[0].id).id == runs[0].id


def test_unknown_machine(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    run = create_run(tmp_path, "x")
    record(run, process.pid)
    with pytest.raises(UsageError, match="nobody") as raised:
        pick_machine(tmp_path, "nobody")
    assert run.id in str(raised.value.hint)


def test_pid_of_somebody_else_is_no_machine(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    record(create_run(tmp_path, "x"), process.pid, qmp="/s/other.monitor")
    record(create_run(tmp_path, "x"), 2**22 + 1)
    assert live_machines(tmp_path) == []


@pytest.mark.parametrize("text", ["", "[]", "{", '{"pid": 1}', '{"pid": "x", "system": 1}'])
def test_broken_record_is_no_machine(tmp_path: Path, text: str) -> None:
    run = create_run(tmp_path, "x")
    run.record.write_text(text)
    assert read_record(run.record) is None
    assert live_machines(tmp_path) == []


def test_latest_points_at_the_newest_run(tmp_path: Path) -> None:
    create_run(tmp_path, "x")
    run = create_run(tmp_path, "y")
    assert (runs_dir(tmp_path) / "latest").resolve() == run.path


def test_old_runs_are_removed_but_never_live_ones(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    first = RunDir(runs_dir(tmp_path) / "00000000-000000-x-0000")
    first.path.mkdir(parents=True)
    record(first, process.pid)
    for _ in range(KEEP_RUNS + 5):
        create_run(tmp_path, "x")
    left = [path for path in runs_dir(tmp_path).iterdir() if not path.is_symlink()]
    assert first.path in left
    assert len(left) == KEEP_RUNS + 2


def test_sockets_that_nobody_serves_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = socket_dir()
    with socket.socket(socket.AF_UNIX) as served, socket.socket(socket.AF_UNIX) as fresh:
        for name in ("served", "dead", "fresh"):
            place = served if name == "served" else fresh if name == "fresh" else socket.socket(socket.AF_UNIX)
            place.bind(str(folder / name))
            if name == "dead":
                place.close()
            if name != "fresh":
                os.utime(folder / name, (0, 0))
        served.listen()
        sweep_sockets()
        assert sorted(path.name for path in folder.iterdir()) == ["fresh", "served"]
