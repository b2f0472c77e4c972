"""Calls, replies and notifications of the simulated kernel, after firmware/kernel/ipc.c. The part of Machine that module `kernel`
calls for every message.

Blocking and waking are the machine's; here is only what follows from capabilities, ranks and deadlines.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from nexus.contract.load import Contract
from shims.device import Device
from shims.objects import Cap, Delivery, Process


class Messages:
    """Base of Machine, which has these fields and the two methods below."""

    contract: SimpleNamespace
    loaded_contract: Contract
    now: int
    processes: list[Process]
    owners: dict[int, Process]  # by endpoint
    queues: dict[int, list[Process]]  # callers that wait, by endpoint
    device: Device | None
    calls: int = 0  # ever made

    def _block(self, process: Process, state: int, deadline: int) -> tuple[int, Any]:
        raise NotImplementedError

    def _wake(self, process: Process, status: int, answer: Any = None) -> None:
        raise NotImplementedError

    # capabilities

    def find(self, process: Process, handle: int, kind: str = "", right: str = "") -> tuple[int, Cap | None]:
        cap = process.caps.get(handle)
        if cap is None:
            return self.contract.E_BAD_HANDLE, None
        if kind and cap.type != self.loaded_contract.table("obj")[kind]:
            return self.contract.E_BAD_TYPE, None
        if right and not cap.rights & self.loaded_contract.table("right")[right]:
            return self.contract.E_BAD_RIGHT, None
        return self.contract.E_OK, cap

    # messages

    def call(self, process: Process, handle: int, length: int, deadline: int) -> tuple[int, int]:
        self.calls += 1
        status, cap = self.find(process, handle, "endpoint", "call")
        if cap is None:
            return status, 0
        server = self.owners[cap.object]
        if length > self.contract.IPC_DATA_BYTES:
            return self.contract.E_BAD_ARGUMENT, 0
        if server.row.rank <= process.row.rank:
            return self.contract.E_RANK, 0
        if process.serving is not None and process.serving.deadline:
            deadline = min(deadline, process.serving.deadline)
        if deadline <= self.now:
            return self.contract.E_DEADLINE, 0
        if server.state in (self.contract.STATE_STOPPED, self.contract.STATE_SUSPENDED):
            return self.contract.E_PEER_DIED, 0
        if cap.seen != server.incarnation:
            cap.seen = server.incarnation
            return self.contract.E_RESTARTED, 0
        process.calling = (cap, length)
        queue = self.queues[cap.object]
        queue.append(process)
        queue.sort(key=lambda waiting: -waiting.row.rank)
        if server.state == self.contract.STATE_RECEIVING:
            self._wake(server, self.contract.E_OK, self._deliver(server, cap.object))
        return self._block(process, self.contract.STATE_CALLING, deadline)

    def recv(self, process: Process, handle: int, deadline: int) -> tuple[int, Delivery | None]:
        status, cap = self.find(process, handle, "endpoint", "recv")
        if cap is None:
            return status, None
        if process.bits:
            delivery, process.bits = Delivery(bits=process.bits), 0
            return self.contract.E_OK, delivery
        if self.queues[cap.object]:
            return self.contract.E_OK, self._deliver(process, cap.object)
        if deadline and deadline <= self.now:
            return self.contract.E_DEADLINE, None
        return self._block(process, self.contract.STATE_RECEIVING, deadline)

    def _deliver(self, server: Process, endpoint: int) -> Delivery:
        caller = self.queues[endpoint].pop(0)
        assert caller.calling is not None
        cap, length = caller.calling
        caller.calling, caller.server, server.serving = None, server, caller
        server.buffer[:length] = caller.buffer[:length]
        handle, server.next_handle = server.next_handle, server.next_handle + 1
        server.caps[handle] = Cap(self.contract.OBJ_REPLY, 0, 0, caller=caller)
        return Delivery(length, handle, cap.badge, caller.row.index, caller.row.service_id)

    def reply(self, process: Process, handle: int, length: int, dma: int, offset: int, count: int) -> int:
        status, cap = self.find(process, handle, "reply")
        if cap is None:
            return status
        if cap.caller is None:
            del process.caps[handle]
            return int(self.contract.E_CALLER_GONE)
        payload = b""
        if dma:
            status, window = self.find(process, dma, "dma")
            if window is None:
                return status
            assert self.device is not None
            if count == 0 or count > self.contract.IPC_DATA_BYTES - length or offset + count > len(self.device.memory):
                return int(self.contract.E_BAD_ARGUMENT)
            payload = bytes(self.device.memory[offset : offset + count])
            self.device.memory[offset : offset + count] = bytes(count)
        caller = cap.caller
        caller.buffer[: length + len(payload)] = process.buffer[:length] + payload
        del process.caps[handle]
        process.serving = caller.server = None
        self._wake(caller, self.contract.E_OK, length + len(payload))
        return int(self.contract.E_OK)

    def _withdraw(self, process: Process) -> None:
        for queue in self.queues.values():
            if process in queue:
                queue.remove(process)
        if process.server is not None:
            for cap in process.server.caps.values():
                if cap.caller is process:
                    cap.caller = None
            if process.server.serving is process:
                process.server.serving = None
            process.server = None

    def _cancel(self, process: Process, why: int) -> None:
        self._withdraw(process)
        self._wake(process, why)

    # notifications

    def notify(self, process: Process, handle: int) -> int:
        status, cap = self.find(process, handle, "notification", "call")
        if cap is not None:
            self.signal(self.processes[cap.object], cap.badge)
        return status

    def signal(self, process: Process, bits: int) -> None:
        process.bits |= bits
        if process.state == self.contract.STATE_RECEIVING:
            self._wake(process, self.contract.E_OK, Delivery(bits=process.bits))
            process.bits = 0
        elif process.state == self.contract.STATE_WAITING:
            self._wake(process, self.contract.E_OK, process.bits)
            process.bits = 0

    def wait(self, process: Process, handle: int, deadline: int) -> tuple[int, int]:
        status, cap = self.find(process, handle, "notification", "use")
        if cap is None:
            return status, 0
        if process.bits:
            bits, process.bits = process.bits, 0
            return self.contract.E_OK, bits
        if process.serving is not None and process.serving.deadline:
            deadline = min(deadline or process.serving.deadline, process.serving.deadline)
        if deadline and deadline <= self.now:
            return self.contract.E_DEADLINE, 0
        return self._block(process, self.contract.STATE_WAITING, deadline)
