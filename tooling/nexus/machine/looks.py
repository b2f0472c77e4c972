"""The host's part in the kernel proof: what it looks at, or does to the machine, whenever the judge stops for it. Each look gives
back what is wrong, or nothing. Called by machine/proof.py with the guest standing still in a wait.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from nexus.contract.load import Contract
from nexus.errors import MachineError
from nexus.machine import registry
from nexus.machine.gdbstub import Gdbstub
from nexus.machine.kernelview import PTE_R, PTE_U, PTE_V, PTE_W, PTE_X, KernelView
from nexus.machine.qtest import Qtest
from nexus.machine.session import Session

RAM_BASE = 0x8000_0000
PAGE = 4096
BLOCK = 8
STREAM_BYTES = 32 << 10
HOLD_SECONDS = 0.3
FEED_SECONDS = 0.05
REPEATS = 8
USED_OFFSET = 2048  # in the kernel's ring frame (firmware/kernel/queue.c)
FORGED_BYTES = 5

MSTATUS_FORBIDDEN = {"FS": 3 << 13, "VS": 3 << 9, "XS": 3 << 15, "MPRV": 1 << 17, "SUM": 1 << 18, "MXR": 1 << 19}
ZERO_REGISTERS = ("medeleg", "mideleg", "mcounteren", "scounteren")
# QEMU's rv64 has the hypervisor extension, which wires the delegation of its own interrupts to 1 (privileged spec 8.4.2).
WIRED = {"mideleg": 0x1444}
PMP_LOCK, PMP_X, PMP_W, PMP_R, PMP_TOR, PMP_NAPOT = 128, 4, 2, 1, 8, 24


class Looks:
    """Keeps what the host knows between looks: the entropy it fed, what it is to find again."""

    def __init__(self, session: Session, qtest: Qtest, view: KernelView, contract: Contract, fifo: Path) -> None:
        self.session, self.qtest, self.view, self.contract = session, qtest, view, contract
        self.fed: Counter[int] = Counter()
        self._fifo = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        self._blocks = 0
        self._gdb_path = registry.socket_path(session.run, "gdb")
        self.refill()

    def close(self) -> None:
        os.close(self._fifo)

    def look(self, what: str, right: bool, token: int) -> str:
        """What is wrong, in a few words; nothing if nothing is."""
        if what.startswith("forge-"):
            return self._forge(what.removeprefix("forge-"))
        known: dict[str, Callable[[], str]] = {
            "start": self._state,
            "end": self._end,
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

    def _starve(self) -> str:
        self._drain()
        return ""

    # --- the console ---

    def _hold(self) -> str:
        """Stop reading; the guest must not wait for that to end."""
        self.session.console.hold(True)
        threading.Timer(HOLD_SECONDS, self.session.console.hold, (False,)).start()
        return ""

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
        time.sleep(FEED_SECONDS)
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

    # --- the state of the processor and of all mappings ---

    def _state(self) -> str:
        return self._registers() or self._mappings() or self._text()

    def _end(self) -> str:
        for number in self._indices("endpoint"):
            if self.view.number("endpoint", self.view.element("endpoints", "endpoint", number), "head"):
                return f"somebody still waits at endpoint {number}"
        return self._state()

    def _registers(self) -> str:
        """What PMP, mstatus and the delegation registers hold, through gdbstub: user mode and the kernel run with the same."""
        self.session.qmp.execute(
            "human-monitor-command", {"command-line": f"gdbserver unix:{self._gdb_path},server=on,wait=off"}
        )
        gdb = Gdbstub(self._gdb_path)
        try:
            return self._wrong_register(gdb)
        finally:
            gdb.close()
            self.session.qmp.execute("human-monitor-command", {"command-line": "gdbserver none"})
            self.session.qmp.execute("cont")

    def _wrong_register(self, gdb: Gdbstub) -> str:
        mstatus = gdb.register("mstatus")
        for name, bits in MSTATUS_FORBIDDEN.items():
            if mstatus & bits:
                return f"mstatus.{name} is not 0: {mstatus:#x}"
        for name in ZERO_REGISTERS:
            value = gdb.register(name) & ~WIRED.get(name, 0)
            if value:
                return f"{name} is {value:#x}, not 0"
        return self._wrong_pmp(gdb)

    def _wrong_pmp(self, gdb: Gdbstub) -> str:
        """The eight entries of pmp.c, from the image's own edges; no other is on."""
        symbol = self.view.symbol
        rights = (
            0,
            PMP_LOCK | PMP_TOR | PMP_R | PMP_X,
            PMP_LOCK | PMP_NAPOT,
            0,
            PMP_TOR | PMP_R,
            PMP_TOR | PMP_R | PMP_W | PMP_X,
            0,
            PMP_TOR | PMP_R,
        )
        edges = (
            symbol("ld_text_start") >> 2,
            symbol("ld_text_end") >> 2,
            symbol("ld_guard") >> 2 | (PAGE >> 3) - 1,
            symbol("ld_pool_start") >> 2,
            symbol("ld_pool_end") >> 2,
            RAM_BASE + self.session.launch.ram_bytes >> 2,
            0x1000_1000 >> 2,
            0x1000_9000 >> 2,
        )
        configuration = gdb.register("pmpcfg0").to_bytes(8, "little") + gdb.register("pmpcfg2").to_bytes(8, "little")
        for entry, wanted in enumerate((*rights, *(0 for _ in rights))):
            if configuration[entry] != wanted:
                return f"pmp{entry}cfg is {configuration[entry]:#x}, not {wanted:#x}"
        for entry, edge in enumerate(edges):
            if gdb.register(f"pmpaddr{entry}") != edge:
                return f"pmpaddr{entry} is {gdb.register(f'pmpaddr{entry}'):#x}, not {edge:#x}"
        return ""

    def _indices(self, struct: str) -> range:
        """Places of a table in the kernel's data, by the image's row counts."""
        return range(self.view.number("image", self.view.symbol("image"), f"{struct}_count"))

    def _mappings(self) -> str:
        """Every page of every process: never writable and executable, always the user's, nothing of the kernel's."""
        ram = self._ram()
        view = KernelView(self.view.elf, lambda address, size: ram[address - RAM_BASE : address - RAM_BASE + size])
        low, high = self.view.symbol("ld_pool_end"), RAM_BASE + self.session.launch.ram_bytes
        for index in self._indices("process"):
            for va, entry in view.mappings(index):
                pa = entry >> 10 << 12
                where = f"process {index} at {va:#x}"
                if entry & PTE_W and entry & PTE_X:
                    return f"{where}: writable and executable"
                if not entry & PTE_U or not entry & PTE_R:
                    return f"{where}: not the user's"
                device = 0x1000_1000 <= pa < 0x1000_9000 and not entry & (PTE_W | PTE_X)
                if not (low <= pa < high or device):
                    return f"{where}: leads to {pa:#x}"
                assert entry & PTE_V
        return ""

    def _text(self) -> str:
        """The kernel's text and constants are what the image file has."""
        from elftools.elf.elffile import ELFFile

        with self.view.elf.open("rb") as stream:
            segment = next(iter(ELFFile(stream).iter_segments("PT_LOAD")))
            start, wanted = segment["p_paddr"], segment.data()
        found = self.session.read_phys(start, len(wanted))
        if found == wanted:
            return ""
        place = next(offset for offset, pair in enumerate(zip(found, wanted, strict=True)) if pair[0] != pair[1])
        return f"the kernel's text differs from the image at {start + place:#x}"
