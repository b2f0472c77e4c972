"""The owner of the terminal: nothing is lost in either direction, nothing grows without bound, and who is slow makes others wait."""

from __future__ import annotations

import hashlib
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nexus.machine import terminalwire
from nexus.machine.terminalwire import CLIENT_BYTES, CLIENTS, KEEP_BYTES, TerminalWire

SECONDS = 10.0


class Fake:
    """The wire with QEMU's end of it in the test's hand."""

    def __init__(self, folder: Path) -> None:
        ours, self.qemu = socket.socketpair()
        self.qemu.settimeout(SECONDS)
        self.log = folder / "terminal.log"
        self.path = folder / "terminal"
        self.wire = TerminalWire(ours, self.log)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.path))
        listener.listen(CLIENTS)
        self.wire.serve(listener)
        self._streams: list[socket.socket] = []

    def attach(self, first: bytes) -> socket.socket:
        stream = socket.socket(socket.AF_UNIX)
        stream.settimeout(SECONDS)
        stream.connect(str(self.path))
        stream.sendall(first)
        self._streams.append(stream)
        return stream

    def live(self) -> socket.socket:
        """A client that is surely attached: what it typed has come."""
        stream = self.attach(b"l!")
        assert self.qemu.recv(1) == b"!"
        return stream

    def kept(self, data: bytes) -> None:
        """Print, and wait until the wire has it."""
        before = self.log.stat().st_size
        self.qemu.sendall(data)
        until(lambda: self.log.stat().st_size == before + len(data))

    def close(self) -> None:
        self.wire.close()
        for stream in (self.qemu, *self._streams):
            stream.close()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def receive(stream: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (piece := stream.recv(count - len(data))):
        data += piece
    return data


def rest(stream: socket.socket) -> bytes:
    data = b""
    while piece := stream.recv(65536):
        data += piece
    return data


@pytest.fixture
def fake() -> Iterator[Fake]:
    with tempfile.TemporaryDirectory(prefix="nexus-") as folder:  # tmp_path can be longer than a socket's path may be
        fake = Fake(Path(folder))
        yield fake
        fake.close()


# ---- what a client gets ----------------------------------------------------------------------------------------------


def test_history_comes_first_if_asked_for(fake: Fake) -> None:
    fake.kept(b"before\r\n")
    with_history, live = fake.attach(b"h"), fake.live()
    assert receive(with_history, 8) == b"before\r\n"
    fake.qemu.sendall(b"after")
    assert receive(with_history, 5) == b"after"
    assert receive(live, 5) == b"after"


def test_every_client_types_and_every_byte_value_passes(fake: Fake) -> None:
    values = bytes(range(256))
    one, other = fake.live(), fake.live()
    for stream in (one, other):
        stream.sendall(values)
        assert receive(fake.qemu, 256) == values
    fake.qemu.sendall(values)
    assert receive(one, 256) == receive(other, 256) == values
    assert fake.log.read_bytes() == values


def test_first_byte_may_come_with_what_is_typed(fake: Fake) -> None:
    fake.attach(b"lhl")
    assert receive(fake.qemu, 2) == b"hl"


def test_unknown_first_byte_is_refused(fake: Fake) -> None:
    assert rest(fake.attach(b"x")) == b""


def test_client_that_never_greets_is_let_go(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminalwire, "GREETING_SECONDS", 0.05)
    assert rest(fake.attach(b"")) == b""


def test_client_without_greeting_keeps_no_machine_waiting(fake: Fake) -> None:
    fake.attach(b"")
    fake.kept(b"x" * 4 * CLIENT_BYTES)


def test_client_of_this_process_is_a_client_like_others(fake: Fake) -> None:
    fake.kept(b"before ")
    with fake.wire.client(history=True) as stream:
        stream.settimeout(SECONDS)
        fake.qemu.sendall(b"after")
        assert receive(stream, 12) == b"before after"


def test_clients_beyond_the_bound_wait_for_a_place(fake: Fake) -> None:
    clients = [fake.live() for _ in range(CLIENTS)]
    late = fake.attach(b"h")
    fake.kept(b"x")
    clients[0].close()
    assert receive(late, 1) == b"x"


# ---- nothing is lost, nothing grows ----------------------------------------------------------------------------------


def test_ten_megabytes_pass_unchanged_while_another_types(fake: Fake) -> None:
    reader, typist = fake.live(), fake.live()
    data = bytes(range(251)) * 42_000
    typed = bytes(range(249)) * 4_300
    got: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: fake.qemu.sendall(data)),
        threading.Thread(target=lambda: got.append(receive(fake.qemu, len(typed)))),
        threading.Thread(target=lambda: typist.sendall(typed)),
        threading.Thread(target=lambda: receive(typist, len(data))),
    ]
    for thread in threads:
        thread.start()
    came = receive(reader, len(data))
    for thread in threads:
        thread.join()
    assert hashlib.sha256(came).digest() == hashlib.sha256(data).digest()
    assert got == [typed]
    assert fake.log.read_bytes() == data


