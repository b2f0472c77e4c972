"""The state that KERNEL.md promises of the processor and of all mappings, read from outside: control registers and PMP through
gdbstub, page tables and the kernel's text from RAM. Called by the host's looks (machine/looks.py); changes nothing.
"""

from __future__ import annotations

from nexus.layout import RAM_BASE
from nexus.machine import registry
from nexus.machine.gdbstub import Gdbstub
from nexus.machine.kernelview import PTE_R, PTE_U, PTE_W, PTE_X, KernelView
from nexus.machine.session import Session

VIRTIO_START, VIRTIO_END = 0x1000_1000, 0x1000_9000
PAGE = 4096

MSTATUS_FORBIDDEN = {"FS": 3 << 13, "VS": 3 << 9, "XS": 3 << 15, "MPRV": 1 << 17, "SUM": 1 << 18, "MXR": 1 << 19}
ZERO_REGISTERS = ("medeleg", "mideleg", "mcounteren", "scounteren")
# QEMU's rv64 has the hypervisor extension, which wires the delegation of its own interrupts to 1 (privileged spec 8.4.2).
WIRED = {"mideleg": 0x1444}
PMP_LOCK, PMP_X, PMP_W, PMP_R, PMP_TOR, PMP_NAPOT = 128, 4, 2, 1, 8, 24


class MachineState:
    """Each method gives back what is wrong, in a few words, or nothing."""

    def __init__(self, session: Session, view: KernelView) -> None:
        self.session, self.view = session, view
        self._gdb_path = registry.socket_path(session.run, "gdb")

    def problem(self) -> str:
        return self._registers() or self._mappings() or self._text()

    def problem_at_end(self) -> str:
        for number in self._indices("endpoint"):
            if self.view.number("endpoint", self.view.element("endpoints", "endpoint", number), "head"):
                return f"somebody still waits at endpoint {number}"
        return self.problem()

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
            VIRTIO_START >> 2,
            VIRTIO_END >> 2,
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
        ram = self.session.read_phys(RAM_BASE, self.session.launch.ram_bytes)
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
                device = VIRTIO_START <= pa < VIRTIO_END and not entry & (PTE_W | PTE_X)
                if not (low <= pa < high or device):
                    return f"{where}: leads to {pa:#x}"
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
