"""What the simulated kernel keeps: capabilities, deliveries, processes. Plain data of machine.py and messages.py; holds no rule."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from nexus.recipe.model import Process as Row


class Halt(BaseException):
    """Unwinds the thread of a process that was stopped."""


class MemoryFault(BaseException):
    """A process has touched what it does not have; args[0] is the address."""


def turn() -> threading.Lock:
    """A lock that one thread waits for and another one opens; a semaphore costs five times as much."""
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass
class Cap:
    type: int
    rights: int
    object: int
    badge: int = 0
    seen: int = 1
    caller: Process | None = None  # of a reply; None once it has gone


@dataclass(frozen=True)
class Stated:
    """What the kernel says of a process: who it is, and what an app's manifest asks for."""

    index: int
    kind: int
    service_id: int
    mask: int
    publisher: int


@dataclass(frozen=True)
class Grant:
    """An object that a reply is to give its caller."""

    handle: int
    rights: int
    badge: int


@dataclass(frozen=True)
class Delivery:
    """What recv gives: a message, or notification bits when reply is 0."""

    length: int = 0
    reply: int = 0
    badge: int = 0
    sender: Stated | None = None
    subject: Stated | None = None  # on whose behalf it asks
    bits: int = 0


@dataclass(frozen=True)
class Answer:
    """What a call gives."""

    length: int = 0
    caps: tuple[int, ...] = ()  # handles received


@dataclass(frozen=True)
class Call:
    """A call that no server has received yet."""

    cap: Cap
    length: int
    behalf: Cap | None  # the reply or the child on whose behalf it is made


@dataclass
class Process:
    row: Row
    state: int = 0
    incarnation: int = 0
    fault: int = 0
    value: int = 0
    buffer: bytearray = field(default_factory=lambda: bytearray(512))
    caps: dict[int, Cap] = field(default_factory=dict)
    grants: dict[int, Grant] = field(default_factory=dict)  # prepared for the next reply
    kept: bytearray = field(default_factory=bytearray)  # outlives every restart
    kind: int = 0
    mask: int = 0  # of an app
    publisher: int = 0
    bits: int = 0
    deadline: int = 0
    status: int = 0  # what the blocking operation ends with
    answer: Any = None
    calling: Call | None = None
    accept: int = 0  # capabilities that the answer may bring
    server: Process | None = None  # who is to answer the call
    serving: Process | None = None
    thread: threading.Thread | None = None
    go: threading.Lock = field(default_factory=turn)
    next_handle: int = 0
    trace: str = ""
    region: int | None = None  # that an app was made from
    entry: bytes = b""  # what its IPC page says of the module that an app begins with
    orphan: bool = False  # an app whose spawner has died
    pc: int = 0  # where it stopped; a test's word, as are its ticks of CPU
    cpu_ticks: int = 0
    messages: int = 0  # calls delivered to it, over all its lives

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def stated(self) -> Stated:
        return Stated(self.row.index, self.kind, self.row.service_id, self.mask, self.publisher)

    def put(self, cap: Cap) -> int:
        """The handle of a capability that is new to it."""
        self.next_handle += 1
        self.caps[self.next_handle] = cap
        return self.next_handle
