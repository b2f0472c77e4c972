"""A live machine as a test sees it: expect, send, terminal, qmp, read_phys, log. Made by the `boot` fixture; the session does the work.

Text that a test sends is never in what it expects from the UART, which has no echo of nexus; the shell on the terminal echoes what is typed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexus.contract.load import Contract
from nexus.errors import DeadlineError, UsageError
from nexus.machine.drop import put
from nexus.machine.judge import delivered, judge
from nexus.machine.policypages import look_of
from nexus.machine.script import EXPECT_SECONDS, Script
from nexus.machine.session import Session
from nexus.machine.target import Target, plan_of
from nexus.verdict.grammar import escape
from nexus.verdict.ladder import Exit, Ladder, Verdict
from nexus.verdict.report import tail

if TYPE_CHECKING:
    from nexus.audit.trail import Trail
    from nexus.machine.breaker import Breaker


class Machine:
    """Handed out while its session is open."""

    def __init__(self, session: Session, target: Target, contract: Contract) -> None:
        self.session = session
        self.target = target
        self.contract = contract
        self._first = 0
        self._script: Script | None = None
        self._typist: Script | None = None

    @property
    def log(self) -> str:
        """The console so far, one escaped line per line."""
        return "\n".join(escape(seen.data) for seen in self.session.console.lines())

    @property
    def log_path(self) -> Path:
        return self.session.run.console

    @property
    def nonce(self) -> str:
        return self.session.nonce

    def expect(self, pattern: str, timeout: float = EXPECT_SECONDS) -> re.Match[bytes]:
        """Wait for a regular expression, searched from where the last one ended."""
        if self._script is None:
            self._script = Script(self.session.console.view(), lambda: self.session.wait(1.0), self._evidence)
        return self._script.expect(pattern, timeout)

    def send(self, text: str | bytes) -> None:
        """Type on the UART."""
        self.session.console.send(text.encode() if isinstance(text, str) else text)

    @property
    def terminal(self) -> Script:
        """The shell's terminal from the first byte on: expect and send. While it is not read, the shell that prints has to wait."""
        if self._typist is None:
            wire = self.session.terminal
            if wire is None:
                raise UsageError(f"system {self.target.system} has no terminal", "the default system has one")
            self._typist = Script(wire.client(history=True), lambda: self.session.wait(1.0), self._evidence)
        return self._typist

    def qmp(self, command: str, **arguments: object) -> Any:
        """One QMP command; an underscore in an argument's name stands for QMP's dash."""
        words = {name.replace("_", "-"): value for name, value in arguments.items()}
        return self.session.qmp.execute(command, words or None)

    def read_phys(self, address: int, size: int) -> bytes:
        return self.session.read_phys(address, size)

    def drop(self, disk: bytes) -> None:
        """Have this lie on its drop disk from now on."""
        put(self.session.qmp, self.session.run.disk, disk)

    def policy_problem(self) -> str:
        """What is wrong with the policy as it is mapped now; nothing if nothing is, or if the system has none."""
        look = look_of(self.session, self.target, self.contract)
        if look is None:
            return ""
        look.take()
        return look.problem()

    def trail(self) -> Trail:
        """The audit trail as it is now, between two operations of logd."""
        from nexus.audit.source import from_machine
        from nexus.machine.registry import live_machines

        root = self.session.root
        record = next(one for one in live_machines(root) if one.id == self.session.run.id)
        return from_machine(root, record, self.contract).trail

    def reset(self) -> None:
        """system_reset; what is judged afterwards is the new boot alone."""
        self._first = self.session.reset()

    @contextmanager
    def held(self) -> Iterator[Breaker]:
        """A new boot that stands before its first instruction, to be led from moment to moment; it runs on after the block."""
        from nexus.machine.breaker import Breaker
        from nexus.machine.debugger import attached
        from nexus.machine.kernelview import KernelView

        with attached(self.session) as debugger:
            breaker = Breaker(debugger, KernelView(self.target.elf, debugger.read), self.contract, self._reset_held)
            breaker.again()
            yield breaker

    def _reset_held(self) -> None:
        self.qmp("system_reset")
        self._first = self.session.console.cut()

    def last_boot(self, until: str, seconds: float = EXPECT_SECONDS) -> list[str]:
        """The lines of the newest boot, once one has come that starts so."""
        lines: list[str] = []
        while not (lines and lines[-1].startswith(until)):
            seen = self.session.console.line(self._first + len(lines), seconds)
            if seen is None:
                raise DeadlineError(f"no line `{until}` in this boot", self._evidence())
            lines.append(escape(seen.data))
        return lines

    def wait(self, timeout: float = EXPECT_SECONDS) -> Exit | None:
        """How the machine ended, with all its lines in the log; None when it still runs after that time."""
        exit = self.session.wait(timeout)
        if exit is not None:
            self.session.console.wait_closed(timeout)
        return exit

    def judge(self, seconds: float = EXPECT_SECONDS, phase: str | None = None, *, entropy: bool = False) -> Verdict:
        """The verdict over the newest boot; with entropy=True QEMU's own count of delivered bytes is held against it."""
        ladder = Ladder(plan_of(self.target, self.contract, self.session, phase=phase))
        judge(self.session, ladder, seconds, self._first)
        exit = self.session.wait(0.5)
        ladder.signed()
        if entropy:
            ladder.delivered(delivered(self.session.run.rng_trace))
        return ladder.verdict(exit.code if exit else None)

    def evidence(self) -> list[str]:
        return [*tail(self.session.console.lines()), *(f"  logs      {path}" for path in self.session.run.logs)]

    def close(self) -> None:
        for script in (self._script, self._typist):
            if script is not None:
                script.close()
        self.session.close()

    def _evidence(self) -> str:
        return "\n".join(["the console:", *self.evidence()])
