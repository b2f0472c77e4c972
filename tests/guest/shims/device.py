"""A virtio entropy device behind the kernel's fence, with every fault that a hostile host can show.

Attached to a Machine. An Answer says what the device does with one posted buffer; a `nature` gives one for each. The fence
is here too: a completion that breaks a rule (used length above what was posted, unknown id) marks the device broken.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

MILLISECOND = 10_000


@dataclass(frozen=True)
class Answer:
    """What comes back for one buffer; None for `data` leaves the memory as it was."""

    data: bytes | None
    used: int
    after: int = MILLISECOND // 10
    interrupts: bool = True


Nature = Callable[[int], Answer | None]  # bytes asked for -> answer, or None for silence


def healthy(seed: int = 1, after: int = MILLISECOND // 10) -> Nature:
    source = random.Random(seed)
    return lambda asked: Answer(source.randbytes(asked), asked, after)


def short(most: int, after: int = MILLISECOND, seed: int = 2) -> Nature:
    """At most so many bytes an answer, as QEMU's max-bytes and period do."""
    source = random.Random(seed)
    return lambda asked: Answer(source.randbytes(min(asked, most)), min(asked, most), after)


def silent(_asked: int) -> Answer | None:
    return None


def stuck(byte: int) -> Nature:
    return lambda asked: Answer(bytes([byte]) * asked, asked)


def periodic(period: int) -> Nature:
    pattern = random.Random(3).randbytes(period)
    return lambda asked: Answer((pattern * (asked // period + 1))[:asked], asked)


def biased(_asked: int) -> Answer:
    """Three bytes in four are the same, never many in a row."""
    source = random.Random(4)
    return Answer(bytes(0x41 if i % 4 else source.randrange(256) for i in range(_asked)), _asked)


def replay(length_of_block: int = 256) -> Nature:
    """The same block again and again."""
    block = random.Random(5).randbytes(length_of_block)
    return lambda asked: Answer(block[:asked], asked)


def then(first: Nature, count: int, second: Nature) -> Nature:
    """One nature for so many answers, another ever after."""
    seen = [0]

    def nature(asked: int) -> Answer | None:
        seen[0] += 1
        return first(asked) if seen[0] <= count else second(asked)

    return nature


class Device:
    """Registers, one queue, DMA memory. `version` and `kind` are what the window reads."""

    def __init__(
        self, nature: Nature, version: int = 2, kind: int = 4, memory: int = 4096, present: bool = True
    ) -> None:
        self.nature, self.version, self.kind, self.present = nature, version, kind, present
        self.memory = bytearray(memory)
        self.status = 0
        self.written = 0
        self.refuses = 0  # status bits that do not stick
        self.cut_off = False  # the kernel has had enough of its interrupts
        self.broken = False
        self.ready = False
        self.delivered = 0  # bytes, as QEMU's own trace counts them
        self.next_id = 0
        self.due: list[tuple[int, int, int, int, Answer]] = []  # time, id, offset, asked, answer
        self.done: list[tuple[int, int]] = []
        self.masked = False

    def attach(self, contract: SimpleNamespace, now: Callable[[], int], interrupt: Callable[[], None]) -> None:
        self.contract, self.now, self.interrupt = contract, now, interrupt

    # what the host does behind the guest's back

    def reset_by_host(self) -> None:
        self.status = 0
        self.due.clear()

    def spurious_interrupt(self) -> None:
        self._raise()

    # the window

    def read(self, register: int) -> int:
        contract = self.contract
        values = {
            contract.VIRTIO_REG_MAGIC: contract.VIRTIO_MAGIC,
            contract.VIRTIO_REG_VERSION: self.version,
            contract.VIRTIO_REG_DEVICE_ID: self.kind,
            contract.VIRTIO_REG_STATUS: self.status,
        }
        value: int = values[register]
        return value

    def write(self, register: int, value: int) -> int:
        contract = self.contract
        if not self.present:
            return int(contract.E_STATE)
        if self.broken and (register, value) != (contract.VIRTIO_REG_STATUS, 0):
            return int(contract.E_BROKEN)
        if register == contract.VIRTIO_REG_STATUS:
            self._write_status(value)
        elif register not in (contract.VIRTIO_REG_DRIVER_FEATURES, contract.VIRTIO_REG_DRIVER_FEATURES_SEL):
            return int(contract.E_BAD_ARGUMENT)
        return int(contract.E_OK)

    def _write_status(self, value: int) -> None:
        self.written = value  # what the kernel knows; it does not read back for the driver
        self.status = value & ~self.refuses
        if value == 0:
            self.broken = self.ready = False
            self.due.clear()

    # the fence

    def at(self, _number: int) -> Any:
        """The queue of that number: here there is one."""
        return self

    def setup(self) -> tuple[int, int]:
        if self.broken or not self.written & self.contract.VIRTIO_STATUS_FEATURES_OK:
            return self.contract.E_STATE, 0
        self.ready = True
        return self.contract.E_OK, 16

    def post(self, segments: tuple[int, ...]) -> tuple[int, int]:
        if self.broken:
            return self.contract.E_BROKEN, 0
        (segment,) = segments
        offset, asked = segment & 0xFFFFFFFF, segment >> 32 & 0x7FFFFFFF
        if not self.ready or not segment >> 63 or asked == 0 or offset + asked > len(self.memory):
            return self.contract.E_BAD_ARGUMENT, 0
        self.next_id += 1
        answer = self.nature(asked) if self.status & self.contract.VIRTIO_STATUS_DRIVER_OK else None
        if answer is not None:
            self.due.append((self.now() + answer.after, self.next_id, offset, asked, answer))
        return self.contract.E_OK, self.next_id

    def take(self) -> tuple[int, tuple[int, int] | None]:
        self.fire()
        if self.broken:
            return self.contract.E_BROKEN, None
        if not self.done:
            return self.contract.E_AGAIN, None
        return self.contract.E_OK, self.done.pop(0)

    def unmask(self) -> int:
        """What irq_ack does: acknowledge at the device, let the next one through."""
        if not self.present or self.cut_off:
            return int(self.contract.E_BROKEN if self.present else self.contract.E_STATE)
        self.masked = False
        return int(self.contract.E_OK)

    # time

    def next_event(self) -> int:
        return min((due[0] for due in self.due), default=0)

    def fire(self) -> None:
        """Complete what is due by now."""
        for entry in [due for due in self.due if due[0] <= self.now()]:
            self.due.remove(entry)
            _, number, offset, asked, answer = entry
            if answer.used > asked or answer.used < 0:
                self.broken = True
                self.status = 0
            if answer.data is not None:
                self.memory[offset : offset + len(answer.data)] = answer.data[:asked]
                self.delivered += len(answer.data)
            self.done.append((number, answer.used))
            if answer.interrupts:
                self._raise()

    def _raise(self) -> None:
        if not self.masked:
            self.masked = True
            self.interrupt()
