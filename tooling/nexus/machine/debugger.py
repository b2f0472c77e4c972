"""The hart under control through gdbstub: runs to an address in one process, reads registers, writes physical memory.

Called by tests that have to be at one instruction, or tell a program of theirs something while it stands. Attached, the machine is
stopped but for `run_to`; detached, it goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nexus.errors import DeadlineError, MachineError
from nexus.machine import registry
from nexus.machine.gdbstub import STOPPED, Gdbstub
from nexus.machine.session import Session

STOP_SECONDS = 30.0
DONE = "OK"


class Debugger(Gdbstub):
    """One attachment; see `attached`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._breaks: set[int] = set()

    def write(self, address: int, data: bytes) -> None:
        """Into physical memory, whatever is running."""
        self._ok("Qqemu.PhyMemMode:1")
        self._ok(f"M{address:x},{len(data):x}:{data.hex()}")
        self._ok("Qqemu.PhyMemMode:0")

    def read(self, address: int, size: int) -> bytes:
        """A little physical memory, much sooner than by QMP."""
        self._ok("Qqemu.PhyMemMode:1")
        answer = self._ask(f"m{address:x},{size:x}")
        self._ok("Qqemu.PhyMemMode:0")
        if len(answer) != 2 * size:
            raise MachineError(f"gdbstub: no memory at {address:#x}: {answer[:40]}")
        return bytes.fromhex(answer)

    def put(self, name: str, value: int) -> None:
        """A register of 64 bits."""
        self._ok(f"P{self._number(name):x}={value.to_bytes(8, 'little').hex()}")

    def run_to(self, *addresses: int, satp: int | None = None) -> int:
        """Let the machine run until the process with that address space (None: whoever) is about to execute one of them; which one it is."""
        self._break_at(set(addresses))
        while True:
            # QEMU would stop again at once at a breakpoint where it stands. Elsewhere no step: it lets neither interrupts nor the
            # clock in, so a hart that sleeps would never finish it.
            if self.register("pc") in addresses:
                self.step()
            self._go("c")
            counter = self.register("pc")
            if counter in addresses and (satp is None or self.register("satp") == satp):
                return counter

    def _break_at(self, wanted: set[int]) -> None:
        """They stay until others are wanted: for each that comes or goes, QEMU forgets all that it has translated."""
        for kind, addresses in (("z", self._breaks - wanted), ("Z", wanted - self._breaks)):
            for address in addresses:
                self._ok(f"{kind}1,{address:x},4")
        self._breaks = wanted

    def step(self, count: int = 1) -> None:
        """So many instructions, no interrupt in between."""
        for _ in range(count):
            self._go("s")

    def _ok(self, packet: str) -> None:
        answer = self._ask(packet)
        if answer != DONE:
            raise MachineError(f"gdbstub: `{packet[:40]}`: {answer or 'not known'}")

    def _go(self, packet: str) -> None:
        """Send it and wait until the machine has stopped again."""
        self._send(packet)
        self._socket.settimeout(STOP_SECONDS)
        try:
            while not self._receive().startswith(STOPPED):
                pass
        except TimeoutError as error:
            raise DeadlineError(f"the machine did not come to a stop in {STOP_SECONDS:g} s") from error


@contextmanager
def attached(session: Session) -> Iterator[Debugger]:
    """The machine stands when the block begins and goes on after it."""
    path = registry.socket_path(session.run, "gdb")
    session.qmp.execute("human-monitor-command", {"command-line": f"gdbserver unix:{path},server=on,wait=off"})
    debugger = Debugger(path)
    try:
        yield debugger
    finally:
        with suppress(MachineError, OSError):  # a machine that has ended needs no leave-taking
            debugger.close()
            session.qmp.execute("human-monitor-command", {"command-line": "gdbserver none"})
            session.qmp.execute("cont")
