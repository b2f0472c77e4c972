"""A virtio console device with control queues behind the kernel's fence, as QEMU's, and every lie that one can tell. Attached to a Machine
as its device `terminal`.

A Nature says what the device answers to one control message; the bytes of an open port are the runtime's and not looked at here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from shims.device import MILLISECOND, Device

MESSAGE = struct.Struct("<IHH")
WINDOW = 16 * 4096
MULTIPORT = 1 << 1
ALL_PORTS = 0xFFFFFFFF


@dataclass(frozen=True)
class Told:
    """A control message of the device; `used` is how long it says it is, if that is not how long it is."""

    port: int
    event: int
    value: int = 1
    rest: bytes = b""
    used: int | None = None

    @property
    def data(self) -> bytes:
        return MESSAGE.pack(self.port, self.event, self.value) + self.rest


Nature = Callable[
    [Told, list[Told]], list[Told]
]  # the driver's message, what an honest device says -> what this one says


def honest(_message: Told, answers: list[Told]) -> list[Told]:
    return answers


@dataclass
class Queue:
    """One virtqueue; ids are given as the kernel does, the lowest that is free."""

    device: Console
    ready: bool = False
    posted: dict[int, tuple[int, int]] = field(default_factory=dict)  # by id: offset, bytes; oldest first
    done: list[tuple[int, int]] = field(default_factory=list)

    def setup(self) -> tuple[int, int]:
        status, size = self.device.setup()
        self.ready = status == self.device.contract.E_OK
        return status, size

    def post(self, segments: tuple[int, ...]) -> tuple[int, int]:
        contract = self.device.contract
        if self.device.broken:
            return contract.E_BROKEN, 0
        (segment,) = segments
        offset, size = segment & 0xFFFFFFFF, segment >> 32 & 0x7FFFFFFF
        if not self.ready or size == 0 or offset + size > len(self.device.memory):
            return contract.E_BAD_ARGUMENT, 0
        taken = set(self.posted) | {number for number, _ in self.done}
        number = next((one for one in range(4) if one not in taken), None)
        if number is None:
            return contract.E_FULL, 0
        self.posted[number] = offset, size
        self.device.notified(self)
        return contract.E_OK, number

    def take(self) -> tuple[int, tuple[int, int] | None]:
        self.device.fire()
        if self.device.broken:
            return self.device.contract.E_BROKEN, None
        return (self.device.contract.E_OK, self.done.pop(0)) if self.done else (self.device.contract.E_AGAIN, None)

    def unmask(self) -> int:
        return self.device.unmask()


class Console(Device):
    """`ports` is max_nr_ports; `offered` the features of the low word."""

    def __init__(
        self,
        nature: Nature = honest,
        version: int = 2,
        kind: int = 3,
        present: bool = True,
        ports: int = 2,
        offered: int = MULTIPORT,
        name: bytes = b"nexus.terminal",
    ) -> None:
        super().__init__(lambda _asked: None, version, kind, WINDOW, present)
        self.answers, self.ports, self.offered, self.name = nature, ports, offered, name
        self.queues = [Queue(self) for _ in range(6)]
        self.features = 0  # that the driver has accepted
        self.heard: list[Told] = []  # from the driver
        self.owed: list[tuple[int, Told]] = []  # to it, and when
        self.unmasked = 0

    def at(self, number: int) -> Queue:
        return self.queues[number]

    # the window

    def read(self, register: int) -> int:
        if register == self.contract.VIRTIO_REG_CONFIG + 4:
            return self.ports
        if register == self.contract.VIRTIO_REG_DEVICE_FEATURES:
            return self.offered
        return super().read(register)

    def write(self, register: int, value: int) -> int:
        if register == self.contract.VIRTIO_REG_DRIVER_FEATURES:
            self.features |= value
        if register == self.contract.VIRTIO_REG_DEVICE_FEATURES_SEL:
            return int(self.contract.E_OK)
        return super().write(register, value)

    # control messages

    def notified(self, queue: Queue) -> None:
        if queue is self.queues[self.contract.TERMINAL_QUEUE_CONTROL_SEND]:
            number, (offset, size) = next(iter(queue.posted.items()))
            del queue.posted[number]
            port, event, value = MESSAGE.unpack_from(self.memory, offset)
            message = Told(port, event, value, bytes(self.memory[offset + MESSAGE.size : offset + size]))
            self.heard.append(message)
            queue.done.append((number, 0))
            self.spurious_interrupt()
            for answer in self.answers(message, self._honest(message)):
                self.say(answer)

    def say(self, message: Told) -> None:
        """At some time, if the driver has a buffer for it then."""
        self.owed.append((self.now() + MILLISECOND // 10, message))

    def _honest(self, message: Told) -> list[Told]:
        contract = self.contract
        if message.event == contract.TERMINAL_EVENT_DEVICE_READY:
            return [Told(contract.TERMINAL_PORT, contract.TERMINAL_EVENT_PORT_ADD)]
        if message.event == contract.TERMINAL_EVENT_PORT_READY:
            named = Told(contract.TERMINAL_PORT, contract.TERMINAL_EVENT_PORT_NAME, rest=self.name + b"\0")
            return [named, Told(contract.TERMINAL_PORT, contract.TERMINAL_EVENT_PORT_OPEN)]
        return []

    # time

    def next_event(self) -> int:
        return min((when for when, _ in self.owed), default=0)

    def fire(self) -> None:
        """Say what is due by now; without a buffer it is lost, as in QEMU."""
        queue = self.queues[self.contract.TERMINAL_QUEUE_CONTROL_RECEIVE]
        for entry in [owed for owed in self.owed if owed[0] <= self.now()]:
            self.owed.remove(entry)
            if not queue.posted:
                continue
            number, (offset, size) = next(iter(queue.posted.items()))
            del queue.posted[number]
            data = entry[1].data[:size]
            self.memory[offset : offset + len(data)] = data
            queue.done.append((number, len(data) if entry[1].used is None else entry[1].used))
            self.spurious_interrupt()
