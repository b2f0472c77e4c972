"""The control channel of a live machine that another nexus owns, and its memory. Called by whoever looks into one or hands it something;
the machine serves one such client at a time. Never changes anything by itself; one that stood still before stands still afterwards.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nexus.errors import MachineError
from nexus.machine.qmp import Qmp
from nexus.machine.registry import Record

CONNECT_SECONDS = 10.0
DUMP_SECONDS = 30.0


@contextmanager
def connected(record: Record) -> Iterator[Qmp]:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        channel.connect(record.qmp)
    except OSError as error:
        channel.close()
        raise MachineError(f"machine {record.id} has just ended") from error
    qmp = Qmp(channel, lambda _event: None, CONNECT_SECONDS)
    try:
        yield qmp
    finally:
        qmp.close()


@contextmanager
def standing_still(qmp: Qmp) -> Iterator[None]:
    """Nothing runs in the block, and the guest's own clock stands: it can't tell. Nothing but the end of a machine keeps it from going on."""
    status = qmp.execute("query-status")
    runs = isinstance(status, dict) and bool(status.get("running"))
    if runs:
        qmp.execute("stop")
    try:
        yield
    finally:
        if runs:
            qmp.execute("cont")


def dump(qmp: Qmp, folder: Path, address: int, size: int) -> bytes:
    """Physical memory, by way of a file in that folder."""
    file = folder / f"memory-{secrets.token_hex(4)}"
    try:
        arguments: dict[str, object] = {"val": address, "size": size, "filename": str(file)}
        qmp.execute("pmemsave", arguments, timeout=DUMP_SECONDS)
        return file.read_bytes()
    finally:
        file.unlink(missing_ok=True)
