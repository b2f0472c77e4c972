"""A minimal client of QEMU's gdbstub: reads control registers by name. Used by the kernel proof, which has no other way to
see them. Stops the machine while it is connected and lets it go on when closed.
"""

from __future__ import annotations

import re
import socket
from functools import cached_property
from pathlib import Path

from nexus.errors import MachineError

ANSWER_SECONDS = 10.0
CHUNK = 0x700
STOPPED = b"T0"  # what the stub says unasked when it stops the machine


class Gdbstub:
    """One connection; `register(name)` reads by the names of QEMU's own target description."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(ANSWER_SECONDS)
        self._socket.connect(str(path))
        self._rest = b""

    def register(self, name: str) -> int:
        answer = self._ask(f"p{self._number(name):x}")
        if answer.startswith("E"):
            raise MachineError(f"gdbstub: register `{name}`: {answer}")
        return int.from_bytes(bytes.fromhex(answer), "little")

    def close(self) -> None:
        """Detach: the machine runs on."""
        with self._socket:
            self._ask("D")

    def _number(self, name: str) -> int:
        if name not in self._numbers:
            raise MachineError(f"gdbstub: no register `{name}`")
        return self._numbers[name]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        """Registers in the order of the description's files; one without a number follows the one before."""
        self._ask("qSupported:xmlRegisters=riscv")
        numbers: dict[str, int] = {}
        number = 0
        for file in re.findall(r'<xi:include href="([^"]+)"', self._file("target.xml")):
            for tag in re.findall(r"<reg ([^>]*)>", self._file(file)):
                facts = dict(re.findall(r'(\w+)="([^"]*)"', tag))
                number = int(facts.get("regnum", number))
                numbers[facts["name"]] = number
                number += 1
        return numbers

    def _file(self, name: str) -> str:
        text = ""
        while True:
            piece = self._ask(f"qXfer:features:read:{name}:{len(text):x},{CHUNK:x}")
            text += piece[1:]
            if not piece.startswith("m"):
                return text

    def _ask(self, packet: str) -> str:
        self._send(packet)
        while (answer := self._receive()).startswith(STOPPED):
            pass
        return _expand(answer)

    def _send(self, packet: str) -> None:
        data = packet.encode("ascii")
        self._socket.sendall(b"$" + data + f"#{sum(data) & 0xFF:02x}".encode("ascii"))

    def _receive(self) -> bytes:
        """The next packet, as it came."""
        while not (found := re.search(rb"\$([^#]*)#..", self._rest)):
            more = self._socket.recv(65536)
            if not more:
                raise MachineError("gdbstub: the machine ended")
            self._rest += more
        self._rest = self._rest[found.end() :]
        self._socket.sendall(b"+")
        return found[1]


def _expand(data: bytes) -> str:
    """Undo escapes and run lengths of the protocol."""
    out = bytearray()
    place = 0
    while place < len(data):
        if data[place] == ord("}"):
            out.append(data[place + 1] ^ 0x20)
            place += 2
        elif data[place] == ord("*"):
            out += out[-1:] * (data[place + 1] - 29)
            place += 2
        else:
            out.append(data[place])
            place += 1
    return out.decode("latin1")
