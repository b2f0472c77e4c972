"""A virtio disk behind the kernel's fence, with every fault that a hostile host can show. Attached to a Machine as its device `drop`.

A Reply says what the device does with one request; a `nature` gives one for each. What the host does meanwhile is a method.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

from shims.device import MILLISECOND, Device

SECTOR = 512
WINDOW = 16 * 4096
READ, OK, IO_ERROR = 0, 0, 1
HEADER = struct.Struct("<IIQ")


@dataclass(frozen=True)
class Request:
    """What the driver has posted: sectors from here on, and the pieces of the window that are for the device."""

    kind: int
    sector: int
    count: int
    data_at: int
    status_at: int


@dataclass(frozen=True)
class Reply:
    """What comes back. None: the data or the status is not written. `used` is what the device says it wrote."""

    data: bytes | None
    status: int | None
    used: int
    after: int = MILLISECOND // 10
    interrupts: bool = True


Nature = Callable[
    [Request, Reply], Reply | None
]  # the request, what an honest disk says -> what this one does; None: silence


def honest(_request: Request, reply: Reply) -> Reply | None:
    return reply


def silent(_request: Request, _reply: Reply) -> Reply | None:
    return None


def failing(_request: Request, reply: Reply) -> Reply | None:
    return replace(reply, data=None, status=IO_ERROR)


def from_request(first: int, nature: Nature) -> Nature:
    """Honest until that request, counted from 0."""
    seen = [-1]

    def changed(request: Request, reply: Reply) -> Reply | None:
        seen[0] += 1
        return nature(request, reply) if seen[0] >= first else reply

    return changed


class Disk(Device):
    """`data` is what lies on it."""

    def __init__(
        self, data: bytes = b"", nature: Nature = honest, version: int = 2, kind: int = 2, present: bool = True
    ) -> None:
        super().__init__(lambda _asked: None, version, kind, WINDOW, present)
        self.data, self.answers = data, nature
        self.generation = 0
        self.claimed: int | None = None  # sectors that it says it has, whatever it has
        self.requests: list[Request] = []
        self.resets = 0  # by the driver
        self.pending: list[tuple[int, int, Request, Reply]] = []  # time, id
        self.on_config: Callable[[], None] | None = None  # after each half of the size that is read

    # what the host does

    def change(self, data: bytes, interrupts: bool = True) -> None:
        """Another disk, from one moment to the next."""
        self.data = data
        self.generation += 1
        if interrupts:
            self.spurious_interrupt()

    def count_late(self) -> None:
        """Tell once more of the last change, with another count, as QEMU does when the guest has seen the size before that."""
        self.generation += 1
        self.spurious_interrupt()

    def reset_by_host(self) -> None:
        super().reset_by_host()
        self.pending.clear()

    @property
    def sectors(self) -> int:
        return len(self.data) // SECTOR if self.claimed is None else self.claimed

    # the window

    def read(self, register: int) -> int:
        config = self.contract.VIRTIO_REG_CONFIG
        if register == self.contract.VIRTIO_REG_CONFIG_GENERATION:
            return self.generation
        if register not in (config, config + 4):
            return super().read(register)
        half = self.sectors >> (32 if register > config else 0) & 0xFFFFFFFF
        if self.on_config is not None:
            self.on_config()
        return half

    def _write_status(self, value: int) -> None:
        super()._write_status(value)
        if value == 0:
            self.resets += 1
            self.pending.clear()
            self.done.clear()  # the kernel begins with empty rings

    # the fence

    def post(self, segments: tuple[int, ...]) -> tuple[int, int]:
        if self.broken:
            return self.contract.E_BROKEN, 0
        pieces = [(one & 0xFFFFFFFF, one >> 32 & 0x7FFFFFFF, bool(one >> 63)) for one in segments]
        inside = all(size and at + size <= len(self.memory) for at, size, _ in pieces)
        if not self.ready or not inside or len(pieces) > self.contract.LIMIT_QUEUE_SEGMENTS:
            return self.contract.E_BAD_ARGUMENT, 0
        self.next_id += 1
        if self.status & self.contract.VIRTIO_STATUS_DRIVER_OK:
            self._begin(*pieces)
        return self.contract.E_OK, self.next_id

    def _begin(self, header: tuple[int, int, bool], data: tuple[int, int, bool], status: tuple[int, int, bool]) -> None:
        assert (header[1:], data[2], status[1:]) == ((HEADER.size, False), True, (1, True)), (
            "no request of virtio 1.2, 5.2.6"
        )
        kind, _, sector = HEADER.unpack_from(self.memory, header[0])
        request = Request(kind, sector, data[1] // SECTOR, data[0], status[0])
        assert kind == READ, "a request that is no read"
        self.requests.append(request)
        reply = self.answers(request, self._honest(request))
        if reply is not None:
            self.pending.append((self.now() + reply.after, self.next_id, request, reply))

    def _honest(self, request: Request) -> Reply:
        first, size = request.sector * SECTOR, request.count * SECTOR
        found = self.data[first : first + size]
        whole = len(found) == size
        return Reply(found if whole else None, OK if whole else IO_ERROR, size + 1)

    # time

    def next_event(self) -> int:
        return min((due[0] for due in self.pending), default=0)

    def fire(self) -> None:
        """Complete what is due by now."""
        for entry in [due for due in self.pending if due[0] <= self.now()]:
            self.pending.remove(entry)
            _, number, request, reply = entry
            if not 0 <= reply.used <= request.count * SECTOR + 1:
                self.broken, self.status = True, 0
            if reply.data is not None:
                self.memory[request.data_at : request.data_at + len(reply.data)] = reply.data
            if reply.status is not None:
                self.memory[request.status_at] = reply.status
            self.done.append((number, reply.used))
            if reply.interrupts:
                self.spurious_interrupt()
