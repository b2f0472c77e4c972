"""QEMU's qtest protocol beside a running guest: physical memory read and written while the machine runs, so that a test can be
the device that lies. Owned by the kernel proof.

Never used to judge what a guest may see: it goes around every right of the machine.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path

from nexus.errors import MachineError

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 10.0


class Qtest:
    """One connection; commands are answered in order."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(ANSWER_SECONDS)
        self._rest = b""
        end = time.monotonic() + CONNECT_SECONDS
        while True:
            try:
                self._socket.connect(str(path))
                return
            except (FileNotFoundError, ConnectionRefusedError) as error:
                if time.monotonic() > end:
                    raise MachineError(f"qtest: {path} does not answer") from error
                time.sleep(0.01)

    def read(self, address: int, size: int) -> bytes:
        return bytes.fromhex(self._ask(f"read {address:#x} {size:#x}").removeprefix("0x"))

    def write(self, address: int, data: bytes) -> None:
        self._ask(f"write {address:#x} {len(data):#x} 0x{data.hex()}")

    def write32(self, address: int, value: int) -> None:
        self._ask(f"writel {address:#x} {value:#x}")

    def read32(self, address: int) -> int:
        return int(self._ask(f"readl {address:#x}"), 16)

    def close(self) -> None:
        self._socket.close()

    def _ask(self, command: str) -> str:
        self._socket.sendall(command.encode("ascii") + b"\n")
        while True:
            line = self._line()
            if line.startswith("OK"):
                return line[2:].strip()
            if not line.startswith("IRQ"):
                raise MachineError(f"qtest: `{command}`: {line}")

    def _line(self) -> str:
        while b"\n" not in self._rest:
            more = self._socket.recv(65536)
            if not more:
                raise MachineError("qtest: the machine ended")
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode("ascii")
