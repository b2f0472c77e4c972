"""One machine from start to certain end: QEMU starts paused, nexus connects console, terminal and control, then lets it run.

Used as a context manager by the trial, `nexus run`, the keeper and the pytest fixture. Every wait has a deadline and
races the end of QEMU; whatever happens, the emulator is dead and its sockets are gone when the block is left.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import select
import shlex
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from nexus.errors import DeadlineError, MachineError, SetupError
from nexus.machine import registry
from nexus.machine.argv import QEMU, Channels, Launch, by_hand_argv, paused_argv
from nexus.machine.block import pack
from nexus.machine.console import Console
from nexus.machine.kernelview import KernelView
from nexus.machine.registry import RunDir
from nexus.machine.terminalwire import TerminalWire
from nexus.machine.uart import Uart
from nexus.verdict.ladder import Exit

if TYPE_CHECKING:
    from nexus.machine.qmp import Qmp

START_SECONDS = 30.0
KILL_SECONDS = 10.0
BY_NEXUS = "nexus"
QEMU_VARIABLE = "NEXUS_QEMU"
QEMU_HINT = "Debian 12: apt-get install qemu-system-misc; Debian 13: apt-get install qemu-system-riscv"


def find_qemu() -> str:
    """The emulator, or the command that installs it. $NEXUS_QEMU names another one."""
    wanted = os.environ.get(QEMU_VARIABLE) or QEMU
    found = shutil.which(wanted)
    if found is None:
        raise SetupError(f"{wanted} is not installed", QEMU_HINT)
    return found


class Session:
    """A live machine. `console`, `qmp` and `pid` are there once the block is entered."""

    console: Console
    qmp: Qmp

    def __init__(
        self, root: Path, system: str, launch: Launch, trace_rng: bool = False, keep_memory: bool = False
    ) -> None:
        self.root = root
        self.system = system
        self.nonce = secrets.token_hex(16)
        self._binary = find_qemu()
        self.run: RunDir = registry.create_run(root, system)
        self.launch = replace(
            launch,
            facts={"nonce": self.nonce, **launch.facts},
            block=self.run.block if launch.block_layout else None,
            disk_file=self.run.disk if launch.disk is not None else None,
            trace_rng=self.run.rng_trace if trace_rng else None,
            memory_file=self.run.memory if keep_memory else None,
        )
        self.on_paused: Callable[[], None] | None = None  # called before the first instruction
        self.exit: Exit | None = None
        self.last_memory: bytes | None = (
            None  # what it held at its end, once the session is closed, if that is to be kept
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self._fifo = -1
        self._zero = time.monotonic()
        self._shutdown_reason = ""
        self.terminal: TerminalWire | None = None  # in a system that has one, once the block is entered
        self._events = self.run.events.open("w", encoding="utf-8")
        self._events_lock = threading.Lock()
        self._cleanup = contextlib.ExitStack()
        self._cleanup.callback(self._events.close)

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def by_hand(self) -> str:
        return shlex.join(by_hand_argv(self._binary, self.launch))

    def __enter__(self) -> Session:
        with contextlib.ExitStack() as guard:
            guard.callback(self.close)
            self._start()
            guard.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill what still runs, take its last words, remove its sockets. Idempotent."""
        self.kill()
        self._cleanup.close()

    def wait(self, timeout: float | None) -> Exit | None:
        """How the machine ended, or None when it still runs after that time."""
        if self.exit is None and self._process is not None and self._ended(timeout):
            code = self._process.wait()
            killed = "killed by nexus" if self._shutdown_reason == BY_NEXUS else "killed"
            self.exit = Exit(code=code, why=self._shutdown_reason) if code >= 0 else Exit(signal=-code, why=killed)
            self.log_event("exit", code=self.exit.code, signal=self.exit.signal, why=self.exit.why)
        return self.exit

    def kill(self) -> None:
        """SIGKILL to the whole process group: a QEMU at the end of an entropy file ignores SIGTERM."""
        process = self._process
        if process is None or self.wait(0) is not None:
            return
        self._shutdown_reason = BY_NEXUS
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        if self.wait(KILL_SECONDS) is None:
            raise MachineError(f"QEMU {process.pid} survived SIGKILL for {KILL_SECONDS:g} s")

    def reset(self) -> int:
        """system_reset between two instructions; the index of the first console line of the new boot."""
        self.qmp.execute("stop")
        self.qmp.execute("system_reset")
        first = self.console.cut()
        self.qmp.execute("cont")
        self.log_event("reset", line=first)
        return first

    def read_phys(self, address: int, size: int) -> bytes:
        """Physical memory, as the emulator sees it."""
        dump = self.run.path / f"memory-{secrets.token_hex(4)}"
        try:
            self.qmp.execute("pmemsave", {"val": address, "size": size, "filename": str(dump)})
            return dump.read_bytes()
        finally:
            dump.unlink(missing_ok=True)

    def hart(self) -> tuple[int, str] | None:
        """Its program counter and the label of the process that runs ("" for none), if the machine can still say them."""
        try:
            text = str(self.qmp.execute("human-monitor-command", {"command-line": "info registers"}, timeout=2.0))
            label = KernelView(self.launch.image, self.read_phys).running()
        except (MachineError, DeadlineError):
            return None
        found = re.search(r"\bpc\s+([0-9a-f]+)", text)
        return (int(found[1], 16), label) if found else None

    def feed_rng(self, data: bytes) -> None:
        """Bytes for a `fifo=` entropy source."""
        if self._fifo < 0:
            raise MachineError("the entropy source of this machine is no fifo")
        os.write(self._fifo, data)

    def qemu_words(self) -> str:
        """What QEMU itself printed, in one line."""
        return self.run.qemu_words()

    def log_event(self, event: str, **facts: object) -> None:
        row: dict[str, Any] = {"t": round(time.monotonic() - self._zero, 6), "event": event, **facts}
        with self._events_lock:
            if not self._events.closed:
                self._events.write(json.dumps(row, default=str) + "\n")
                self._events.flush()

    def _start(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        registry.sweep_sockets()
        channels = Channels(
            *(registry.socket_path(self.run, name) for name in ("uart", "qmp", "monitor", "qemu-terminal"))
        )
        terminal_listener = self._listen(channels.terminal) if self.launch.terminal else None
        qmp_listener = self._listen(channels.qmp)
        uart = Uart(channels.uart)
        self._cleanup.callback(uart.forget)
        self._cleanup.callback(channels.monitor.unlink, missing_ok=True)
        self._open_fifo()
        self._open_memory()
        self._spawn(paused_argv(self._binary, self.launch, channels))
        from nexus.machine.qmp import Qmp  # loaded while QEMU starts: 50 ms off the way to the first line

        self.console = Console(uart, self.run.console)
        self._cleanup.callback(self.console.close)
        if terminal_listener is not None:
            self.terminal = TerminalWire(self._accept(terminal_listener, "its terminal", deadline), self.run.terminal)
            self._cleanup.callback(self.terminal.close)
        control = self._accept(qmp_listener, "its control channel", deadline)
        uart.connected()  # QEMU opens what it is told to in the order of its command line
        uart.forget()
        try:
            self.qmp = Qmp(control, self._on_event, max(0.1, deadline - time.monotonic()))
        except MachineError as error:
            raise self._no_start(str(error)) from error
        self._cleanup.callback(self.qmp.close)
        self._publish(channels.monitor)
        self.run.memory.unlink(missing_ok=True)  # QEMU has it open, and nobody else is to find what was in it
        self.console.start_clock()
        self.log_event("clock", qemu=self.qmp.version)
        if self.on_paused:
            self.on_paused()
        self.log_event("cont", nonce=self.nonce, pid=self.pid)
        try:
            self.qmp.execute("cont")
        except MachineError:
            # A guest can end the machine before QEMU has answered; its console then says the rest.
            if self.wait(1.0) is None:
                raise

    def _listen(self, path: Path) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._cleanup.callback(path.unlink, missing_ok=True)
        self._cleanup.callback(listener.close)
        listener.bind(str(path))
        listener.listen(4)
        return listener

    def _open_fifo(self) -> None:
        if self.launch.rng.backend == "fifo":
            fifo = Path(self.launch.rng.path)
            if not fifo.exists():
                os.mkfifo(fifo, 0o600)
            self._fifo = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
            self._cleanup.callback(os.close, self._fifo)

    def _open_memory(self) -> None:
        """Its file, if it is to be kept: read when the machine is gone, however it ended."""
        if self.launch.memory_file is None:
            return
        file = os.open(self.launch.memory_file, os.O_RDWR | os.O_CREAT, 0o600)

        def read() -> None:
            self.run.memory.unlink(missing_ok=True)
            with os.fdopen(file, "rb") as stream:
                self.last_memory = stream.read()

        self._cleanup.callback(read)

    def _spawn(self, argv: list[str]) -> None:
        if self.launch.block:
            self.launch.block.write_bytes(pack(self.launch.facts, self.launch.block_layout))
        if self.launch.disk_file and self.launch.disk is not None:
            self.launch.disk_file.write_bytes(self.launch.disk)
        (self.run.path / "repeat.sh").write_text(f"#!/bin/sh\nexec {self.by_hand}\n", encoding="utf-8")
        self.log_event("start", argv=argv)
        # A nexus that is killed hard must not leave an emulator behind: the kernel ends it with the thread that started it,
        # which for that reason has to be one that stays, as the main thread does.
        guard = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        with self.run.qemu.open("wb") as words:
            self._process = subprocess.Popen(
                [*guard, *argv], stdin=subprocess.DEVNULL, stdout=words, stderr=words, start_new_session=True
            )
        self._pidfd = os.pidfd_open(self._process.pid)
        self._cleanup.callback(os.close, self._pidfd)

    def _ended(self, timeout: float | None) -> bool:
        ready, _, _ = select.select([self._pidfd], [], [], timeout)
        return bool(ready)

    def _accept(self, listener: socket.socket, what: str, deadline: float) -> socket.socket:
        """QEMU's connection, or at once the reason why it can't come."""
        come = listener.fileno()
        ready, _, _ = select.select([come, self._pidfd], [], [], max(0.0, deadline - time.monotonic()))
        if come in ready:
            channel, _ = listener.accept()
            return channel
        if ready:
            raise self._no_start("it ended at once")
        raise DeadlineError(f"QEMU did not connect {what} in {START_SECONDS:g} s", str(self.run.qemu))

    def _no_start(self, why: str) -> MachineError:
        how = self.wait(1.0) or why
        return MachineError(f"QEMU could not start ({how}): {self.qemu_words()}", f"all its words: {self.run.qemu}")

    def _publish(self, monitor: Path) -> None:
        """From here on others can find and watch the machine."""
        console = registry.socket_path(self.run, "console")
        self.console.serve(self._listen(console))
        terminal = ""
        if self.terminal is not None:
            terminal = str(registry.socket_path(self.run, "terminal"))
            self.terminal.serve(self._listen(Path(terminal)))
        facts = {"pid": self.pid, "system": self.system, "image": str(self.launch.image), "nonce": self.nonce}
        registry.write_record(self.run, {**facts, "qmp": str(monitor), "console": str(console), "terminal": terminal})

    def _on_event(self, event: dict[str, Any]) -> None:
        data = event.get("data") or {}
        if event.get("event") == "SHUTDOWN":
            self._shutdown_reason = str(data.get("reason", ""))
        self.log_event("qmp", name=event.get("event"), data=data)
