"""What a person at `nexus console` can do to the machine itself, or see of it, while its terminal goes on: pause, reset, audit, gdb.
Called by interactive.py on a thread of its own, since the machine answers one client at a time and may be slow. Holds no connection.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from nexus.contract.load import load_contract
from nexus.errors import MachineError
from nexus.layout import contract_dir
from nexus.machine.control import connected
from nexus.machine.registry import Record, socket_dir

AUDIT_ROWS = 200
GDB = "gdb-multiarch"


@dataclass(frozen=True)
class Controls:
    root: Path
    record: Record

    def runs(self) -> bool:
        """Whether it runs, or stands still."""
        with connected(self.record) as qmp:
            status = qmp.execute("query-status")
        return isinstance(status, dict) and bool(status.get("running"))

    def pause_or_continue(self) -> bool:
        """Whether it runs now."""
        runs = self.runs()
        with connected(self.record) as qmp:
            qmp.execute("stop" if runs else "cont")
        return not runs

    def reset(self) -> None:
        """To the first instruction; it stands still afterwards if it did before."""
        with connected(self.record) as qmp:
            qmp.execute("system_reset")

    def audit(self) -> list[str]:
        """The newest records of the trail, the newest last."""
        from nexus.audit.show import line
        from nexus.audit.source import from_machine

        contract = load_contract(contract_dir(self.root))
        trail = from_machine(self.root, self.record, contract).trail
        rows = trail.records[-AUDIT_ROWS:]
        return [line(trail, row, contract.number("limit.tick_hz")) for _, row in rows]

    def gdb(self) -> list[str]:
        """Open a door for gdb, and say how to come in."""
        path = socket_dir() / f"{self.record.id}.gdb"
        with connected(self.record) as qmp:
            answer = qmp.execute("human-monitor-command", {"command-line": f"gdbserver unix:{path},server=on,wait=off"})
        if "Waiting" not in str(answer):
            raise MachineError(f"QEMU opened no door for gdb: {answer}")
        image = Path(self.record.image)
        shown = image.relative_to(self.root) if image.is_relative_to(self.root) else image
        return [
            f"{GDB} {shlex.quote(str(shown))}",
            f"(gdb) target remote {path}",
            "The machine stands still while gdb is attached; `detach` lets it go on.",
            "That image is the kernel; add-symbol-file takes the program of a process.",
            "Nobody but you can come in by that path.",
        ]
