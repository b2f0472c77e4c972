"""What the simulated kernel keeps: capabilities, deliveries, processes. Plain data of machine.py and messages.py; holds no rule."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from nexus.recipe.model import Process as Row


class Halt(BaseException):
    """Unwinds the thread of a process that was stopped."""


@dataclass
class Cap:
    type: int
    rights: int
    object: int
    badge: int = 0
    seen: int = 1
    caller: Process | None = None  # of a reply; None once it has gone


@dataclass(frozen=True)
class Delivery:
    """What recv gives: a message, or notification bits when reply is 0."""

    length: int = 0
    reply: int = 0
    badge: int = 0
    sender: int = 0
    sender_id: int = 0
    bits: int = 0


@dataclass
class Process:
    row: Row
    state: int = 0
    incarnation: int = 0
    fault: int = 0
    value: int = 0
    buffer: bytearray = field(default_factory=lambda: bytearray(512))
    caps: dict[int, Cap] = field(default_factory=dict)
    bits: int = 0
    deadline: int = 0
    status: int = 0  # what the blocking operation ends with
    answer: Any = None
    calling: tuple[Cap, int] | None = None  # capability and length of a call not yet delivered
    server: Process | None = None  # who is to answer the call
    serving: Process | None = None
    thread: threading.Thread | None = None
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    next_handle: int = 0
    trace: str = ""

    @property
    def name(self) -> str:
        return self.row.name