def fill(stream: socket.socket) -> int:
    """Send until the other side takes no more; how much it took. One without a bound takes all of it."""
    stream.settimeout(0.3)
    sent = 0
    try:
        while sent < 8 * CLIENT_BYTES:
            sent += stream.send(b"x" * 65536)
    except TimeoutError:
        pass
    stream.settimeout(SECONDS)
    return sent


def test_machine_waits_for_a_slow_client_and_goes_on_when_it_reads(fake: Fake) -> None:
    slow = fake.live()
    sent = fill(fake.qemu)
    assert CLIENT_BYTES <= sent < 2 * CLIENT_BYTES
    assert receive(slow, sent) == b"x" * sent
    fake.qemu.sendall(b"y")
    assert receive(slow, 1) == b"y"


def test_slow_client_that_vanishes_frees_the_machine(fake: Fake) -> None:
    slow = fake.live()
    fill(fake.qemu)
    slow.close()
    fake.qemu.sendall(b"y" * 4 * CLIENT_BYTES)


def test_nobody_attached_keeps_no_machine_waiting_and_the_history_bounded(fake: Fake) -> None:
    line = b"0123456789abcde\n"
    fake.kept(line * (3 * KEEP_BYTES // 16))
    fake.qemu.close()
    history = rest(fake.attach(b"h"))
    assert KEEP_BYTES // 4 < len(history) <= KEEP_BYTES
    assert history == line * (len(history) // 16)


def test_clients_wait_while_the_machine_takes_no_input(fake: Fake) -> None:
    typist = fake.live()
    sent = fill(typist)
    assert sent < 1 << 20
    assert receive(fake.qemu, sent) == b"x" * sent


@pytest.fixture
def small_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminalwire, "LOG_BYTES", 10)


@pytest.mark.usefixtures("small_log")  # before the wire is made
def test_log_ends_at_its_bound_but_the_terminal_does_not(fake: Fake) -> None:
    client = fake.live()
    fake.qemu.sendall(b"0123456789abcdef")
    assert receive(client, 16) == b"0123456789abcdef"
    assert fake.log.read_bytes() == b"0123456789"


# ---- ends ------------------------------------------------------------------------------------------------------------


def test_last_words_come_before_the_end(fake: Fake) -> None:
    client = fake.live()
    data = b"z" * (1 << 17)
    fake.qemu.sendall(data)
    fake.qemu.close()
    assert rest(client) == data
    until(lambda: fake.wire.closed)
    assert rest(fake.attach(b"h")) == data


def test_close_hands_out_what_is_due(fake: Fake) -> None:
    client = fake.wire.client()
    fake.qemu.sendall(b"last")
    fake.qemu.close()
    fake.wire.close()
    fake.wire.close()
    assert rest(client) == b"last"
    client.close()


def test_what_was_typed_by_one_that_left_still_comes(fake: Fake) -> None:
    with fake.attach(b"l") as client:
        client.sendall(b"t" * 5000)
    assert receive(fake.qemu, 5000) == b"t" * 5000
