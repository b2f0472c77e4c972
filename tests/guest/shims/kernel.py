"""Module `kernel` as one simulated process sees it: the same functions with the same arguments as firmware/runtime's.

Made by machine.py for each incarnation. Holds what the last delivery said; every decision is the machine's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shims.machine import Machine
    from shims.objects import Delivery, Process


class Error(Exception):
    """A refusal of the kernel; args[0] is its status."""


class Kernel:
    """An instance stands in for the module."""

    Error = Error

    def __init__(self, machine: Machine, process: Process) -> None:
        self._machine = machine
        self._process = process
        self._last: Delivery | None = None
        self._bits = 0
        self.buffer = memoryview(process.buffer)

    # messages

    def call(self, handle: int, length: int, deadline: int, behalf: int = 0, sent: int = 0, accept: int = 0) -> int:
        status, answer = self._machine.call(self._process, handle, length, deadline)
        self._check(status)
        return answer

    def recv(self, endpoint: int, deadline: int = 0, accept: int = 0) -> int:
        return self._delivered(*self._machine.recv(self._process, endpoint, deadline))

    def reply(
        self, reply: int, length: int, sent: int = 0, grants: int = 0, dma: int = 0, offset: int = 0, count: int = 0
    ) -> None:
        self._check(self._machine.reply(self._process, reply, length, dma, offset, count))

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
        return self._stated.sender

    def kind(self) -> int:
        return 0

    def sender_id(self) -> int:
        return self._stated.sender_id

    def bits(self) -> int:
        return self._bits

    def subject(self) -> int:
        return -1

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

    # capabilities, devices

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

    # other processes

    def supervise(self, handle: int, operation: int) -> tuple[int, ...] | None:
        status, answer = self._machine.supervise(self._process, handle, operation)
        self._check(status)
        return answer

    def system(self, handle: int, operation: int, a: int = 0, b: int = 0) -> int:
        status, answer = self._machine.system(self._process, handle, operation, a)
        self._check(status)
        return answer

    def process(self, handle: int, index: int) -> tuple[int, ...]:
        status, answer = self._machine.process_status(self._process, handle, index)
        self._check(status)
        assert answer is not None
        return answer

    # inner

    @property
    def _stated(self) -> Delivery:
        assert self._last is not None, "nothing was received yet"
        return self._last

    def _delivered(self, status: int, delivery: Delivery | None) -> int:
        self._check(status)
        assert delivery is not None
        self._bits = delivery.bits
        if delivery.reply == 0:
            return -1
        self._last = delivery
        return delivery.length

    def _on_device(self, handle: int, kind: str, operate: Any) -> tuple[int, Any]:
        status, _ = self._machine.find(self._process, handle, kind)
        if status != self._machine.contract.E_OK:
            return status, None
        result: tuple[int, Any] = operate(self._machine.device_of(self._process))
        return result

    def _value(self, answer: tuple[int, Any]) -> int:
        self._check(answer[0])
        value: int = answer[1]
        return value

    def _check(self, status: int) -> None:
        self._machine.tick()
        if status != self._machine.contract.E_OK:
            raise Error(status)
