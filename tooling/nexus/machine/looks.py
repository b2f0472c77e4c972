"""The host's part in the kernel proof: what it looks at, or does to the machine, whenever the judge stops for it. Each look gives
back what is wrong, or nothing. Called by machine/proof.py with the guest standing still in a wait.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import termios
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from nexus.contract.load import Contract
from nexus.errors import MachineError, NexusError
from nexus.layout import RAM_BASE
from nexus.machine.kernelview import KernelView
from nexus.machine.machinestate import MachineState
from nexus.machine.qtest import Qtest
from nexus.machine.session import Session

PAGE = 4096
BLOCK = 8
STREAM_BYTES = 32 << 10
HOLD_SECONDS = 5.0
STILL_SECONDS = 0.25
FEED_SECONDS = 3.0  # at most, until QEMU has taken what it was fed
SETTLE_SECONDS = 0.03  # and has done with it what it does
REPEATS = 8
USED_OFFSET = 2048  # in the kernel's ring frame (firmware/kernel/queue.c)
FORGED_BYTES = 5


class Looks:
    """Keeps what the host knows between looks: the entropy it fed, what it is to find again."""

    def __init__(self, session: Session, qtest: Qtest, view: KernelView, contract: Contract, fifo: Path) -> None:
        self.session, self.qtest, self.view, self.contract = session, qtest, view, contract
        self.fed: Counter[int] = Counter()
        self._fifo = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        self._blocks = 0
        self.state = MachineState(session, view)
        self.refill()

    def close(self) -> None:
        os.close(self._fifo)

    def look(self, what: str, right: bool, token: int) -> str:
        """What is wrong, in a few words; nothing if nothing is."""
        if what.startswith("forge-"):
            return self._forge(what.removeprefix("forge-"))
        known: dict[str, Callable[[], str]] = {
            "start": self.state.problem,
            "end": self.state.problem_at_end,
            "hold": self._hold,
            "starve": self._starve,
            "fence": self._fence,
            "forged": lambda: self._forged(right),
            "feed": lambda: self._feed(right, token),
            "token": lambda: self._token(right, token),
        }
        if what not in known:
            return f"the host knows no look `{what}`"
        return known[what]()

    def answer(self, index: int, va: int, number: int) -> None:
        """Write the number of a finished look where process `index` waits for it."""
        place = self.view.translate(index, va)
        if place is None:
            raise MachineError(f"process {index} has nothing at {va:#x}")
        self.qtest.write32(place, number)

    # --- entropy: a stream whose every block of eight bytes the host knows ---

    def refill(self) -> None:
        """The device's source holds known bytes only, and enough of them."""
        self._drain()
        data = bytearray()
        while len(data) < STREAM_BYTES:
            block = hashlib.sha256(f"{self.session.nonce} {self._blocks}".encode()).digest()[:BLOCK]
            self._blocks += 1
            self.fed[int.from_bytes(block, "little")] += 1
            data += block
        os.write(self._fifo, data)

    def _drain(self) -> None:
        while True:
            try:
                os.read(self._fifo, 65536)
            except BlockingIOError:
                return

    def _wait_until_taken(self) -> None:
        end = time.monotonic() + FEED_SECONDS
        while fcntl.ioctl(self._fifo, termios.FIONREAD, bytes(4)) != bytes(4) and time.monotonic() < end:
            time.sleep(SETTLE_SECONDS)
        time.sleep(SETTLE_SECONDS)

    def _starve(self) -> str:
        self._drain()
        return ""

    # --- the console ---

    def _hold(self) -> str:
        """Stop reading; the guest must not wait for that to end."""
        self.session.console.hold(True)
        threading.Thread(target=self._release, name="nexus-release", daemon=True).start()
        return ""

    def _release(self) -> None:
        """Go on once nothing more comes: then QEMU's end of the socket is full, and the guest's device with it."""
        console, end = self.session.console, time.monotonic() + HOLD_SECONDS
        before = -1
        while time.monotonic() < end and (now := console.unread()) != before:
            before = now
            time.sleep(STILL_SECONDS)
        with contextlib.suppress(NexusError):  # the machine may have ended meanwhile
            console.hold(False)

    # --- the device ---

    def _fence(self) -> str:
        """The queue is the kernel's, nothing but VERSION_1 was negotiated, and the device has seen what the kernel posted."""
        status = self._query("x-query-virtio-status")
        allowed = {"VIRTIO_F_VERSION_1", "VIRTIO_RING_F_ANY_LAYOUT"}
        features = str(status["guest-features"])
        negotiated = {name.rstrip(":") for name in re.findall(r"VIRTIO_[A-Z0-9_]+", features)}
        if negotiated - allowed:
            return f"negotiated: {', '.join(sorted(negotiated - allowed))}"
        queue = self._query("x-query-virtio-queue-status", queue=0)
        rings = self._queue_number("rings")
        posted = self._queue_number("avail_index")
        if queue["vring-desc"] not in (0, rings):
            return f"descriptors at {queue['vring-desc']:#x}, the kernel's are at {rings:#x}"
        if queue["vring-desc"] and (
            queue["vring-used"] != rings + USED_OFFSET or queue["vring-num"] != self.contract.number("limit.queue_size")
        ):
            return f"rings not as the kernel set them: {queue}"
        if queue["vring-desc"] and self.qtest.read(rings + 1024 + 2, 2) != posted.to_bytes(2, "little"):
            return "the available ring is not as the kernel left it"
        return ""

    def _query(self, command: str, **arguments: object) -> dict[str, int]:
        devices = self.session.qmp.execute("x-query-virtio")
        if not isinstance(devices, list) or len(devices) != 1:
            raise MachineError(f"QMP x-query-virtio: {devices}")
        answer = self.session.qmp.execute(command, {"path": devices[0]["path"], **arguments})
        if not isinstance(answer, dict):
            raise MachineError(f"QMP {command}: {answer}")
        return answer

    def _queue_number(self, member: str) -> int:
        return self.view.number("queue", self.view.element("queues", "queue", 0), member)

    def _forge(self, how: str) -> str:
        """Write the used ring as the device would: a lie, or (honest) what it might well say."""
        used = self._queue_number("rings") + USED_OFFSET
        index = self._queue_number("used_index")
        first, length, ahead = 0, FORGED_BYTES, 1
        if how == "index":
            ahead = 2
        elif how == "backwards":
            ahead = 0xFFFF
        elif how == "id":
            first = 0x1234
        elif how == "idle":
            first = self.contract.number("limit.queue_segments")
        elif how == "inside":
            first = 1
        elif how == "length":
            length = 9
        slot = used + 4 + 8 * (index % self.contract.number("limit.queue_size"))
        self.qtest.write(slot, first.to_bytes(4, "little") + length.to_bytes(4, "little"))
        self.qtest.write(used + 2, ((index + ahead) & 0xFFFF).to_bytes(2, "little"))
        return ""

    def _forged(self, right: bool) -> str:
        """A device that lied has been reset."""
        status = self.qtest.read32(self._device_number("base") + self.contract.number("virtio.reg_status"))
        self.refill()
        return "" if right or status == 0 else f"the device's status is {status:#x}, it was not reset"

    def _device_number(self, member: str) -> int:
        return self.view.number("device", self.view.element("devices", "device", 0), member)

    def _feed(self, right: bool, token: int) -> str:
        """Bytes for the buffer that was posted; they may arrive in the window of a live driver and nowhere else."""
        pattern = token.to_bytes(BLOCK, "little") * REPEATS
        self._drain()
        os.write(self._fifo, pattern * (PAGE // len(pattern)))
        self._wait_until_taken()
        found = self._find(pattern)
        self.refill()
        start, size = self._device_number("dma"), self._device_number("dma_bytes")
        outside = [place for place in found if not start <= place < start + size]
        if outside:
            return f"the device wrote at {outside[0]:#x}, outside the DMA window"
        if bool(found) != right:
            return "the device wrote into memory of a dead driver" if found else "the device wrote nothing"
        return ""

    # --- memory ---

    def _ram(self) -> bytes:
        return self.session.read_phys(RAM_BASE, self.session.launch.ram_bytes)

    def _find(self, pattern: bytes) -> list[int]:
        ram = self._ram()
        return [RAM_BASE + match.start() for match in re.finditer(re.escape(pattern), ram)]

    def _token(self, right: bool, token: int) -> str:
        """What an app filled its memory with: there while it lives, nowhere once it is given back."""
        found = self._find(token.to_bytes(BLOCK, "little") * REPEATS)
        if bool(found) == right:
            return ""
        return f"still in memory at {found[0]:#x}" if found else "not in memory"
