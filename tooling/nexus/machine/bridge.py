"""Bytes both ways between a machine's terminal and something else of the host: standard streams, a pty, loopback connections.

Called by `nexus console`. Nothing is lost and nothing grows: who does not take what is due to him makes the other side wait. Never sets
a descriptor that others share to non-blocking.
"""

from __future__ import annotations

import errno
import os
import re
import select
import signal
import socket
import termios
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from nexus.errors import MachineError, UsageError
from nexus.machine.dialogue import Dialogue
from nexus.machine.registry import Record
from nexus.machine.terminal import Outcome
from nexus.machine.terminalwire import HISTORY, LIVE

CHUNK = 65536
PIECE = 4096  # what a pipe that is writable takes without making the writer wait
DUE_BYTES = 256 << 10
CONNECTIONS = 8
BROWSER = re.compile(rb"[A-Z]{3,8} [/*h]")  # how a request of a web page begins, which could otherwise type here
Change = Callable[[bytes], bytes]


def attach(record: Record, *, history: bool) -> socket.socket:
    """A connection to the terminal of a live machine."""
    if not record.terminal:
        raise UsageError(
            f"system {record.system} has no terminal", "the default system has one; its log: nexus console --uart"
        )
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        stream.connect(record.terminal)
        stream.sendall(HISTORY if history else LIVE)
    except OSError as error:
        stream.close()
        raise MachineError(f"machine {record.id} has just ended") from error
    return stream


class Flow:
    """One direction. `ended`: its source gives no more; `broken`: its sink takes no more."""

    def __init__(
        self, source: int, sink: int, change: Change | None = None, log: BinaryIO | None = None, most: int = CHUNK
    ) -> None:
        self.source, self.sink, self.most = source, sink, most
        self.due = bytearray()
        self.ended = self.broken = False
        self._change, self._log = change, log

    @property
    def reads(self) -> bool:
        return not self.ended and len(self.due) < DUE_BYTES

    @property
    def over(self) -> bool:
        """Whether nothing more can come out of it."""
        return self.broken or (self.ended and not self.due)

    def read(self) -> None:
        try:
            data = os.read(self.source, self.most)
        except BlockingIOError:
            return
        except OSError:  # a pty's and a connection's way of saying that nobody is there
            data = b""
        self.ended = not data
        if self._log is not None:
            self._log.write(data)
        self.due += self._change(data) if self._change else data

    def write(self) -> None:
        try:
            del self.due[: os.write(self.sink, self.due[:PIECE])]
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.EIO, errno.EBADF):
                raise
            self.broken = True
            self.due.clear()


class Bridge:
    """A machine's terminal and its other end: `out` is what the machine prints, `into` what it is typed (None: nothing)."""

    def __init__(
        self,
        wire: socket.socket,
        source: int | None,
        sink: int,
        change: Change | None = None,
        log: BinaryIO | None = None,
        typed: Change | None = None,
    ) -> None:
        wire.setblocking(False)
        self.wire = wire
        self.out = Flow(wire.fileno(), sink, change, log)
        self.into = None if source is None else Flow(source, wire.fileno(), typed)

    @property
    def flows(self) -> list[Flow]:
        return [self.out] if self.into is None else [self.out, self.into]


def pump(flows: Sequence[Flow], deadline: float | None, also: Sequence[socket.socket] = ()) -> bool | None:
    """Move what can be moved now, waiting for it if need be. True: one of `also` is readable.

    None: time is up. That is asked first, for a guest can print without a pause.
    """
    left = None if deadline is None else deadline - time.monotonic()
    if left is not None and left <= 0:
        return None
    sources = {flow.source for flow in flows if flow.reads and not flow.broken}
    sinks = {flow.sink for flow in flows if flow.due}
    watched: list[int | socket.socket] = [*sources, *also]
    readable, writable, _ = select.select(watched, list(sinks), [], left)
    for flow in flows:
        if flow.sink in writable and flow.due:
            flow.write()
        if flow.source in readable and flow.reads:
            flow.read()
    return any(one in readable for one in also)


def run(bridge: Bridge, deadline: float | None) -> Outcome:
    """Until the machine ends, its reader is gone or time is up."""
    while not bridge.out.over:
        if pump(bridge.flows, deadline) is None:
            return Outcome.LATE
    return Outcome.LEFT if bridge.out.broken else Outcome.ENDED


def converse(
    wire: socket.socket,
    dialogue: Dialogue,
    sink: int,
    change: Change | None,
    log: BinaryIO | None,
    deadline: float | None,
) -> Outcome:
    """Until the dialogue is over, all of it sent and shown; how it went stands in it. LATE if it was not over in time.

    Reads a piece at a time, so that an ordinary search is short and the clock is looked at between two; any other search is cut off.
    For that it belongs to the main thread, which signals come to.
    """

    def heard(data: bytes) -> bytes:
        with _cut_off(deadline):
            talk.due += dialogue.take(data)
        return change(data) if change else data

    wire.setblocking(False)
    out = Flow(wire.fileno(), sink, heard, log, PIECE)
    talk = Flow(-1, wire.fileno())
    talk.ended = True  # nothing is read: the dialogue says what is typed
    talk.due += dialogue.take()
    while not (dialogue.over and not talk.due and not out.due):
        try:
            if pump([out, talk], deadline) is None:
                return Outcome.LATE
        except _CutOffError:
            return Outcome.LATE
        if out.over:
            dialogue.end()
            return Outcome.ENDED
        if dialogue.over and not talk.due:
            out.ended = True  # what comes now is not waited for: it may never end
    return Outcome.SEEN


