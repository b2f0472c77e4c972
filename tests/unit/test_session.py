"""A session against an emulator that misbehaves: every way to fail has its own true words, and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nexus.errors import DeadlineError, MachineError, SetupError
from nexus.machine import console
from nexus.machine import session as session_module
from nexus.machine.argv import Launch, Port, parse_rng
from nexus.machine.registry import live_machines, socket_dir
from nexus.machine.session import Session
from nexus.verdict.grammar import MAX_LINE_BYTES, Seen

FAKE = Path(__file__).with_name("fake_qemu.py")
Start = Callable[..., Session]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """A session whose QEMU is the fake, in the given mode."""

    def start(mode: str, argument: str = "", rng: str = "", terminal: Port | None = None) -> Session:
        program = tmp_path / "qemu"
        program.write_text(f"#!/bin/sh\nexec '{sys.executable}' -S '{FAKE}' '{mode}' '{argument}' \"$@\"\n")
        program.chmod(0o700)
        monkeypatch.setenv("NEXUS_QEMU", str(program))
        return Session(tmp_path, "fake", Launch(tmp_path / "image", 32 << 20, rng=parse_rng(rng), terminal=terminal))

    return start


@pytest.fixture(autouse=True)
def sockets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Not below tmp_path, which can be longer than the path of a socket may be."""
    with tempfile.TemporaryDirectory(prefix="nexus-") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)


def lines(session: Session, count: int) -> list[Seen | None]:
    return [session.console.line(index, 5.0) for index in range(count)]


def left_behind(session: Session) -> list[str]:
    found = [path.name for path in socket_dir().iterdir()]
    return found + ([f"pid {session.pid}"] if Path(f"/proc/{session.pid}").exists() and session.pid else [])


# ---- a machine that can't start --------------------------------------------------------------------------------------


def test_missing_emulator_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXUS_QEMU", "qemu-system-nowhere")
    with pytest.raises(SetupError, match="qemu-system-nowhere is not installed") as raised:
        Session(tmp_path, "fake", Launch(tmp_path / "image", 32 << 20))
    assert "apt-get install" in str(raised.value.hint)


@pytest.mark.parametrize(
    ("mode", "how"), [("die", "exit code 1"), ("die-after-console", "exit code 3"), ("die-in-control", "exit code 4")]
)
def test_emulator_that_dies_at_start_says_why_at_once(fake: Start, mode: str, how: str) -> None:
    session = fake(mode, "fake: no such machine")
    begun = time.monotonic()
    with pytest.raises(MachineError, match="fake: no such machine") as raised, session:
        pass
    assert how in raised.value.message
    assert time.monotonic() - begun < 5
    assert left_behind(session) == []


@pytest.mark.parametrize("mode", ["hang", "silent-control"])
def test_emulator_that_never_connects_runs_into_the_deadline(
    fake: Start, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "START_SECONDS", 0.5)
    session = fake(mode)
    with pytest.raises(DeadlineError), session:
        pass
    assert session.exit is not None
    assert session.exit.signal == signal.SIGKILL
    assert left_behind(session) == []


