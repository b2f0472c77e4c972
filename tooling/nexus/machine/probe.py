"""The host's hand on a process of system test-attack (firmware/test/probe): writes into its memory what it is to send, reads there what
came back. Called by tests; the rest of the machine is as it ships.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

from nexus.machine.debugger import attached
from nexus.machine.kernelview import PAGE, KernelView, symbols_of
from nexus.machine.live import Machine

ORDER, ANSWER = "<IIQ7I512s", "<QIIQ512s"  # struct host_order, struct host_answer
SEND, SWEEP, CUT = range(3)
NO_DAMAGE = 0xFF
OPERATIONS, STATUSES = 256, 16
BROKEN = STATUSES - 1  # no answer, or none to that request
HEAD = 8
SWEEP_SECONDS = 120.0
_nonces = count(0x5000)


@dataclass(frozen=True)
class Answer:
    """`kernel` is a status of the kernel; where it is not 0 there was no answer."""

    kernel: int
    message: bytes
    received: int = 0  # the capability that came with it

    @property
    def status(self) -> int:
        return self.message[2]

    @property
    def payload(self) -> bytes:
        return self.message[HEAD:]


class Probe:
    """One of them, by its label."""

    def __init__(self, machine: Machine, label: str) -> None:
        self.machine, self.label = machine, label
        self.view = KernelView(machine.target.elf, machine.read_phys)
        self.index = self.view.index_of(label)
        self.symbols = symbols_of(machine.target.programs[label])
        self._turn = 0

    def send(self, server: int, message: bytes, accept: int = 0) -> Answer:
        """Any bytes, by that handle."""
        self._order(SEND, server, (len(message), accept, 0, 0, 0, 0, 0), message)
        status, size, caps, received, data = struct.unpack(ANSWER, self._read("host_answer", struct.calcsize(ANSWER)))
        return Answer(status, data[:size], received if caps else 0)

    def ask(self, server: int, op: int, payload: bytes = b"", accept: int = 0) -> Answer:
        """A whole frame; the answer has to be one to this request."""
        nonce = next(_nonces)
        answer = self.send(server, struct.pack("<BBHI", 1, op, len(payload), nonce) + payload, accept)
        assert answer.kernel == 0, f"no answer: kernel status {answer.kernel}"
        version, reply, _, zero, echoed = struct.unpack_from("<BBBBI", answer.message)
        assert (version, reply, zero, echoed) == (1, op | 0x80, 0, nonce), answer.message.hex()
        return answer

    def sweep(
        self,
        server: int,
        ops: range,
        lengths: range,
        opening: bytes = b"\0\0",
        damage: int = NO_DAMAGE,
        what: int = SWEEP,
    ) -> Mapping[int, Counter[int]]:
        """Each of these operations with each length of payload: how often it was answered with which status, by operation."""
        numbers = (0, 0, ops.start, ops.stop - 1, lengths.start, lengths.stop - 1, damage)
        self._order(what, server, numbers, opening)
        words = struct.unpack(f"<{OPERATIONS * STATUSES}I", self._read("host_seen", 4 * OPERATIONS * STATUSES))
        rows = (words[STATUSES * op : STATUSES * (op + 1)] for op in range(OPERATIONS))
        counted = {
            op: Counter({status: times for status, times in enumerate(row) if times}) for op, row in enumerate(rows)
        }
        return {op: row for op, row in counted.items() if row}

    def cut(self, server: int, ops: range) -> Mapping[int, Counter[int]]:
        """The first bytes of each frame, as many as make no head."""
        return self.sweep(server, ops, range(HEAD), what=CUT)

    def _order(self, what: int, server: int, numbers: tuple[int, ...], message: bytes) -> None:
        self._turn += 1
        order = struct.pack(ORDER, self._turn, what, server, *numbers, message)
        with attached(self.machine.session) as debugger:
            at = self._place("host_order")
            debugger.write(at + 4, order[4:])
            debugger.write(at, order[:4])
        self.machine.expect(rf"(?:^|\n){self.label}: done\r?\n", SWEEP_SECONDS)

    def _read(self, symbol: str, size: int) -> bytes:
        start = self.symbols[symbol]
        ends = [*range((start // PAGE + 1) * PAGE, start + size, PAGE), start + size]
        pieces, at = [], start
        for end in ends:
            pieces.append(self.machine.read_phys(self._translate(at), end - at))
            at = end
        return b"".join(pieces)

    def _place(self, symbol: str) -> int:
        return self._translate(self.symbols[symbol])

    def _translate(self, va: int) -> int:
        place = self.view.translate(self.index, va)
        assert place is not None, f"{self.label} has nothing at {va:#x}"
        return place
