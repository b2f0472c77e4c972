"""The shell's terminal on the real machine: every byte both ways, at any pace, and Ctrl-C at any time; without a device, no shell.

Scenario: raw REPL on one machine. What the services say on the UART meanwhile is how a test knows what happens while nobody reads the
terminal.
"""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Iterator

import pytest

from nexus.contract.load import load_contract
from nexus.layout import contract_dir, find_root
from nexus.machine.live import Machine
from nexus.plugin import Boot

CONTRACT = load_contract(contract_dir(find_root()))
LIVE = next(f"{row.label}: {row.text}" for row in CONTRACT.markers if row.name == "init_ready")
SECONDS = 60.0
READY, END, CTRL_C = b"raw REPL; CTRL-B to exit\r\n>", b"\x04", b"\x03"
ALLOWED = r"policyd: allow \(subject=shell action=system.stats\)"
KIB = 1024


class Raw:
    """The raw REPL of a shell, over a socket that is read only when a test does."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self.stream.settimeout(SECONDS)
        self.rest = bytearray()
        self.until(b"nexus>")
        self.stream.sendall(b"\x01")
        self.until(READY)

    def until(self, end: bytes) -> bytes:
        """All that comes before this, which is taken too."""
        deadline, looked = time.monotonic() + SECONDS, 0
        while (place := self.rest.find(end, looked)) < 0:
            looked = max(0, len(self.rest) - len(end))
            data = self.stream.recv(1 << 20)
            assert data, f"the terminal ended before {end!r}: {bytes(self.rest[-200:])!r}"
            assert time.monotonic() < deadline, f"no {end!r}: {bytes(self.rest[-200:])!r}"
            self.rest += data
        found = bytes(self.rest[:place])
        del self.rest[: place + len(end)]
        return found

    def take(self, count: int) -> bytes:
        while len(self.rest) < count:
            data = self.stream.recv(1 << 20)
            assert data, "the terminal ended"
            self.rest += data
        found = bytes(self.rest[:count])
        del self.rest[:count]
        return found

    def begin(self, script: str) -> None:
        """Have it run from here on; what it prints comes."""
        self.stream.sendall(script.encode() + END)
        assert self.take(2) == b"OK", "the REPL takes no script"


@pytest.fixture
def raw(boot: Boot) -> Iterator[tuple[Machine, Raw]]:
    machine = boot("default")
    assert machine.session.terminal is not None
    with machine.session.terminal.client(history=True) as stream:
        yield machine, Raw(stream)


IN = """
import hashlib, nexus, sys
seen = hashlib.sha256()
for piece in range({pieces}):
    seen.update(sys.stdin.buffer.read({size}))
    nexus.ps()
print(seen.digest().hex())
"""
OUT = """
import nexus, sys
piece = bytes(range(256)) * 37 + b"\\r\\n\\r"
for number in range({pieces}):
    if number % 100 == 0:
        nexus.ps()
    sys.stdout.buffer.write(number.to_bytes(4, "big") + piece)
"""
# Tells on the UART, by a question to init, that it was interrupted: the terminal is not read by then.
STUCK = """
import nexus
try:
    while True:
        print("-" * 1000)
except KeyboardInterrupt:
    nexus.ps()
    print("interrupted")
"""


def test_every_byte_both_ways_and_ctrl_c_at_any_time(raw: tuple[Machine, Raw]) -> None:
    machine, shell = raw
    pieces, size = 16, 64 * KIB
    data = b"".join(number.to_bytes(4, "big") + bytes(range(252)) for number in range(pieces * size // 256))
    data = data.replace(CTRL_C, b"\xf3")
    shell.begin(IN.format(pieces=pieces, size=size))
    shell.stream.sendall(data)
    assert shell.until(END).strip().decode() == hashlib.sha256(data).hexdigest()
    assert shell.until(END + b">") == b""
    for _ in range(pieces):
        machine.expect(ALLOWED)

    pieces, piece = 1110, bytes(range(256)) * 37 + b"\r\n\r"
    sent = b"".join(number.to_bytes(4, "big") + piece for number in range(pieces))
    assert len(sent) > 10 * KIB * KIB
    shell.begin(OUT.format(pieces=pieces))
    assert shell.take(len(sent)) == sent
    assert shell.until(END + b">") == END
    for _ in range(0, pieces, 100):
        machine.expect(ALLOWED)

    shell.begin("while True: pass\n")
    shell.stream.sendall(CTRL_C)
    assert shell.until(END) == b""
    assert b"KeyboardInterrupt" in shell.until(END + b">")

    shell.begin(STUCK)
    shell.stream.sendall(CTRL_C)
    machine.expect(ALLOWED)
    assert shell.until(END).endswith(b"interrupted\r\n")
    assert "interrupted" not in machine.log


def test_terminal_comes_back_with_a_shell_that_ended_and_with_a_machine_that_was_reset(boot: Boot) -> None:
    """What is typed in between is not lost: the device takes nothing before there is somebody to read it."""
    machine = boot("default")
    assert machine.session.terminal is not None
    with machine.session.terminal.client(history=True) as stream:
        shell = Raw(stream)
        shell.begin("import kernel; kernel.exit(1)")
        machine.expect("fault label=shell cause=exit value=0000000000000001")
        shell.stream.sendall(b"\x01")
        shell.until(READY)
        machine.reset()
        shell.stream.sendall(b"\x01")
        shell.until(READY)
    assert "broken" not in machine.log


def test_system_without_a_usable_terminal_goes_on_without_its_shell(boot: Boot) -> None:
    """Two of a kind are none; the shell says once and for all that it can't be."""
    machine = boot("default", qemu_args=["-device", "virtio-serial-device"])
    machine.expect("kernel: device id=3 refused: 2 of them")
    machine.expect(LIVE)
    machine.expect(f"init: {CONTRACT.table('line')['unavailable']}shell")
    assert machine.log.count("fault label=shell") == 1
