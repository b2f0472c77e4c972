"""The shell on the simulated machine: its modules as they ship, a terminal that the test types on, and the real services around it.

Used by host tests and the fuzzing of the shell. All that is typed is given at once; when nothing is left to read, the run is over.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from shims import image, micropython
from shims.frame import Frame
from shims.kernel import Kernel
from shims.loader import GC, Loader
from shims.machine import Machine

SHELL = "shell"
IDLE = "import kernel, caps\nkernel.wait(caps.NOTIFICATION, 0)\n"  # what it does until the test takes its place
MODES = {"PROMPT": 0, "FRIENDLY": 1, "RAW": 2}
MILLISECOND = 10_000  # ticks
NO_KEY, CTRL_C = -1, 3


class NothingTyped(BaseException):
    """The shell waits for a key that nobody presses."""


class Entered(BaseException):
    """The shell has left for another mode; args[0] is which."""


class Terminal:
    """Module `terminal`. Its kept memory outlives the prompt."""

    def __init__(self, kept_bytes: int) -> None:
        self.typed = bytearray()
        self.shown = bytearray()
        self.kept = memoryview(bytearray(kept_bytes))
        self.interrupt_keys = [NO_KEY]  # one after the other

    def read(self) -> int:
        if not self.typed:
            raise NothingTyped
        return self.typed.pop(0)

    def ready(self) -> bool:
        return bool(self.typed)

    def write(self, data: bytes) -> None:
        self.shown += data

    def interrupt(self, character: int) -> int:
        before = self.interrupt_keys[-1]
        self.interrupt_keys.append(character)
        if character != NO_KEY and character in self.typed:
            self.typed = self.typed.replace(bytes([character]), b"")
            raise KeyboardInterrupt
        return before

    def press(self, key: int) -> None:
        """While the shell does something else than read."""
        if key == self.interrupt_keys[-1]:
            raise KeyboardInterrupt
        self.typed.append(key)


class Shell:
    """One process `shell` of a machine that has been brought up, in the test's hand."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.contract = machine.contract
        self.kernel: Kernel = machine.actor(SHELL)
        row, contract = machine.process(SHELL).row, machine.loaded_contract
        self.generated = image.generated(machine.system_row, row, contract, machine.policy, machine.root)
        self.terminal = Terminal(self.contract.TERMINAL_KEPT_BYTES)
        self.slept = 0
        self.presses: list[bytes] = []  # typed one after the other, each when somebody sleeps

    def type(self, data: bytes) -> str:
        """What the terminal shows of a fresh prompt that is typed this, until it wants more."""
        self.terminal.typed += data
        with suppress(NothingTyped, Entered):
            self.loader().load("main")
        shown, self.terminal.shown = self.terminal.shown.decode(), bytearray()
        return shown

    def mode(self, data: bytes) -> int | None:
        """Which mode these bytes lead to."""
        self.terminal.typed += data
        try:
            self.loader().load("main")
        except Entered as entered:
            return int(entered.args[0])
        except NothingTyped:
            return None
        raise AssertionError("the prompt is over")

    def said(self, command: str) -> list[str]:
        """The lines that a command prints, without colours."""
        shown = self.type(command.encode() + b"\r")
        lines = plain(shown).split("\r\n")
        first = next(number for number, line in enumerate(lines) if line.endswith(f"> {command}"))
        return [line.rstrip() for line in lines[first + 1 : -1]]

    def during(self, server: str, op: int, act: Callable[[], None]) -> None:
        """Do that whenever the shell has asked this of that service, before it goes on."""
        kernel: Any = self.kernel
        call, process = kernel.call, self.machine.process(SHELL)

        def called(handle: int, *rest: int) -> int:
            asked = self.machine.system_row.processes[process.caps[handle].object].name, kernel.buffer[1]
            answer = int(call(handle, *rest))
            if asked == (server, op):
                act()
            return answer

        kernel.call = called

    def module(self, name: str = "nexus") -> Any:
        """As imported in a fresh interpreter, as a program at the prompt has it."""
        return self.loader().load(name)

    def loader(self) -> Loader:
        given: dict[str, Any] = {"kernel": self.kernel, "contract": self.contract, "terminal": self.terminal}
        given["frame"] = Frame(self.kernel, self.contract)
        given["micropython"] = SimpleNamespace(const=micropython.const, kbd_intr=self.terminal.interrupt)
        given["repl"] = SimpleNamespace(**MODES, enter=self._enter)
        given["time"] = SimpleNamespace(sleep_ms=self._sleep)
        given["gc"] = SimpleNamespace(**vars(GC), mem_alloc=lambda: 50_000, mem_free=lambda: 150_000)
        guest = self.machine.root / "guest"
        loader = Loader([guest / SHELL, guest / "lib"], given, self.generated)
        loader.builtins["print"] = self._print
        return loader

    def _print(self, *words: object) -> None:
        text = " ".join(map(str, words)) + "\n"
        self.terminal.write(text.replace("\n", "\r\n").encode())

    def _sleep(self, milliseconds: int) -> None:
        self.slept += milliseconds
        self.machine.now += milliseconds * MILLISECOND
        if self.presses and self.slept >= 1000:
            self.terminal.typed += self.presses.pop(0)

    def _enter(self, mode: int) -> None:
        raise Entered(mode)


def plain(text: str) -> str:
    """Without the sequences that colour."""
    for sequence in ("\x1b[0m", "\x1b[1m", "\x1b[1;32m", "\x1b[31m", "\x1b[32m"):
        text = text.replace(sequence, "")
    return text