class _CutOffError(Exception):
    """Time was up in the midst of a search."""


@contextmanager
def _cut_off(deadline: float | None) -> Iterator[None]:
    """End the block at the deadline: with a pattern like `a.*b.*c` a guest can make one search last for minutes."""

    def end(_signal: int, _frame: FrameType | None) -> None:
        raise _CutOffError

    if deadline is None:
        yield
        return
    before = signal.signal(signal.SIGALRM, end)
    try:
        signal.setitimer(signal.ITIMER_REAL, max(deadline - time.monotonic(), 0.001))  # 0 would be never
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# ---- a pty -----------------------------------------------------------------------------------------------------------


@contextmanager
def open_pty(link: Path) -> Iterator[tuple[int, str]]:
    """A pty that changes no byte: our end, and the name of the other; `link` leads there while it is open. That it is also held open
    here keeps what comes for a reader that is not there yet, or will come again.
    """
    ours, theirs = os.openpty()
    try:
        tty.setraw(theirs, termios.TCSANOW)
        os.set_blocking(ours, False)
        name = os.ttyname(theirs)
        with suppress(FileNotFoundError):
            link.unlink()
        link.symlink_to(name)
        yield ours, name
    finally:
        link.unlink(missing_ok=True)
        os.close(ours)
        os.close(theirs)


# ---- loopback --------------------------------------------------------------------------------------------------------


def listen(address: str) -> socket.socket:
    """A listener at HOST:PORT of this computer alone: who connects is at the machine's terminal."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"--listen: found `{address}`, expected 127.0.0.1:PORT")
    if host not in ("127.0.0.1", "localhost"):
        raise UsageError(
            f"--listen: `{host}` is not this computer alone",
            f"use 127.0.0.1:{port}; from elsewhere, a tunnel that asks who you are: ssh -L",
        )
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(port)))
        listener.listen(CONNECTIONS)
    except OSError as error:
        listener.close()
        raise UsageError(f"--listen: {address}: {error.strerror}", "port 0 takes any that is free") from error
    return listener


def is_mine(connection: socket.socket, table: Path = Path("/proc/net/tcp")) -> bool:
    """Whether the other end belongs to this user: any other user of the computer can connect to a port, too."""
    ends = [_hexed(connection.getpeername()), _hexed(connection.getsockname())]
    for line in table.read_text(encoding="ascii").splitlines()[1:]:
        words = line.split()
        if words[1:3] == ends:
            return int(words[7]) == os.getuid()
    return False


def _hexed(address: tuple[str, int]) -> str:
    """An address as the kernel's table has it."""
    return f"{int.from_bytes(socket.inet_aton(address[0]), 'little'):08X}:{address[1]:04X}"


def serve(record: Record, listener: socket.socket, deadline: float | None, log: BinaryIO | None) -> Outcome:
    """Give each connection the terminal, until the machine ends or time is up."""
    with attach(record, history=False) as watch:
        ends = Bridge(watch, None, -1, lambda _data: b"", log)
        served: dict[Bridge, socket.socket] = {}
        try:
            while not ends.out.over:
                flows = [ends.out, *(flow for bridge in served for flow in bridge.flows)]
                came = pump(flows, deadline, [listener] if len(served) < CONNECTIONS else [])
                if came is None:
                    return Outcome.LATE
                if came:
                    connection, _ = listener.accept()
                    _take(record, connection, served)
                for bridge in [one for one in served if any(flow.over for flow in one.flows)]:
                    _let_go(bridge, served)
            return Outcome.ENDED
        finally:
            for bridge in list(served):
                _let_go(bridge, served)


def _take(record: Record, connection: socket.socket, served: dict[Bridge, socket.socket]) -> None:
    if not is_mine(connection):
        connection.close()
        return
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    bridge = Bridge(attach(record, history=False), connection.fileno(), connection.fileno(), typed=_not_browsed())
    served[bridge] = connection


def _not_browsed() -> Change:
    """Lets through what is typed, unless the first of it is a web request: then nothing, ever."""
    verdicts: list[bool] = []

    def change(data: bytes) -> bytes:
        if not verdicts:
            verdicts.append(BROWSER.match(data) is None)
        return data if verdicts[0] else b""

    return change


def _let_go(bridge: Bridge, served: dict[Bridge, socket.socket]) -> None:
    served.pop(bridge).close()
    bridge.wire.close()
