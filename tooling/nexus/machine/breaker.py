"""Makes a chosen process of a live machine fault at a chosen moment, as if a bug in it had: nothing of the guest is told.

Called by tests of what a fault costs, through Machine.held(). The whole run is under a debugger, so a moment is the same in every
run: a line that somebody is about to print, or how often the kernel has gone back into a process since. Changes a program counter
and, of a process that sleeps, its time to wake; everything after that is the kernel's and init's own doing.
"""

from __future__ import annotations

from collections.abc import Callable

from nexus.contract.load import Contract
from nexus.layout import RAM_BASE
from nexus.machine.debugger import Debugger
from nexus.machine.kernelview import KernelView

PRINTS, RETURNS, CANCELS, FINISHES = "console_write", "trap_return", "ipc_cancel", "finish_now"
ASKS, CALLS = "system_control", "ipc_call"
OP_AT = 1  # in a frame
ASLEEP = ("state.receiving", "state.calling", "state.waiting")
ENDED = ("state.stopped", "state.suspended", "state.loading", "state.empty")
LABEL_BYTES = 64
A1 = 11  # its place among the saved registers


class Breaker:
    """The machine stands between two instructions, at first before its very first."""

    def __init__(self, debugger: Debugger, view: KernelView, contract: Contract, reset: Callable[[], None]) -> None:
        self.debugger, self.view, self.contract, self._reset = debugger, view, contract, reset
        self._labels: dict[int, str] = {}
        self._begun = 0  # index of the phase that is open in this boot
        self._over = False  # the kernel is about to end the machine

    def again(self) -> None:
        """Before the first instruction of another boot."""
        self._reset()
        self._begun, self._over = 0, False

    # ---- moments -----------------------------------------------------------------------------------------------------

    def until_line(self, opening: str) -> str | None:
        """Until a process is about to print a line that begins so ("init: phase mmio"): that line. None: the run ended before."""
        while self._run_to(PRINTS, FINISHES) == PRINTS:
            line = self._line()
            if line.startswith(opening):
                return line
        return None

    def until_phase(self, phase: str) -> bool:
        """Until that phase has begun: init has told the end of the one before and asks the kernel whether it was the last. Far fewer
        stops than lines. False: the run ended before, or that phase did.
        """
        wanted = self.contract.phases.index(phase)
        while self._begun < wanted:
            if self._run_to(ASKS, FINISHES) == FINISHES:
                return False
            self._begun += self._closes()
        return self._begun == wanted

    def until_kernel(self, function: str, label: str) -> bool:
        """Until that process has come into this function of the kernel, which is given who asks. False: the run ended before."""
        place = self._process(label)
        while self._run_to(function, FINISHES) == function:
            if self.debugger.register("a0") == place:
                return True
        return False

    def until_request(self, label: str, op: int) -> bool:
        """Until that process, which runs by now, calls somebody with this operation. False: the run ended before."""
        page = self.view.translate(self.view.index_of(label), self.contract.number("va.ipc"))
        assert page is not None
        while self.until_kernel(CALLS, label):
            if self.debugger.read(page, OP_AT + 1)[OP_AT] == op:
                return True
        return False

    def into(self, label: str, times: int = 1) -> bool:
        """Until that process, asleep now, has been woken and the kernel has gone back into it for so many times: the first time it
        stands behind what it slept in. False: the phase or the run ended before.
        """
        place = self._process(label)
        behind = self._member(place, "frame", 8)
        end, closing, back = (self.view.symbol(name) for name in (FINISHES, ASKS, RETURNS))
        satp, woken, left = self._member(place, "satp"), False, times
        while left and not self._over:
            at = self.debugger.run_to(back if woken else behind, closing, end)
            self._over = at == end
            if at == closing and self._closes():
                self._begun += 1
                return False
            if at == behind:
                woken = self.debugger.register("satp") == satp
                left -= woken
            elif at == back:
                left -= self.debugger.register("a0") == place
        return not self._over

    def _closes(self) -> bool:
        """Whether init asks what the last phase is."""
        asked = self.debugger.register("a0") + self.view.member("process", "frame")[0] + 8 * A1
        return self._number(asked, 8) == self.contract.number("system.phase")

    def until_end(self) -> int:
        """Until the kernel is about to end the machine: with which code. Memory can still be read."""
        self._run_to(FINISHES)
        return self.debugger.register("a0")

    def calls_of(self, label: str) -> int:
        """How many calls that process has been given, over all its lives."""
        return self._member(self._process(label), "messages")

    # ---- harm --------------------------------------------------------------------------------------------------------

    def break_process(self, label: str) -> bool:
        """It goes on at address 0, at once if it was asleep. False if it does not live, so that nothing was done."""
        place = self._process(label)
        if self._runs(place):
            self.debugger.put("pc", 0)
            return True
        if self._at() != RETURNS:
            self._run_to(RETURNS)
        state = self._member(place, "state")
        if state in [self.contract.number(name) for name in ENDED]:
            return False
        self.debugger.write(place + self.view.member("process", "frame")[0], bytes(8))
        if state in [self.contract.number(name) for name in ASLEEP]:
            self._wake(place)
        return True

    def _runs(self, place: int) -> bool:
        """Whether the machine stands in that very process."""
        in_user_mode = self.debugger.register("pc") < RAM_BASE
        return in_user_mode and self.debugger.register("satp") == self._member(place, "satp")

    def _wake(self, place: int) -> None:
        """As the kernel's timer would: its deadline has passed."""
        held = self.debugger.register("a0")
        back = self.view.symbol(RETURNS)
        values = {"a0": place, "a1": self.contract.number("e.deadline"), "ra": back, "pc": self.view.symbol(CANCELS)}
        for name, value in values.items():
            self.debugger.put(name, value)
        self.debugger.run_to(back)
        self.debugger.put("a0", held)

    # ---- reading -----------------------------------------------------------------------------------------------------

    def _run_to(self, *names: str) -> str:
        if self._over:
            return FINISHES
        places = {self.view.symbol(name): name for name in names}
        at = places[self.debugger.run_to(*places)]
        self._over = at == FINISHES
        return at

    def _at(self) -> str:
        counter = self.debugger.register("pc")
        return next((name for name in (RETURNS, PRINTS) if self.view.symbol(name) == counter), "")

    def _line(self) -> str:
        """What is printed where the machine stands: console_write(process, text, bytes)."""
        place, text, size = (self.debugger.register(name) for name in ("a0", "a1", "a2"))
        index = self._member(place, "index")
        if index not in self._labels:
            row = self._member(place, "row")
            name = self._number(row + self.view.member("image_process", "label")[0], 8)
            self._labels[index] = self.debugger.read(name, LABEL_BYTES).partition(b"\0")[0].decode("ascii")
        return f"{self._labels[index]}: {self.debugger.read(text, size & 0xFFFFFFFF).decode('latin1')}"

    def _process(self, label: str) -> int:
        return self.view.process(self.view.index_of(label))

    def _member(self, place: int, name: str, size: int = 0) -> int:
        """Of a process; `size`: only its first bytes."""
        offset, whole = self.view.member("process", name)
        return self._number(place + offset, size or whole)

    def _number(self, address: int, size: int) -> int:
        return int.from_bytes(self.debugger.read(address, size), "little")
