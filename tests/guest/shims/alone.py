"""One service by itself: whoever asks it, and every server that it asks, is the test. For answers that no honest server gives, and
for many cases in little time. Frames are put together by shipped code; the kernel here decides nothing, it states who asks.

Used by host tests of services. Each nested call leaves the rest of the buffer dirty, so a handler that reads on is seen.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from shims import micropython
from shims.asker import Answer, frame
from shims.crypto import Crypto
from shims.frame import Frame
from shims.kernel import Error
from shims.loader import Loader
from shims.objects import Halt

DIRT = 0xEE


@dataclass(frozen=True)
class Caller:
    """What the kernel states of a process."""

    index: int
    service_id: int
    kind: int = 0
    publisher: int = 0


@dataclass(frozen=True)
class Question:
    """What the service asks a server; `caller` is on whose behalf, None for itself."""

    op: int
    payload: bytes
    caller: Caller | None


# The answer, or bytes that are sent as they are; a server that is not there raises Error.
Server = Callable[[Question], Answer | bytes]


class Kernel:
    """An instance stands in for the module."""

    Error = Error

    def __init__(self, servers: Mapping[int, Server], kept: bytearray) -> None:
        self.buffer = memoryview(bytearray(512))
        self.servers, self.memory = servers, kept
        self.received: tuple[int, ...] = ()  # capabilities of an answer: none here
        self.lines: list[str] = []
        self.now = 1000
        self.caller, self.facet, self.reply_handle = Caller(0, 0), 0, 0
        self.request: bytes | None = None
        self.answers: list[bytes] = []
        self.go, self.idle = threading.Semaphore(0), threading.Semaphore(0)

    # messages

    def recv(self, _endpoint: int, _deadline: int = 0, _accept: int = 0) -> int:
        self.idle.release()
        self.go.acquire()
        if self.request is None:
            raise Halt
        self.buffer[: len(self.request)] = self.request
        return len(self.request)

    def reply_recv(self, reply: int, length: int, endpoint: int, *_rest: int) -> int:
        assert reply == self.reply_handle
        self.answers.append(bytes(self.buffer[:length]))
        return self.recv(endpoint)

    def call(self, handle: int, length: int, deadline: int, behalf: int = 0, _sent: int = 0, _accept: int = 0) -> int:
        assert deadline > self.now
        version, op, bytes_, nonce = struct.unpack_from("<BBHI", self.buffer)
        assert (version, bytes_) == (1, length - 8)
        assert behalf in (0, self.reply_handle)
        question = Question(op, bytes(self.buffer[8:length]), self.caller if behalf else None)
        self.buffer[:] = bytes([DIRT]) * len(self.buffer)
        answer = self.servers[handle](question)
        if isinstance(answer, Answer):
            answer = struct.pack("<BBBBI", 1, op | 0x80, answer.status, 0, nonce) + answer.payload
        self.buffer[: len(answer)] = answer
        return len(answer)

    def handle(self) -> int:
        return self.reply_handle

    def badge(self) -> int:
        return self.facet << 32 | self.caller.index

    def sender(self) -> int:
        return self.caller.index

    def kind(self) -> int:
        return self.caller.kind

    def sender_id(self) -> int:
        return self.caller.service_id

    def sender_publisher(self) -> int:
        return self.caller.publisher

    def subject(self) -> int:
        return -1

    # itself

    def time(self) -> int:
        self.now += 1
        return self.now

    def console(self, text: str) -> bool:
        self.lines.append(text)
        return True

    def kept(self, size: int, typecode: str) -> memoryview:
        assert typecode == "B"
        return memoryview(self.memory)[:size]


class Alone:
    """The service, running; `kept` is its memory that outlives it, `kernel` one that can more than the one above."""

    def __init__(
        self,
        contract: SimpleNamespace,
        folders: Sequence[Path],
        caps: SimpleNamespace,
        servers: Mapping[int, Server],
        kept: bytearray | None = None,
        kernel: Kernel | None = None,
    ) -> None:
        self.kernel = kernel or Kernel(servers, bytearray() if kept is None else kept)
        given = {"contract": contract, "micropython": micropython, "kernel": self.kernel, "caps": caps}
        given["crypto"] = Crypto(bytearray(), contract)
        given["frame"] = Frame(self.kernel, contract)  # type: ignore[arg-type]
        self.loader = Loader(folders, given, {})
        self.over = False
        self.nonces = count(1)
        self.thread = threading.Thread(target=self._main, daemon=True)
        self.thread.start()
        self._wait()

    def send(self, caller: Caller, message: bytes, facet: int = 0) -> bytes:
        """Any bytes; the answer's bytes."""
        kernel = self.kernel
        kernel.caller, kernel.facet, kernel.request = caller, facet, message
        kernel.reply_handle += 1
        kernel.go.release()
        self._wait()
        return kernel.answers.pop()

    def ask(self, caller: Caller, op: int, payload: bytes = b"", facet: int = 0) -> Answer:
        nonce = next(self.nonces)
        answer = self.send(caller, frame(op, payload, nonce), facet)
        version, reply_op, status, zero, echoed = struct.unpack_from("<BBBBI", answer)
        assert (version, reply_op, zero, echoed) == (1, op | 0x80, 0, nonce)
        return Answer(status, answer[8:])

    def module(self, name: str) -> Any:
        """One of its modules, as it runs."""
        return self.loader.loaded[name]

    def close(self) -> None:
        """End it, as a crash would: nothing of it is left but the kept memory."""
        self.kernel.request = None
        self.kernel.go.release()
        self.thread.join()

    def _main(self) -> None:
        """What the service dies of is told by the thread itself."""
        try:
            self.loader.load("main")
        except Halt:
            return
        finally:
            self.over = True
            self.kernel.idle.release()

    def _wait(self) -> None:
        self.kernel.idle.acquire()
        assert not self.over, "the service has ended"
