"""The control channel of a live machine that another nexus owns. Called by whoever looks into one or hands it something; the machine
serves one such client at a time. Never changes anything by itself.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from nexus.errors import MachineError
from nexus.machine.qmp import Qmp
from nexus.machine.registry import Record

CONNECT_SECONDS = 10.0


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
