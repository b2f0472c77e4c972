"""`nexus console` for scripts and other tools, against a machine whose guest is the test: pipes, a pty, loopback, a dialogue."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from fakemachine import SECONDS, FakeMachine

from nexus.errors import UsageError
from nexus.machine.bridge import is_mine, listen

VALUES = bytes(range(256))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[FakeMachine]:
    with tempfile.TemporaryDirectory(prefix="nexus-") as folder:
        machine = FakeMachine(tmp_path, Path(folder))
        yield machine
        machine.close()


def ended(process: subprocess.Popen[bytes]) -> tuple[int, bytes, str]:
    with process:
        out, err = process.communicate(timeout=SECONDS)
    print(err.decode())  # shown if the test fails
    return process.returncode, out, err.decode()


def say(machine: FakeMachine, *arguments: str) -> tuple[int, bytes, str]:
    return ended(machine.start(*arguments, stdin=subprocess.DEVNULL))


def attached(machine: FakeMachine) -> subprocess.Popen[bytes]:
    """On pipes, and surely attached."""
    process = machine.start(stdin=subprocess.DEVNULL)
    machine.guest.sendall(b"x")
    assert process.stdout
    assert process.stdout.read(1) == b"x"
    return process


# ---- which machine ---------------------------------------------------------------------------------------------------


def test_system_without_terminal_is_told_with_the_way_to_its_log(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="nexus-") as folder:
        machine = FakeMachine(tmp_path, Path(folder), terminal=False)
        code, _, err = say(machine)
        machine.close()
    assert code == 2
    assert "system fake has no terminal" in err
    assert "nexus console --uart" in err


def test_several_live_machines_are_listed(machine: FakeMachine) -> None:
    other = FakeMachine(machine.root, machine.wire_folder)
    code, _, err = say(machine)
    other.close()
    assert code == 2
    assert machine.run.id in err
    assert other.run.id in err


def test_system_names_the_machine_that_is_meant(machine: FakeMachine) -> None:
    other = FakeMachine(machine.root, machine.wire_folder, "other")
    other.guest.sendall(b"it is the other\n")
    process = machine.start("--system", "other")
    assert process.stdout
    assert process.stdout.readline() == b"it is the other\n"
    other.close()


def test_ways_that_exclude_each_other_are_refused(machine: FakeMachine) -> None:
    code, _, err = say(machine, "--pty", "--listen", "127.0.0.1:0")
    assert code == 2
    assert "--pty and --listen" in err


@pytest.mark.parametrize("live", [("--machine", "x"), ("--stop",), ("--uart",), ("--until", "x")])
def test_new_machine_is_none_that_is_live(machine: FakeMachine, live: tuple[str, ...]) -> None:
    code, _, err = say(machine, "--new", *live)
    assert code == 2
    assert "--new is for a machine that is not there yet" in err


# ---- standard streams ------------------------------------------------------------------------------------------------


def test_pipes_carry_every_byte_both_ways_and_the_log_has_what_came(machine: FakeMachine, tmp_path: Path) -> None:
    machine.guest.sendall(b"before\r\n")
    process = machine.start("--log", str(tmp_path / "log"))
    assert process.stdin
    assert process.stdout
    assert process.stdout.read(8) == b"before\r\n"
    process.stdin.write(VALUES)
    process.stdin.flush()
    assert machine.typed(256) == VALUES
    machine.guest.sendall(VALUES)
    assert process.stdout.read(256) == VALUES
    machine.die(code=42, signal=None)
    code, out, err = ended(process)
    assert (code, out) == (0, b"")
    assert "has ended" in err
    assert (tmp_path / "log").read_bytes() == b"before\r\n" + VALUES == machine.run.terminal.read_bytes()


def test_end_of_input_is_not_the_end(machine: FakeMachine) -> None:
    process = attached(machine)
    machine.guest.sendall(b"still here")
    assert process.stdout
    assert process.stdout.read(10) == b"still here"
    machine.die(code=42, signal=None)
    assert ended(process)[0] == 0


def test_reader_that_leaves_ends_it_and_not_the_machine(machine: FakeMachine) -> None:
    process = attached(machine)
    assert process.stdout
    process.stdout.close()
    machine.guest.sendall(b"y")
    assert process.wait(SECONDS) == 0
    machine.guest.sendall(b"z")


def test_machine_that_is_killed_is_told(machine: FakeMachine) -> None:
    process = attached(machine)
    machine.die()
    code, _, err = ended(process)
    assert code == 6
    assert "signal 9" in err


def test_time_that_is_up_is_told(machine: FakeMachine) -> None:
    code, _, err = say(machine, "--timeout", "1s")
    assert code == 7
    assert "still up after 1 s" in err


@contextmanager
def endless(machine: FakeMachine, text: bytes) -> Iterator[None]:
    """The guest prints that without a pause, as fast as it is taken."""

    def write() -> None:
        with suppress(OSError):  # the machine's end
            while True:
                machine.guest.sendall(text)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        machine.guest.shutdown(socket.SHUT_RDWR)
        writer.join()


@pytest.mark.parametrize(
    "way",
    [
        (),
        ("--expect", "never;"),
        ("--send", "x", "--expect", r"\w+!"),
        ("--expect", r"\w+.*\w+!"),
        ("--pty",),
        ("--listen", "127.0.0.1:0"),
    ],
    ids=["pipes", "dialogue", "slow-pattern", "slower-pattern", "pty", "port"],
)
def test_endless_output_ends_at_the_deadline(machine: FakeMachine, way: tuple[str, ...]) -> None:
    with endless(machine, b"x" * 65536):
        begun = time.monotonic()
        process = machine.start("--timeout", "1s", *way, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        assert process.wait(SECONDS) == 7
        assert time.monotonic() - begun < SECONDS / 2


# ---- its log ---------------------------------------------------------------------------------------------------------


def logged(
    machine: FakeMachine, *arguments: str, code: int | None = None, signal: int | None = None
) -> tuple[int, str]:
    """The command shows a line of the log, and then the machine ends like that; its exit code and words."""
    process = machine.start(*arguments, stdin=subprocess.DEVNULL)
    stream, _ = machine.uart.accept()
    with stream:
        stream.sendall(b"init: hello\n")
        assert process.stdout
        assert process.stdout.readline() == b"init: hello\n"
        machine.die(code, signal)
    exit_code, _, err = ended(process)
    return exit_code, err


def test_log_is_left_with_the_line_that_was_waited_for(machine: FakeMachine) -> None:
    assert logged(machine, "--until", "hello", code=42) == (0, "")


def test_log_of_a_machine_that_ends_well_ends_well(machine: FakeMachine) -> None:
    assert logged(machine, "--uart", code=42) == (0, f"nexus: machine {machine.run.id} has ended\n")


def test_log_of_a_machine_that_dies_is_a_failure(machine: FakeMachine) -> None:
    exit_code, err = logged(machine, "--uart", signal=9)
    assert exit_code == 6
    assert "the machine ended with signal 9" in err


def test_text_that_had_not_come_when_the_machine_ended_is_a_failure(machine: FakeMachine) -> None:
    exit_code, err = logged(machine, "--until", "never said", code=42)
    assert exit_code == 6
    assert f"machine {machine.run.id} ended before `never said` came" in err
    assert f"its logs: build/run/{machine.run.id}/" in err


# ---- a pty -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def pty(machine: FakeMachine) -> tuple[FakeMachine, str, subprocess.Popen[bytes]]:
    process = machine.start("--pty", stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    assert process.stdout
    name = process.stdout.readline().decode().removesuffix("\n")
    end = os.open(name, os.O_RDWR | os.O_NOCTTY)
    os.write(end, b"?")
    assert machine.typed(1) == b"?"  # attached by now: what was printed before is not for it
    os.close(end)
    return machine, name, process


Pty = tuple[FakeMachine, str, subprocess.Popen[bytes]]


def receive(descriptor: int, count: int) -> bytes:
    data = b""
    while len(data) < count:
        assert select.select([descriptor], [], [], SECONDS)[0], f"{count - len(data)} of {count} bytes did not come"
        data += os.read(descriptor, count - len(data))
    return data


def test_first_line_is_the_pty_and_a_link_leads_there(pty: Pty) -> None:
    machine, name, process = pty
    assert name.startswith("/dev/pts/")
    assert str(machine.run.pty.readlink()) == name
    process.terminate()
    assert process.wait(SECONDS) == 0
    assert not machine.run.pty.is_symlink()


def test_pty_changes_no_byte(pty: Pty) -> None:
    machine, name, _ = pty
    end = os.open(name, os.O_RDWR | os.O_NOCTTY)
    os.write(end, VALUES)
    assert machine.typed(256) == VALUES
    machine.guest.sendall(VALUES)
    assert receive(end, 256) == VALUES
    local = termios.tcgetattr(end)[3]
    assert not local & (termios.ECHO | termios.ICANON | termios.ISIG)
    os.close(end)


def test_what_is_printed_while_no_reader_is_there_waits_for_one(pty: Pty) -> None:
    machine, name, _ = pty
    data = VALUES * 400
    for _ in range(2):  # before the first reader, and after one that has left
        machine.guest.sendall(data)
        end = os.open(name, os.O_RDWR | os.O_NOCTTY)
        assert receive(end, len(data)) == data
        os.close(end)


def test_megabytes_pass_through_the_pty(pty: Pty) -> None:
    machine, name, _ = pty
    data = VALUES * 8192
    end = os.open(name, os.O_RDWR | os.O_NOCTTY)
    sender = threading.Thread(target=machine.guest.sendall, args=(data,))
    sender.start()
    assert receive(end, len(data)) == data
    sender.join()
    got: list[bytes] = []
    taker = threading.Thread(target=lambda: got.append(machine.typed(len(data))))
    taker.start()
    rest = data
    while rest:
        rest = rest[os.write(end, rest) :]
    taker.join()
    assert got == [data]
    os.close(end)


# ---- loopback --------------------------------------------------------------------------------------------------------


@pytest.fixture
def port(machine: FakeMachine) -> int:
    process = machine.start("--listen", "127.0.0.1:0", stdin=subprocess.DEVNULL)
    assert process.stdout
    return int(process.stdout.readline().decode().rpartition(":")[2])


def connected(port: int) -> socket.socket:
    stream = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
    stream.settimeout(SECONDS)
    return stream


def test_connections_of_this_computer_get_the_terminal(machine: FakeMachine, port: int) -> None:
    with connected(port) as one, connected(port) as other:
        for stream in (one, other):
            stream.sendall(VALUES)
            assert machine.typed(256) == VALUES
        machine.guest.sendall(b"to all")
        assert one.recv(100) == other.recv(100) == b"to all"
    with connected(port) as late:
        late.sendall(b"!")
        assert machine.typed(1) == b"!"


def test_web_page_types_nothing(machine: FakeMachine, port: int) -> None:
    with connected(port) as page, connected(port) as person:
        page.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nshutdown\r\n")
        page.shutdown(socket.SHUT_WR)
        while page.recv(100):  # until it is let go, so that all of it has been looked at
            pass
        person.sendall(b"p")
        assert machine.typed(1) == b"p"


@pytest.mark.parametrize("address", ["0.0.0.0:4000", "192.168.1.1:4000", "[::]:4000", "4000", "127.0.0.1:x"])
def test_address_beyond_this_computer_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="--listen"):
        listen(address).close()


def test_connection_of_another_user_is_not_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, connected(listener.getsockname()[1]):
        taken, _ = listener.accept()
        with taken:
            assert is_mine(taken)
            others = tmp_path / "tcp"
            lines = Path("/proc/net/tcp").read_text().splitlines()
            rows = [line.split() for line in lines[1:]]
            changed = [" ".join([*row[:7], str(os.getuid() + 1), *row[8:]]) for row in rows]
            others.write_text("\n".join([lines[0], *changed]))
            assert not is_mine(taken, others)


def test_port_in_use_is_told(machine: FakeMachine, port: int) -> None:
    code, _, err = say(machine, "--listen", f"127.0.0.1:{port}")
    assert code == 2
    assert "Address already in use" in err
    assert "port 0" in err


# ---- a dialogue ------------------------------------------------------------------------------------------------------


def test_dialogue_goes_in_the_order_given(machine: FakeMachine) -> None:
    process = machine.start("--send", r"one\r", "--expect", "first", "--send", r"\x02", "--expect", r"sec\w+d")
    assert machine.typed(4) == b"one\r"
    machine.guest.sendall(b"the first ")
    assert machine.typed(1) == b"\x02"
    machine.guest.sendall(b"and second\r\n")
    assert ended(process)[:2] == (0, b"the first and second\r\n")


def test_dialogue_of_a_live_machine_begins_now(machine: FakeMachine) -> None:
    machine.guest.sendall(b"ready")
    code, _, err = say(machine, "--send", "x", "--expect", "ready", "--timeout", "1")
    assert code == 7
    assert "`ready` did not come in 1 s" in err


def test_dialogue_is_over_while_the_machine_prints_on(machine: FakeMachine) -> None:
    with endless(machine, b"and on "):
        process = machine.start("--expect", "and on", "--timeout", "5s", stdout=subprocess.DEVNULL)
        assert process.wait(SECONDS) == 0


def test_forbidden_text_fails_it(machine: FakeMachine) -> None:
    process = machine.start("--send", "x", "--expect", "end", "--forbid", "Trace.*:")
    machine.typed(1)
    machine.guest.sendall(b"Traceback: and the end")
    code, _, err = ended(process)
    assert code == 1
    assert "forbidden" in err
    assert "terminal.log" in err


def test_machine_that_ends_before_it_fails_it(machine: FakeMachine) -> None:
    process = machine.start("--send", "x", "--expect", "end")
    machine.typed(1)
    machine.die()
    code, _, err = ended(process)
    assert code == 1
    assert "`end` can't come any more" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--expect", "x.*"), "has no end"),
        (("--expect", "x?"), "proves nothing"),
        (("--expect", "("), "no regular expression"),
        (("--forbid", "x"), "--forbid alone"),
        (("--send", r"\q"), "is no escape"),
    ],
)
def test_dialogue_that_proves_nothing_is_refused(machine: FakeMachine, arguments: tuple[str, ...], words: str) -> None:
    code, _, err = say(machine, *arguments)
    assert code == 2
    assert words in err
