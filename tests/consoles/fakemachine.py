"""What the tests of `nexus console` share: a machine of which only the terminal is real, its guest being the test, and the command run on
it as a process of its own, on pipes or on a pty. Scenario: a live record, a wire, no QEMU.
"""

from __future__ import annotations

import json
import os
import pty
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nexus import layout
from nexus.machine import registry
from nexus.machine.terminalwire import TerminalWire

SECONDS = 20.0
COMMAND = """
import sys
from pathlib import Path
from nexus import layout
layout.find_root = lambda: Path(sys.argv[1])
from nexus.cli import main
sys.exit(main(sys.argv[2:]))
"""
SLEEPER = "import sys, time; print(flush=True); time.sleep(600)"
EVENTS = '{"t": 1.0, "event": "exit", "code": %s, "signal": %s, "why": "test"}\n'


class FakeMachine:
    """`guest` is QEMU's end of the terminal: what is sent there is printed, what is typed comes out of it."""

    def __init__(self, root: Path, folder: Path, system: str = "fake", *, terminal: bool = True) -> None:
        self.root, self.wire_folder = root, folder
        recipes = root / "recipes"
        if not recipes.is_symlink():
            recipes.symlink_to(layout.find_root() / "recipes")
        self.run = registry.create_run(root, system)
        ours, self.guest = socket.socketpair()
        self.guest.settimeout(SECONDS)
        self.wire = TerminalWire(ours, self.run.terminal)
        listener = socket.socket(socket.AF_UNIX)
        path = folder / f"{self.run.id[-8:]}.terminal"
        listener.bind(str(path))
        listener.listen(4)
        self.wire.serve(listener)
        self.uart = socket.socket(socket.AF_UNIX)  # of the console; who attaches is served by the test
        uart_path = folder / f"{self.run.id[-8:]}.console"
        self.uart.bind(str(uart_path))
        self.uart.listen(4)
        self.uart.settimeout(SECONDS)
        self._started: list[subprocess.Popen[bytes]] = []
        self.run.console.write_text("")
        self.run.events.write_text("")
        qmp = f"{folder}/{self.run.id[-8:]}.qmp"
        self._qemu = subprocess.Popen([sys.executable, "-S", "-c", SLEEPER, f"unix:{qmp}"], stdout=subprocess.PIPE)
        assert self._qemu.stdout
        self._qemu.stdout.readline()  # only now /proc surely shows its words
        record = {"pid": self._qemu.pid, "system": system, "image": str(root / "none.elf"), "nonce": "0", "qmp": qmp}
        registry.write_record(self.run, record | {"console": str(uart_path), "terminal": str(path) if terminal else ""})

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        """The command on pipes; it ends with the machine at the latest."""
        given = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        self._started.append(subprocess.Popen(words(self.root, *arguments), **given))
        return self._started[-1]

    def typed(self, count: int) -> bytes:
        data = b""
        while len(data) < count and (piece := self.guest.recv(count - len(data))):
            data += piece
        return data

    def log(self, line: str) -> None:
        with self.run.console.open("a") as log:
            log.write(f"[{1.5:9.3f}] {line}\n")

    def die(self, code: int | None = None, signal: int | None = 9) -> None:
        """QEMU is gone, and its owner has written so."""
        with self.run.events.open("a") as events:
            events.write(EVENTS % (json.dumps(code), json.dumps(signal)))
        self._qemu.kill()
        self._qemu.wait()
        self.guest.close()

    def close(self) -> None:
        for process in (*self._started, self._qemu):
            process.kill()
            with process:  # closes its pipes
                process.wait()
        self.guest.close()
        self.uart.close()
        self.wire.close()


def words(root: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-P", "-c", COMMAND, str(root), "console", *arguments]


@contextmanager
def on_pty(root: Path, *arguments: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The command on a terminal of its own: our end of that, and the process."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        words(root, *arguments),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
        start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # becomes the controlling terminal
    )
    os.close(theirs)
    try:
        yield ours, process
    finally:
        process.kill()
        process.wait()
        with suppress(OSError):
            os.close(ours)
