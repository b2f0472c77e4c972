"""The wire to a machine's UART: a pipe each way, by name, because QEMU's pipe device opens names.

Owned by the session, read by the console. Never a socket: QEMU writes single bytes, of which a socket holds some hundred before the
machine has to wait for its reader, and a pipe 65,536.
"""

from __future__ import annotations

import os
from pathlib import Path


class Uart:
    """`output` is what the machine prints, `input` what it is typed: descriptors that never block."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._names = [path.with_name(path.name + end) for end in (".out", ".in")]
        for name in self._names:
            os.mkfifo(name, 0o600)
        out, into = self._names
        self.output = os.open(out, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._held = os.open(out, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self.input = os.open(into, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def connected(self) -> None:
        """QEMU has opened its ends: from now on the output ends when QEMU does."""
        if self._held >= 0:
            os.close(self._held)
            self._held = -1

    def close(self) -> None:
        self.connected()
        for descriptor in (self.output, self.input):
            os.close(descriptor)

    def forget(self) -> None:
        """The names; idempotent, and of no consequence to who has opened them."""
        for name in self._names:
            name.unlink(missing_ok=True)
