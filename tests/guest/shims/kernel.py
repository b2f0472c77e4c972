"""Module `kernel` as one simulated process sees it: the same functions with the same arguments as firmware/runtime's.

Made by machine.py for each incarnation. Holds what the last delivery said; every decision is the machine's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from shims.objects import Grant, MemoryFault

if TYPE_CHECKING:
    from shims.device import Device
    from shims.machine import Machine
    from shims.objects import Delivery, Process, Stated


class Error(Exception):
    """A refusal of the kernel; args[0] is its status."""


Item = Literal["B", "H", "I", "Q"]
ITEM_BYTES: dict[str, int] = {"B": 1, "H": 2, "I": 4, "Q": 8}


def _view(memory: memoryview, size: int, typecode: Item, start: int, end: int) -> memoryview:
    """Items of the first bytes of an area that may lie there. The real view faults when it is read, this one at once."""
    limit = end - start
    if not 0 <= size <= limit or typecode not in ITEM_BYTES or size % ITEM_BYTES[typecode]:
        raise ValueError("out of range")
    if size > len(memory):
        raise MemoryFault(start + len(memory))
    return memory[:size].cast(typecode)


class Kernel:
    """An instance stands in for the module."""

    Error = Error

    def __init__(self, machine: Machine, process: Process) -> None:
        self._machine = machine
        self._process = process
        self._last: Delivery | None = None
        self._bits = 0
        self.received: tuple[int, ...] = ()  # capabilities that the last answer brought
        self._to_move: dict[int, int] = {}
        self.buffer = memoryview(process.buffer)

    # messages

    def call(self, handle: int, length: int, deadline: int, behalf: int = 0, sent: int = 0, accept: int = 0) -> int:
        assert sent == 0, "capabilities in requests are not simulated"
        status, answer = self._machine.call(self._process, handle, length, deadline, behalf, accept)
        self._check(status)
        self.received = answer.caps
        return answer.length

    def recv(self, endpoint: int, deadline: int = 0, accept: int = 0) -> int:
        return self._delivered(*self._machine.recv(self._process, endpoint, deadline))

    def reply(
        self, reply: int, length: int, sent: int = 0, grants: int = 0, dma: int = 0, offset: int = 0, count: int = 0
    ) -> None:
        moved = tuple(self._to_move.get(index, 0) for index in range(sent))
        self._check(self._machine.reply(self._process, reply, length, grants, dma, offset, count, moved))

    def reply_recv(
        self,
        reply: int,
        length: int,
        endpoint: int,
        deadline: int = 0,
        accept: int = 0,
        sent: int = 0,
        grants: int = 0,
        dma: int = 0,
        offset: int = 0,
        count: int = 0,
    ) -> int:
        self.reply(reply, length, sent, grants, dma, offset, count)
        return self.recv(endpoint, deadline, accept)

    def handle(self) -> int:
        return self._stated.reply

    def badge(self) -> int:
        return self._stated.badge

    def sender(self) -> int:
        return self._sender.index

    def kind(self) -> int:
        return self._sender.kind

    def sender_id(self) -> int:
        return self._sender.service_id

    def sender_mask(self) -> int:
        return self._sender.mask

    def sender_publisher(self) -> int:
        return self._sender.publisher

    def bits(self) -> int:
        return self._bits

    def subject(self) -> int:
        return -1 if self._stated.subject is None else self._stated.subject.index

    def subject_kind(self) -> int:
        return -1 if self._stated.subject is None else self._stated.subject.kind

    def subject_id(self) -> int:
        return 0 if self._stated.subject is None else self._stated.subject.service_id

    def subject_mask(self) -> int:
        return 0 if self._stated.subject is None else self._stated.subject.mask

    def subject_publisher(self) -> int:
        return 0 if self._stated.subject is None else self._stated.subject.publisher

    def caps(self, index: int) -> int:
        return self.received[index]

    def grant(self, index: int, handle: int, rights: int, badge: int) -> None:
        if index >= self._machine.contract.IPC_MAX_CAPS:
            raise ValueError("out of range")
        self._process.grants[index] = Grant(handle, rights, badge)

    def send_cap(self, index: int, handle: int) -> None:
        if index >= self._machine.contract.IPC_MAX_CAPS:
            raise ValueError("out of range")
        self._to_move[index] = handle

    def notify(self, handle: int) -> None:
        self._check(self._machine.notify(self._process, handle))

    def wait(self, handle: int, deadline: int = 0) -> int:
        status, bits = self._machine.wait(self._process, handle, deadline)
        self._check(status)
        return bits

    # itself

    def time(self) -> int:
        return self._machine.tick()

    def console(self, text: str | bytes) -> bool:
        return self._machine.write_console(self._process, text if isinstance(text, str) else text.decode("latin-1"))

    def exit(self, status: int) -> None:
        self._machine.leave(self._process, status)

    def incarnation(self) -> int:
        return self._process.incarnation

    def bring_up(self) -> bool:
        return self._machine.bring_up_open

    def kept(self, size: int, typecode: Item) -> memoryview:
        contract = self._machine.contract
        return _view(memoryview(self._process.kept), size, typecode, contract.VA_KEPT, contract.VA_POLICY)

    def policy(self, size: int, typecode: Item) -> memoryview:
        contract = self._machine.contract
        return _view(
            memoryview(self._machine.policy_in(self._process)), size, typecode, contract.VA_POLICY, contract.VA_REGION
        )

    def dma(self, size: int, typecode: Item) -> memoryview:
        contract = self._machine.contract
        memory = memoryview(self._machine.device_of(self._process).memory)
        return _view(memory, size, typecode, contract.VA_DMA, contract.VA_DEVICE)

    # capabilities, devices

    def mint(self, endpoint: int, badge: int, rights: int) -> int:
        status, made = self._machine.derive(self._process, Grant(endpoint, rights, badge))
        self._check(status)
        assert made is not None
        return self._process.put(made)

    def revoke(self, endpoint: int, badge: int) -> int:
        status, count = self._machine.revoke(self._process, endpoint, badge)
        self._check(status)
        return count

    def drop(self, handle: int) -> None:
        status, _ = self._machine.find(self._process, handle)
        self._check(status)
        del self._process.caps[handle]

    def info(self, handle: int) -> tuple[int, int, int]:
        status, cap = self._machine.find(self._process, handle)
        self._check(status)
        assert cap is not None
        return cap.type, cap.rights, cap.badge

    def device_read(self, register: int) -> int:
        return self._machine.device_of(self._process).read(register)

    def device_write(self, handle: int, register: int, value: int) -> None:
        self._check(self._on_device(handle, "device", lambda device: (device.write(register, value), 0))[0])

    def queue_setup(self, handle: int) -> int:
        return self._value(self._on_device(handle, "queue", lambda device: device.setup()))

    def segment(self, offset: int, length: int, write: bool) -> int:
        return offset | length << 32 | int(write) << 63

    def queue_post(self, handle: int, *segments: int) -> int:
        return self._value(self._on_device(handle, "queue", lambda device: device.post(segments)))

    def queue_take(self, handle: int) -> tuple[int, int] | None:
        status, done = self._on_device(handle, "queue", lambda device: device.take())
        if status == self._machine.contract.E_AGAIN:
            return None
        self._check(status)
        pair: tuple[int, int] = done
        return pair

    def irq_ack(self, handle: int) -> None:
        self._check(self._on_device(handle, "irq", lambda device: (device.unmask(), 0))[0])

    def region_map(self, handle: int, write: bool) -> memoryview:
        status, view = self._machine.region_map(self._process, handle, bool(write))
        self._check(status)
        assert view is not None
        return view

    def region_unmap(self, handle: int) -> None:
        self._check(self._machine.region_unmap(self._process, handle))

    def region_seal(self, handle: int) -> None:
        self._check(self._machine.region_seal(self._process, handle))

    def region_free(self, handle: int) -> None:
        self._check(self._machine.region_free(self._process, handle))

    # other processes

    def supervise(self, handle: int, operation: int) -> tuple[int, ...] | None:
        status, answer = self._machine.supervise(self._process, handle, operation)
        self._check(status)
        return answer

    def spawn(self, spawn: int, region: int, stack_pages: int, share: int, endpoint: int) -> int:
        return self._value(self._machine.spawn(self._process, spawn, region, stack_pages, share, endpoint))

    def system(self, handle: int, operation: int, a: int = 0, b: int = 0) -> int:
        status, answer = self._machine.system(self._process, handle, operation, a)
        self._check(status)
        return answer

    def process(self, handle: int, index: int) -> tuple[int, ...]:
        status, answer = self._machine.process_status(self._process, handle, index)
        self._check(status)
        assert answer is not None
        return answer

    def capability(self, handle: int, index: int, slot: int) -> tuple[int, int, int, int]:
        if not 0 <= index <= 0xFF or not 0 <= slot <= 0xFFFFFFFF:
            raise ValueError("out of range")
        status, answer = self._machine.capability(self._process, handle, index, slot)
        self._check(status)
        return answer

    # inner

    @property
    def _stated(self) -> Delivery:
        assert self._last is not None, "nothing was received yet"
        return self._last

    @property
    def _sender(self) -> Stated:
        assert self._stated.sender is not None
        return self._stated.sender

    def _delivered(self, status: int, delivery: Delivery | None) -> int:
        self._check(status)
        assert delivery is not None
        self._bits = delivery.bits
        if delivery.reply == 0:
            return -1
        self._last = delivery
        return delivery.length

    def _on_device(self, handle: int, kind: str, operate: Any) -> tuple[int, Any]:
        status, cap = self._machine.find(self._process, handle, kind)
        if cap is None:
            return status, None
        device = self._machine.device_of(self._process)
        result: tuple[int, Any] = operate(self._queue(device, cap.object) if kind == "queue" else device)
        return result

    def _queue(self, device: Device, number: int) -> Any:
        """The device's own, of a queue that the system counts."""
        rows = self._machine.system_row.devices
        return device.at(number - next(row.first_queue for row in rows if row.owner == self._process.row.index))

    def _value(self, answer: tuple[int, Any]) -> int:
        self._check(answer[0])
        value: int = answer[1]
        return value

    def _check(self, status: int) -> None:
        self._machine.tick()
        self._process.cpu_ticks += 1
        if status != self._machine.contract.E_OK:
            raise Error(status)
