"""The one reader of a machine's UART: splits lines, gives each its time, keeps the log, and feeds whoever looks on.

Owned by the session. A thread reads all the time, so that the machine never waits for a slow test; everything kept is bounded.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import socket
import struct
import termios
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

from nexus.errors import MachineError
from nexus.machine.errands import Errands
from nexus.machine.uart import Uart
from nexus.verdict.grammar import MAX_LINE_BYTES, Seen, escape

CHUNK = 65536
KEEP_LINES = 50_000  # of which a test sees the newest
KEEP_BYTES = 4 << 20  # what somebody who attaches late gets to see
LOG_BYTES = 64 << 20  # where console.log stops growing
VIEW_BYTES = 8 << 20  # a looker-on that falls further behind is dropped
INPUT_BYTES = 64 << 10  # typed, but not yet taken by the machine


class Console:
    """Lines of a UART, by index. All sockets belong to one thread; other threads hand it errands."""

    def __init__(self, uart: Uart, log: Path) -> None:
        self._uart = uart
        self._log = log.open("w", encoding="ascii")
        self._logged = 0
        self._selector = selectors.DefaultSelector()
        self._errands = Errands("console")
        self._changed = threading.Condition()
        self._lines: deque[Seen] = deque(maxlen=KEEP_LINES)
        self._count = 0
        self._partial = bytearray()
        self._skipping = False
        self._history = bytearray()
        self._views: dict[socket.socket, bytearray] = {}
        self._listener: socket.socket | None = None
        self._input = bytearray()
        self._open = True
        self._stopping = False
        self._zero = time.monotonic()
        self._selector.register(uart.output, selectors.EVENT_READ)
        self._selector.register(self._errands.wake, selectors.EVENT_READ)
        self._errands.start(self._pump)

    @property
    def closed(self) -> bool:
        """Whether the machine's side is closed and every line of it can be read."""
        return not self._open

    @property
    def count(self) -> int:
        return self._count

    @property
    def rest(self) -> bytes:
        """What came of a line that is not finished."""
        with self._changed:
            return bytes(self._partial)

    def start_clock(self) -> None:
        """Time 0 of the lines: the moment when the machine starts to run."""
        self._zero = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since then."""
        return time.monotonic() - self._zero

    def lines(self, first: int = 0) -> list[Seen]:
        with self._changed:
            skip = max(0, first - (self._count - len(self._lines)))
            return list(self._lines)[skip:]

    def line(self, index: int, timeout: float) -> Seen | None:
        """The line of that index as soon as it is there; None when time is up or no more can come."""
        with self._changed:
            self._changed.wait_for(lambda: self._count > index or not self._open, timeout)
            place = index - (self._count - len(self._lines))
            return self._lines[max(place, 0)] if self._count > index else None

    def wait_closed(self, timeout: float) -> bool:
        """Whether everything has come: a machine can be gone before its last lines have been read."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._open, timeout)

    def serve(self, listener: socket.socket) -> None:
        """Let others attach: each gets the console so far, then what comes; what they send is typed."""
        listener.setblocking(False)
        self._listener = listener
        self._errands.ask(lambda: self._selector.register(listener, selectors.EVENT_READ))

    def view(self) -> socket.socket:
        """A raw byte stream of the whole console, for pexpect or a terminal. The caller closes it."""
        mine, theirs = socket.socketpair()
        self._errands.ask(lambda: self._add_view(theirs))
        return mine

    def send(self, data: bytes) -> None:
        """Type. What the machine does not take within the bound is refused, never queued without end."""
        if not self._errands.ask(lambda: self._type(data)):
            raise MachineError(f"the machine takes no input: {INPUT_BYTES} bytes wait already")

    def hold(self, on: bool) -> None:
        """Stop reading, as a host would that hangs; the machine must not care."""
        self._errands.ask(lambda: self._hold(on))

    def unread(self) -> int:
        """Bytes that have come while it is held."""
        return int(struct.unpack("i", fcntl.ioctl(self._uart.output, termios.FIONREAD, bytes(4)))[0])

    def cut(self) -> int:
        """With the machine paused: take all it has printed, end the line, and tell the index of the next one."""
        return self._errands.ask(self._cut)

    def close(self) -> None:
        """Idempotent; lookers-on get what is still due to them, then end of file."""
        self._errands.end(self._stop)

    # Everything below runs on the pump's thread.

    def _pump(self) -> None:
        while not self._stopping:
            for key, mask in self._selector.select():
                if key.fileobj == self._uart.output:
                    self._read()
                elif key.fileobj == self._uart.input:
                    self._flush_input()
                elif key.fileobj == self._errands.wake:
                    self._errands.run()
                elif key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket):
                    self._serve_view(key.fileobj, mask)
        self._finish()

    def _read(self) -> bool:
        """One chunk; whether there was one."""
        try:
            data = os.read(self._uart.output, CHUNK)
        except BlockingIOError:
            return False
        if data:
            self._take(data)
        else:
            self._end()
        return bool(data)

    def _take(self, data: bytes) -> None:
        at = time.monotonic() - self._zero
        with self._changed:
            self._history += data
            if len(self._history) > KEEP_BYTES:
                del self._history[: len(self._history) - KEEP_BYTES // 2]
            for piece in _split(data):
                self._collect(at, piece)
            self._changed.notify_all()
        self._log.flush()
        for view in list(self._views):
            self._queue(view, data)

    def _collect(self, at: float, piece: bytes) -> None:
        whole = piece.endswith(b"\n")
        if not self._skipping:
            self._partial += piece.removesuffix(b"\n")
            if len(self._partial) > MAX_LINE_BYTES:
                self._skipping = not whole
                self._append(Seen(at, bytes(self._partial[:MAX_LINE_BYTES]), whole=False))
            elif whole:
                self._append(Seen(at, bytes(self._partial).removesuffix(b"\r")))
        elif whole:
            self._skipping = False

    def _append(self, seen: Seen) -> None:
        self._partial.clear()
        self._lines.append(seen)
        self._count += 1
        if self._logged > LOG_BYTES:
            return
        text = f"[{seen.at:9.3f}] {escape(seen.data)}{'' if seen.whole else ' ...'}\n"
        self._logged += self._log.write(text)
        if self._logged > LOG_BYTES:
            self._log.write("[the log ends here: the machine printed more than is kept]\n")

    def _end(self) -> None:
        if self._open:
            self._watch(self._uart.output, 0)
            with self._changed:
                self._open = False
                if self._partial:
                    self._log.write(f"[{'':9}] {escape(bytes(self._partial))} ...\n")
                self._changed.notify_all()
            self._log.flush()
            for view in list(self._views):
                self._queue(view, b"")

    def _cut(self) -> int:
        while self._open and self._read():
            pass
        with self._changed:
            if self._partial:
                self._append(Seen(time.monotonic() - self._zero, bytes(self._partial), whole=False))
            self._skipping = False
            return self._count

    def _hold(self, on: bool) -> None:
        if self._open:
            self._watch(self._uart.output, 0 if on else selectors.EVENT_READ)

    def _watch(self, descriptor: int, mask: int) -> None:
        """Have it watched for that, or for nothing."""
        watched = descriptor in self._selector.get_map()
        if watched and not mask:
            self._selector.unregister(descriptor)
        if mask and not watched:
            self._selector.register(descriptor, mask)

    def _type(self, data: bytes) -> bool:
        if not self._open or len(self._input) + len(data) > INPUT_BYTES:
            return False
        self._input += data
        self._flush_input()
        return True

    def _flush_input(self) -> None:
        with suppress(BlockingIOError):
            del self._input[: os.write(self._uart.input, self._input) if self._input else 0]
        self._watch(self._uart.input, selectors.EVENT_WRITE if self._input else 0)

    def _accept(self) -> None:
        if self._listener is not None:
            view, _ = self._listener.accept()
            self._add_view(view)

    def _add_view(self, view: socket.socket) -> None:
        view.setblocking(False)
        self._views[view] = bytearray()
        self._selector.register(view, selectors.EVENT_READ)
        self._queue(view, bytes(self._history))

    def _serve_view(self, view: socket.socket, mask: int) -> None:
        if view in self._views and mask & selectors.EVENT_WRITE:
            self._queue(view, b"")
        if view in self._views and mask & selectors.EVENT_READ:
            try:
                data = view.recv(4096)
            except BlockingIOError:
                return
            except ConnectionError:
                data = b""
            if not data or not self._type(data):
                self._drop(view)

    def _queue(self, view: socket.socket, data: bytes) -> None:
        due = self._views[view]
        due += data
        try:
            del due[: view.send(due) if due else 0]
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionError):
            self._drop(view)
            return
        if len(due) > VIEW_BYTES or (not due and not self._open):
            self._drop(view)
            return
        self._selector.modify(view, selectors.EVENT_READ | (selectors.EVENT_WRITE if due else 0))

    def _drop(self, view: socket.socket) -> None:
        del self._views[view]
        self._selector.unregister(view)
        view.close()

    def _stop(self) -> None:
        self._stopping = True

    def _finish(self) -> None:
        while self._open and self._read():
            pass
        self._end()
        for view, due in list(self._views.items()):
            view.settimeout(1.0)
            try:
                view.sendall(due)
            except OSError:
                due.clear()
            self._drop(view)
        if self._listener is not None:
            self._listener.close()
        self._selector.close()
        self._errands.close()
        self._uart.close()
        self._log.close()


def _split(data: bytes) -> list[bytes]:
    """Lines end in LF only: a CR of the guest is data."""
    pieces = data.split(b"\n")
    return [piece + b"\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])
