"""The one owner of a machine's terminal: moves bytes between QEMU's connection and whoever is attached, and keeps what came.

Made by the session. A client's first byte says what it gets: HISTORY, then what comes, or only LIVE. Nothing that a client is due is
ever dropped and nothing kept is without bound, so the machine waits while a client is slow; with nobody attached it never does.
"""

from __future__ import annotations

import selectors
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from nexus.machine.errands import Errands

HISTORY = b"h"
LIVE = b"l"
CHUNK = 65536
KEEP_BYTES = 256 << 10  # what somebody who attaches late gets to see
CLIENT_BYTES = 1 << 20  # due to one client: with more the machine waits
INPUT_BYTES = 64 << 10  # typed, but not yet taken by the machine: with more the clients wait
LOG_BYTES = 64 << 20  # where terminal.log stops growing
CLIENTS = 16
GREETING_SECONDS = 10.0  # for the first byte
PARTING_SECONDS = 1.0  # for the last bytes, when all ends


@dataclass
class Client:
    """One that is attached. `gone`: it takes nothing any more, but what it typed still counts."""

    due: bytearray = field(default_factory=bytearray)
    deadline: float | None = None  # for its first byte; None once that has come
    gone: bool = False


class TerminalWire:
    """All sockets belong to one thread; other threads hand it errands."""

    def __init__(self, channel: socket.socket, log: Path) -> None:
        self._channel = channel
        self._log = log.open("wb", buffering=0)
        self._room = LOG_BYTES
        self._history = bytearray()
        self._input = bytearray()
        self._clients: dict[socket.socket, Client] = {}
        self._listener: socket.socket | None = None
        self._open = True
        self._stopping = False
        self._errands = Errands("terminal")
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._errands.wake, selectors.EVENT_READ)
        channel.setblocking(False)
        self._errands.start(self._pump)

    @property
    def closed(self) -> bool:
        """Whether the machine's side is closed and all of it is read."""
        return not self._open

    def serve(self, listener: socket.socket) -> None:
        """Let others attach. The listener is closed with the wire."""
        listener.setblocking(False)
        self._errands.ask(lambda: self._listen(listener))

    def client(self, *, history: bool = False) -> socket.socket:
        """An attached client of this process. The caller closes it, and reads it: the machine waits for who does not."""
        mine, theirs = socket.socketpair()
        self._errands.ask(lambda: self._greet(self._attach(theirs), HISTORY if history else LIVE))
        return mine

    def close(self) -> None:
        """Idempotent; who is attached gets what is still due, then end of file."""
        self._errands.end(self._stop)

    # Everything below runs on the pump's thread.

    def _pump(self) -> None:
        self._watch_all()
        while not self._stopping:
            for key, mask in self._selector.select(self._patience()):
                if key.fd == self._errands.wake:
                    self._errands.run()
                elif key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is self._channel:
                    self._move(mask)
                elif isinstance(key.fileobj, socket.socket):
                    self._serve(key.fileobj, mask)
            self._watch_all()
        self._finish()

    def _patience(self) -> float | None:
        """Until the first greeting is overdue."""
        deadlines = [client.deadline for client in self._clients.values() if client.deadline is not None]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _watch_all(self) -> None:
        """Say anew what each socket is watched for: this is where somebody slow makes somebody else wait."""
        now = time.monotonic()
        for stream, client in list(self._clients.items()):
            if (client.deadline or now) < now or (not client.due and not self._open and client.deadline is None):
                self._drop(stream)
        listens = bool(len(self._input) < INPUT_BYTES)
        for stream, client in self._clients.items():
            self._watch(stream, listens, bool(client.due))
        full = any(len(client.due) >= CLIENT_BYTES for client in self._clients.values())
        self._watch(self._channel, self._open and not full, self._open and bool(self._input))
        if self._listener is not None:
            self._watch(self._listener, len(self._clients) < CLIENTS, False)

    def _watch(self, stream: socket.socket, read: bool, write: bool) -> None:
        mask = (selectors.EVENT_READ if read else 0) | (selectors.EVENT_WRITE if write else 0)
        known = self._selector.get_map().get(stream)
        if known is None:
            if mask:
                self._selector.register(stream, mask)
        elif not mask:
            self._selector.unregister(stream)
        elif known.events != mask:
            self._selector.modify(stream, mask)

    def _move(self, mask: int) -> None:
        if mask & selectors.EVENT_READ:
            self._read()
        if mask & selectors.EVENT_WRITE and self._open:
            with suppress(OSError):  # its end is seen by reading
                del self._input[: self._channel.send(self._input)]

    def _read(self) -> bool:
        """One chunk of the machine's; whether there was one."""
        try:
            data = self._channel.recv(CHUNK)
        except BlockingIOError:
            return False
        except ConnectionError:
            data = b""
        if data:
            self._keep(data)
            for client in self._clients.values():
                if client.deadline is None and not client.gone:
                    client.due += data
        else:
            self._open = False
            self._input.clear()
        return bool(data)

    def _keep(self, data: bytes) -> None:
        self._history += data
        if len(self._history) > KEEP_BYTES:
            del self._history[: len(self._history) - KEEP_BYTES // 2]
            del self._history[: self._history.find(b"\n") + 1]  # begins with a whole line, if there are lines
        with suppress(OSError):  # a full disk ends no machine
            self._room -= self._log.write(data[: self._room])

    def _listen(self, listener: socket.socket) -> None:
        self._listener = listener

    def _accept(self) -> None:
        if self._listener is not None:
            with suppress(OSError):  # it may be gone by now
                stream, _ = self._listener.accept()
                self._attach(stream)

    def _attach(self, stream: socket.socket) -> Client:
        stream.setblocking(False)
        self._clients[stream] = client = Client(deadline=time.monotonic() + GREETING_SECONDS)
        return client

    def _serve(self, stream: socket.socket, mask: int) -> None:
        client = self._clients.get(stream)
        if client is not None and mask & selectors.EVENT_WRITE:
            self._send(stream, client)
        if client is not None and mask & selectors.EVENT_READ:
            self._receive(stream, client)

    def _send(self, stream: socket.socket, client: Client) -> None:
        try:
            del client.due[: stream.send(client.due)]
        except BlockingIOError:
            pass
        except OSError:
            client.gone = True
            client.due.clear()

    def _receive(self, stream: socket.socket, client: Client) -> None:
        try:
            data = stream.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        greets = client.deadline is not None
        if not data or (greets and not self._greet(client, data[:1])):
            self._drop(stream)
        elif self._open:
            self._input += data[1:] if greets else data

    def _greet(self, client: Client, word: bytes) -> bool:
        """Whether that is a first byte."""
        client.deadline = None
        if word == HISTORY:
            client.due += self._history
        return word in (HISTORY, LIVE)

    def _drop(self, stream: socket.socket) -> None:
        del self._clients[stream]
        self._watch(stream, False, False)
        stream.close()

    def _stop(self) -> None:
        self._stopping = True

    def _finish(self) -> None:
        for stream, client in list(self._clients.items()):
            if client.deadline is not None:
                self._receive(stream, client)
        while self._open and self._read():
            pass
        for stream, client in list(self._clients.items()):
            stream.settimeout(PARTING_SECONDS)
            with suppress(OSError):
                stream.sendall(client.due)
            self._drop(stream)
        if self._listener is not None:
            self._listener.close()
        self._selector.close()
        self._errands.close()
        self._channel.close()
        self._log.close()