def test_socket_path_that_is_too_long_is_refused(fake: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    with pytest.raises(SetupError, match="socket path"), fake("print"):
        pass


def test_socket_folder_of_somebody_else_is_refused(sockets: Path) -> None:
    folder = sockets / f"nexus-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(SetupError, match="not private"):
        socket_dir()


# ---- a machine that runs ---------------------------------------------------------------------------------------------


def test_no_byte_is_lost(fake: Start, tmp_path: Path) -> None:
    text = "".join(f"rngd: line {number}\n" for number in range(20_000))
    (tmp_path / "text").write_text(text)
    with fake("print", f"42:{tmp_path}/text") as session:
        exit = session.wait(10)
    assert exit is not None
    assert exit.code == 42
    assert session.console.closed
    assert "".join(seen.data.decode() + "\n" for seen in session.console.lines()) == text
    assert session.run.console.read_text().count("\n") == 20_000


def test_logs_record_and_latest(fake: Start, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"rngd: \x1b[2Jx\nhalf")
    with fake("print", f"0:{tmp_path}/text") as session:
        session.wait(5)
    run = session.run
    assert r"rngd: \x1b[2Jx" in run.console.read_text()
    assert run.console.read_text().endswith("half ...\n")
    assert session.console.rest == b"half"
    events = [json.loads(line)["event"] for line in run.events.read_text().splitlines()]
    assert [event for event in events if event != "qmp"] == ["start", "clock", "cont", "exit"]
    record = json.loads(run.record.read_text())
    assert record.keys() == {"pid", "system", "image", "nonce", "qmp", "console", "terminal"}
    assert record["terminal"] == ""
    assert not run.terminal.exists()
    assert record["nonce"] == session.nonce
    assert (run.path.parent / "latest").resolve() == run.path


def test_times_rise_from_the_start_of_the_machine(fake: Start, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a: 1\na: 2\n")
    with fake("print", f"0:{tmp_path}/text") as session:
        session.wait(5)
    times = [seen.at for seen in session.console.lines()]
    assert times == sorted(times)
    assert 0 <= times[0] < 5


def test_hung_machine_is_killed_with_its_group(fake: Start) -> None:
    with fake("idle") as session:
        assert session.wait(0.2) is None
        assert live_machines(session.root) != []
    assert session.exit is not None
    assert session.exit.signal == signal.SIGKILL
    assert live_machines(session.root) == []
    assert left_behind(session) == []


def test_killed_machine_is_seen_as_killed(fake: Start) -> None:
    with fake("idle") as session:
        os.kill(session.pid, signal.SIGKILL)
        exit = session.wait(5)
        assert exit is not None
        assert exit.signal == signal.SIGKILL
        assert session.console.line(0, 5) is None
        assert session.console.closed
        with pytest.raises(MachineError, match="ended"):
            session.qmp.execute("query-status")


def test_reason_of_a_shutdown_is_kept(fake: Start) -> None:
    with fake("event", "host-signal") as session:
        exit = session.wait(5)
    assert exit is not None
    assert (exit.code, exit.why) == (0, "host-signal")


def test_session_is_cleaned_up_when_its_block_fails(fake: Start) -> None:
    session = fake("idle")
    with pytest.raises(ZeroDivisionError), session:
        _ = 1 // 0
    assert left_behind(session) == []


# ---- a console that misbehaves ---------------------------------------------------------------------------------------


def test_flood_is_bounded(fake: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "LOG_BYTES", 50_000)
    with fake("flood", r"rngd: again\n") as session:
        deadline = time.monotonic() + 20
        while session.console.count < 3 * console.KEEP_LINES and time.monotonic() < deadline:
            time.sleep(0.05)
        assert session.console.count >= 3 * console.KEEP_LINES
        assert len(session.console.lines()) == console.KEEP_LINES
    assert session.run.console.stat().st_size < 60_000


def test_line_without_end_is_cut_and_told(fake: Start) -> None:
    with fake("flood", "x") as session:
        seen = session.console.line(0, 5)
        assert seen is not None
        assert (len(seen.data), seen.whole) == (MAX_LINE_BYTES, False)
        time.sleep(0.2)
        assert session.console.count == 1


def test_every_byte_value_survives(fake: Start, tmp_path: Path) -> None:
    data = bytes(byte for byte in range(256) if byte != 0x0A)
    (tmp_path / "text").write_bytes(data + b"\n\n" + data + b"\r\n")
    with fake("print", f"0:{tmp_path}/text") as session:
        session.wait(5)
    assert [seen.data for seen in session.console.lines()] == [data, b"", data]


def test_cut_ends_the_line_of_the_boot_before(fake: Start) -> None:
    with fake("echo") as session:
        session.console.send(b"one\ntwo, torn")
        assert session.console.line(0, 5) is not None
        deadline = time.monotonic() + 5
        while not session.console.rest and time.monotonic() < deadline:
            time.sleep(0.01)
        assert session.console.cut() == 2
        session.console.send(b"three\n")
        seen = session.console.line(2, 5)
    assert seen is not None
    assert seen.data == b"three"
    assert [(one.data, one.whole) for one in session.console.lines()][1] == (b"two, torn", False)


# ---- lookers-on ------------------------------------------------------------------------------------------------------


def read_all(stream: socket.socket) -> bytes:
    stream.settimeout(5)
    data = b""
    while piece := stream.recv(65536):
        data += piece
    return data


def test_late_view_gets_everything_so_far_and_the_end(fake: Start, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a: 1\n" * 5000)
    with fake("print", f"0:{tmp_path}/text") as session:
        session.wait(5)
        with session.console.view() as view:
            assert read_all(view) == b"a: 1\n" * 5000


def test_attached_terminal_sees_and_types(fake: Start) -> None:
    with fake("echo") as session:
        session.console.send(b"before\n")
        assert session.console.line(0, 5) is not None
        with socket.socket(socket.AF_UNIX) as terminal:
            terminal.connect(json.loads(session.run.record.read_text())["console"])
            terminal.settimeout(5)
            terminal.sendall(b"typed\n")
            said = b""
            while not said.endswith(b"typed\n"):
                said += terminal.recv(100)
    assert said == b"before\ntyped\n"


def test_looker_on_that_never_reads_is_dropped_not_waited_for(fake: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "VIEW_BYTES", 1 << 20)
    with fake("flood", r"rngd: again\n") as session, session.console.view() as view:
        deadline = time.monotonic() + 20
        while session.console.count < 400_000 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert session.console.count >= 400_000
        assert len(read_all(view)) < 4 << 20


def test_held_console_gets_its_bytes_afterwards(fake: Start) -> None:
    with fake("echo") as session:
        session.console.hold(True)
        session.console.send(b"held\n")
        assert session.console.line(0, 0.3) is None
        session.console.hold(False)
        assert session.console.line(0, 5) is not None


def test_input_that_nobody_takes_is_refused(fake: Start) -> None:
    def type_on(session: Session) -> None:
        for _ in range(100):
            session.console.send(b"x" * 30_000)

    with fake("idle") as session, pytest.raises(MachineError, match="takes no input"):
        type_on(session)


# ---- a terminal ------------------------------------------------------------------------------------------------------

PORT = Port(1, "fake.terminal")


def test_terminal_is_of_the_record_and_serves_who_attaches(fake: Start) -> None:
    with fake("terminal", terminal=PORT) as session:
        record = live_machines(session.root)[0]
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(record.terminal)
            client.settimeout(5)
            client.sendall(b"htyped\n")
            said = b""
            while not said.endswith(b"typed\n"):
                said += client.recv(100)
    assert said == b"terminal is up\ntyped\n"
    assert session.run.terminal.read_bytes() == said
    assert session.console.lines() == []
    assert left_behind(session) == []


def test_terminal_ends_with_its_machine_and_says_all(fake: Start) -> None:
    with fake("terminal", terminal=PORT) as session:
        assert session.terminal is not None
        with session.terminal.client(history=True) as client:
            client.settimeout(5)
            assert client.recv(1) == b"t"  # it has said its word, all at once
            os.kill(session.pid, signal.SIGKILL)
            assert read_all(client) == b"erminal is up\n"


def test_emulator_that_opens_no_terminal_runs_into_the_deadline(fake: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "START_SECONDS", 0.5)
    with pytest.raises(DeadlineError, match="its terminal"), fake("idle", terminal=PORT):
        pass


# ---- control ---------------------------------------------------------------------------------------------------------


def test_control_answers_and_refuses(fake: Start) -> None:
    with fake("serve") as session:
        assert session.qmp.execute("anything") == {}
        with pytest.raises(MachineError, match="bad"):
            session.qmp.execute("bad")


def test_control_that_is_silent_runs_into_its_deadline(fake: Start) -> None:
    with fake("echo") as session, pytest.raises(DeadlineError):
        session.qmp.execute("query-status", timeout=0.3)


# ---- entropy by hand -------------------------------------------------------------------------------------------------


def test_fifo_is_held_open_and_fed(fake: Start, tmp_path: Path) -> None:
    with fake("idle", rng=f"fifo={tmp_path}/fifo") as session:
        session.feed_rng(b"\x55" * 16)
        reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        assert os.read(reader, 100) == b"\x55" * 16
        os.close(reader)


def test_only_a_fifo_can_be_fed(fake: Start) -> None:
    with fake("idle") as session, pytest.raises(MachineError, match="no fifo"):
        session.feed_rng(b"x")
