"""A small kernel in memory: processes as threads of which one runs at a time, calls and replies, badges, notifications,
deadlines, supervision. Built from a real recipe, so handles, badges and ranks are those of the image.

Used by host tests of guest code. Simulated time passes only when nobody can run. Follows firmware/kernel/ipc.c; proves
nothing about the kernel itself.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from nexus.contract.load import Contract
from nexus.recipe.model import PAGE, System
from shims import image, micropython, vault
from shims.apps import NO_ENTRY, Apps, first_module
from shims.apps import loader as loader_of_app
from shims.crypto import Crypto
from shims.device import Device
from shims.frame import Frame
from shims.kernel import Kernel
from shims.loader import Loader
from shims.objects import Cap, Halt, MemoryFault, Process, turn
from shims.regions import Region

ENTROPY_DEVICE = "rng"  # in every recipe that has one
# A shell nobody types to: its interpreter has modules of its own, which the shim's has not.
QUIET_SHELL = "import kernel, caps\nwhile True: kernel.wait(caps.NOTIFICATION)\n"
NOBODY = 0xFFFF  # of a reply whose caller has gone
FAULT_NAMES = ("none", "exit", "memory", "instruction", "misaligned", "hung", "killed", "syscall")


class Machine(Apps):
    """One booted system. `sources` replaces a process's main.py by other text; `modules` are generated modules by process and name,
    instead of what the builder would give; `apps` is the code of apps by bundle id, which are played by the test otherwise. `device` is
    the entropy device, `devices` are others by their name in the recipe.
    """

    def __init__(
        self,
        system: System,
        contract: Contract,
        root: Path,
        device: Device | None = None,
        sources: Mapping[str, str] | None = None,
        modules: Mapping[str, Mapping[str, str]] | None = None,
        apps: Mapping[str, str | Path] | None = None,
        devices: Mapping[str, Device] | None = None,
    ) -> None:
        self.system_row, self.loaded_contract, self.root = system, contract, root
        self.contract = SimpleNamespace(**contract.constants, DIGEST=contract.digest)
        self.sources, self.modules = dict(sources or {}), dict(modules or {})
        self.sources_of_apps = {**image.folders_of_apps(system, root), **(apps or {})}
        self.now = 1000
        self.lines: list[str] = []
        self.exit_code: int | None = None
        self.bring_up_open = True
        self.stop_phase = len(contract.phases) - 1
        self.flags = 0
        self.full_labels: set[str] = set()  # processes whose console lines are refused
        self.back = turn()
        self.processes = [Process(row, self.contract.STATE_SUSPENDED) for row in system.processes]
        self.owners = {process.row.endpoint: process for process in self.processes if process.row.endpoint is not None}
        self.queues: dict[int, list[Process]] = {number: [] for number in self.owners}
        for process in self.processes:
            process.kept = bytearray(process.row.kept_pages * PAGE)
        self.policy = image.policy_of(system, contract, root)
        self.regions = [Region(row.owner, bytearray(row.pages * PAGE)) for row in system.regions]
        self.device, self.devices = device, {}
        given = dict(devices or {}) | ({ENTROPY_DEVICE: device} if device is not None else {})
        for row in system.devices:
            if row.name in given:
                self.give_device(row.owner, given[row.name])

    # what a test asks for

    def process(self, name: str) -> Process:
        empty = self.contract.STATE_EMPTY
        return next(process for process in self.processes if process.name == name and process.state != empty)

    def give_device(self, driver: int, device: Device) -> None:
        """To the process of this dense index."""
        self.devices[driver] = device
        device.attach(self.contract, lambda: self.now, partial(self._interrupt, driver))

    def boot(self) -> None:
        """Start the root process and run until the system ends or everybody waits for ever."""
        self.start(self.system_row.root.name)
        self.run()

    def start(self, name: str) -> Process:
        """Resume one process by itself, without init."""
        process = self.process(name)
        self._load(process)
        return process

    def actor(self, name: str) -> Kernel:
        """The module `kernel` of a process whose code is the test itself, from now on."""
        process = self.process(name)
        self._withdraw(process)
        process.state, process.deadline = self.contract.STATE_STOPPED, 0
        self._end_thread(process)
        self._give_caps(process)
        process.incarnation += 1
        process.state = self.contract.STATE_READY
        return Kernel(self, process)

    def handle(self, name: str, cap: str) -> int:
        """The handle that the caps module of that process gives this name."""
        names = [known.name for known in self.process(name).row.capabilities]
        return int(self.contract.HANDLE_BOOT) + names.index(cap)

    def crash(self, name: str, fault: int, value: int = 0) -> None:
        """Stop a process as the kernel would for that fault."""
        self._stop(self.process(name), fault, value)

    def said(self, label: str) -> list[str]:
        """What a process has printed."""
        return [line.partition(": ")[2] for line in self.lines if line.startswith(f"{label}: ")]

    def close(self) -> None:
        """End every thread."""
        for process in self.processes:
            if process.thread is not None:
                self._stop(process, self.contract.FAULT_KILLED, 0)

    # scheduling

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Run processes, highest rank first, and let time pass when none can; back when `until` holds or all wait."""
        while self.exit_code is None and not until():
            if ready := self._ready():
                self._step(max(ready, key=lambda p: p.row.rank))
            else:
                self._reap()
                if not self._pass_time():
                    return

    def settle(self) -> None:
        """Run until nobody can without time passing."""
        self.run(lambda: not self._ready())

    def _ready(self) -> list[Process]:
        return [p for p in self.processes if p.thread and p.state == self.contract.STATE_READY]

    def tick(self) -> int:
        self.now += 1
        return self.now

    def _step(self, process: Process) -> None:
        process.go.release()
        self.back.acquire()

    def _pass_time(self) -> bool:
        waiting = [p for p in self.processes if p.deadline]
        events = [p.deadline for p in waiting]
        events += [event for event in (device.next_event() for device in self.devices.values()) if event]
        if not events:
            return False
        self.now = max(self.now, min(events))
        for device in self.devices.values():
            device.fire()
        for process in waiting:
            if process.deadline and process.deadline <= self.now:
                self._cancel(process, self.contract.E_DEADLINE)
        return True

    def _block(self, process: Process, state: int, deadline: int) -> tuple[int, Any]:
        """Give the processor away until somebody wakes us."""
        process.state, process.deadline = state, deadline
        process.status, process.answer = self.contract.E_OK, None
        if process.thread is None:
            self.run(lambda: process.state == self.contract.STATE_READY)
            assert process.state == self.contract.STATE_READY, f"{process.name} waits for ever"
        else:
            self.back.release()
            process.go.acquire()
            self._check_alive(process)
        return process.status, process.answer

    def _check_alive(self, process: Process) -> None:
        if process.state == self.contract.STATE_STOPPED or process.thread is not threading.current_thread():
            raise Halt

    def _wake(self, process: Process, status: int, answer: Any = None) -> None:
        process.state, process.deadline = self.contract.STATE_READY, 0
        process.status, process.answer = status, answer

    # life

    def _load(self, process: Process) -> None:
        process.incarnation += 1
        process.cpu_ticks += 1
        process.fault = process.value = process.pc = process.bits = process.deadline = 0
        process.buffer = bytearray(512)
        process.calling = process.server = process.serving = None
        process.state = self.contract.STATE_READY
        self._give_caps(process)
        process.go = turn()
        if process.kind == self.contract.KIND_APP and self.code_of(process) is None:
            return
        process.thread = threading.Thread(target=self._main, args=(process, process.go), daemon=True)
        process.thread.start()

    def _give_caps(self, process: Process) -> None:
        first = self.contract.HANDLE_BOOT
        objects = self.loaded_contract.table("obj")
        for slot, row in enumerate(process.row.capabilities):
            cap = Cap(objects[row.type], row.rights, row.object, row.badge)
            if row.type == "endpoint":
                cap.seen = self.owners[row.object].incarnation or 1
            process.caps[first + slot] = cap
        process.next_handle = first + 0x1000

    def _main(self, process: Process, go: threading.Lock) -> None:
        go.acquire()
        fault, value, pc = self.contract.FAULT_EXIT, 0, 0
        try:
            self._check_alive(process)
            if module := first_module(process):
                self._loader(process).load(module)
            else:
                value = NO_ENTRY
        except Halt:
            if process.thread is threading.current_thread():  # else somebody else runs, and stopped us
                self.back.release()
            return
        except MemoryFault as error:
            fault, value, pc = self.contract.FAULT_MEMORY, error.args[0], self.contract.VA_IMAGE
        except Exception as error:  # noqa: BLE001 - as the runtime does: said on the console, then exit 1
            process.trace = traceback.format_exc()
            self.write_console(process, f"uncaught {type(error).__name__}")
            value = 1
        self._stop(process, fault, value, pc)
        self.back.release()

    def _loader(self, process: Process) -> Loader:
        generated: dict[str, Any] = {"micropython": micropython}
        guest = self.root / "guest"
        roots = [guest / str(process.row.service), guest / "lib", guest / "drivers"]
        device = self.devices.get(process.row.index)
        memory = device.memory if device is not None else bytearray()
        kernel = Kernel(self, process)
        given = {"kernel": kernel, "crypto": Crypto(memory, self.contract), "contract": self.contract}
        given["frame"] = Frame(kernel, self.contract)
        if process.kind == self.contract.KIND_APP:
            return loader_of_app(self.root, process, self.code_of(process), {**generated, **given})
        sources = image.generated(self.system_row, process.row, self.loaded_contract, self.policy, self.root)
        sources |= self.modules.get(process.name, {})
        if process.row.native == vault.FOLDER:
            sources["main"], given["hostkey"] = vault.SOURCE, vault.hostkey()
        if process.row.runtime == "shell":
            sources["main"] = QUIET_SHELL
        if process.name in self.sources:
            sources["main"] = self.sources[process.name]
        return Loader(roots, {**generated, **given}, sources)

    def leave(self, process: Process, status: int) -> None:
        self._stop(process, self.contract.FAULT_EXIT, status)
        if process.thread is not None:
            raise Halt

    def _stop(self, process: Process, fault: int, value: int, pc: int = 0) -> None:
        if process.state in (self.contract.STATE_STOPPED, self.contract.STATE_EMPTY):
            return
        self._withdraw(process)
        process.state, process.fault, process.value, process.pc = self.contract.STATE_STOPPED, fault, value, pc
        process.deadline = process.bits = 0
        self._forget_regions(process)
        for number, owner in self.owners.items():
            for caller in list(self.queues[number]) if owner is process else []:
                self._cancel(caller, self.contract.E_PEER_DIED)
        for other in self.processes:
            if other.server is process:
                self._cancel(other, self.contract.E_PEER_DIED)
        if not (fault == self.contract.FAULT_EXIT and value == 0):
            self.lines.append(f"kernel: fault label={process.row.label} why={FAULT_NAMES[fault]} value={value:x}")
        self._end_thread(process)
        self.signal(self.processes[process.row.supervisor], 1 << process.row.index)
        self._orphan_children(process)

    def _end_thread(self, process: Process) -> None:
        """Unwind the thread of a stopped process, unless it is the one that runs."""
        if process.thread is not None and process.thread is not threading.current_thread():
            thread, process.thread = process.thread, None
            process.go.release()
            thread.join()

    def _interrupt(self, driver: int) -> None:
        self.signal(self.processes[driver], 1)

    # console, supervision, system

    def write_console(self, process: Process, text: str) -> bool:
        if process.row.label in self.full_labels:
            return False
        self.lines.append(f"{process.row.label}: {text}")
        return True

    def policy_in(self, process: Process) -> bytes:
        """What is mapped at VA_POLICY."""
        return self.policy.table if self.policy is not None and process.row.policy else b""

    def device_of(self, process: Process) -> Device:
        assert process.row.index in self.devices, f"no window of {process.name}"
        return self.devices[process.row.index]

    def supervise(self, process: Process, handle: int, operation: int) -> tuple[int, tuple[int, ...] | None]:
        status, cap = self.find(process, handle, "supervise")
        if cap is None:
            return status, None
        child, contract = self.processes[cap.object], self.contract
        if operation == contract.SUP_STATUS:
            return contract.E_OK, self._status(child)
        if operation == contract.SUP_KILL:
            if child.state == contract.STATE_STOPPED:
                return contract.E_STATE, None
            self._stop(child, contract.FAULT_KILLED, 0)
            return contract.E_OK, None
        if operation == contract.SUP_FREE:
            status = self._free(child)
            if status == contract.E_OK:
                del process.caps[handle]
            return status, None
        if operation == contract.SUP_RESUME and child.state != contract.STATE_SUSPENDED:
            return contract.E_STATE, None
        if operation == contract.SUP_RESTART:
            if child.kind == contract.KIND_APP:
                return contract.E_STATE, None
            self._stop(child, contract.FAULT_KILLED, 0)
        self._load(child)
        return contract.E_OK, None

    def _status(self, child: Process) -> tuple[int, ...]:
        row = child.row
        life = (child.state, child.fault, child.value, child.pc, child.cpu_ticks)
        return (*life, row.service_id, child.incarnation, row.rank, 0, len(child.caps), child.messages)

    def process_status(self, process: Process, handle: int, index: int) -> tuple[int, tuple[int, ...] | None]:
        status, cap = self.find(process, handle, "system")
        if cap is None or index >= len(self.processes) or self.processes[index].state == self.contract.STATE_EMPTY:
            return status or self.contract.E_BAD_ARGUMENT, None
        return status, self._status(self.processes[index])

    def capability(self, process: Process, handle: int, index: int, slot: int) -> tuple[int, tuple[int, int, int, int]]:
        """As the kernel states a slot. The simulated table has no gaps: a slot is a place among the handles, by age."""
        contract, nothing = self.contract, (self.contract.OBJ_NONE, 0, 0, 0)
        status, cap = self.find(process, handle, "system")
        if cap is None:
            return status, nothing
        none = index >= len(self.processes) or self.processes[index].state == contract.STATE_EMPTY
        if none or slot >= contract.LIMIT_CAP_SLOTS:
            return contract.E_BAD_ARGUMENT, nothing
        held = sorted(self.processes[index].caps.items())
        if slot >= len(held):
            return contract.E_OK, nothing
        cap = held[slot][1]
        waits = cap.caller.row.index if cap.caller is not None else NOBODY
        return contract.E_OK, (cap.type, cap.rights, waits if cap.type == contract.OBJ_REPLY else cap.object, cap.badge)

    def system(self, process: Process, handle: int, operation: int, a: int) -> tuple[int, int]:
        status, cap = self.find(process, handle, "system")
        if cap is None:
            return status, 0
        if operation == self.contract.SYSTEM_SHUTDOWN:
            self.exit_code = a
            self.lines.append(f"kernel: end code={a}")
            raise Halt
        if operation == self.contract.SYSTEM_CLOSE_BRING_UP:
            self.bring_up_open = False
        answers = {self.contract.SYSTEM_PHASE: self.stop_phase, self.contract.SYSTEM_FLAGS: self.flags}
        return self.contract.E_OK, answers.get(operation, 0)
