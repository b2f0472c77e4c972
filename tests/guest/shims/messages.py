"""Calls, replies and notifications of the simulated kernel, after firmware/kernel/ipc.c. The part of Machine that module `kernel`
calls for every message.

Blocking and waking are the machine's; here is only what follows from capabilities, ranks and deadlines.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from nexus.contract.load import Contract
from shims.device import Device
from shims.objects import Answer, Call, Cap, Delivery, Grant, Process


class Messages:
    """Base of Machine, which has these fields and the two methods below."""

    contract: SimpleNamespace
    loaded_contract: Contract
    now: int
    processes: list[Process]
    owners: dict[int, Process]  # by endpoint
    queues: dict[int, list[Process]]  # callers that wait, by endpoint
    devices: dict[int, Device]  # by dense index of the driver
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

    def derive(self, process: Process, grant: Grant) -> tuple[int, Cap | None]:
        """A copy for somebody else with fewer rights; a badge is given once."""
        contract = self.contract
        status, cap = self.find(process, grant.handle)
        if cap is None:
            return status, None
        own = (contract.OBJ_ENDPOINT, contract.RIGHT_RECV), (contract.OBJ_NOTIFICATION, contract.RIGHT_USE)
        owner = any(cap.type == kind and cap.rights & right for kind, right in own)
        if not owner and not cap.rights & contract.RIGHT_GRANT:
            return contract.E_BAD_RIGHT, None
        allowed = contract.RIGHT_CALL | contract.RIGHT_GRANT if owner else cap.rights
        if grant.rights == 0 or grant.rights & ~allowed or cap.badge not in (0, grant.badge):
            return contract.E_BAD_RIGHT, None
        seen = process.incarnation if owner and cap.type == contract.OBJ_ENDPOINT else cap.seen
        return contract.E_OK, replace(cap, rights=grant.rights, badge=grant.badge, seen=seen)

    def revoke(self, process: Process, handle: int, badge: int) -> tuple[int, int]:
        """How many capabilities with this badge have died; calls made with them that nobody has received never were."""
        status, own = self.find(process, handle, "endpoint", "recv")
        if own is None:
            return status, 0
        count = 0
        for holder in self.processes:
            for number, cap in list(holder.caps.items()):
                named = (cap.type, cap.object, cap.badge) == (own.type, own.object, badge)
                if named and not cap.rights & self.contract.RIGHT_RECV:
                    del holder.caps[number]
                    count += 1
        for caller in list(self.queues[own.object]):
            if caller.calling is not None and caller.calling.cap.badge == badge:
                self._cancel(caller, self.contract.E_BAD_HANDLE)
        return self.contract.E_OK, count

    # messages

    def _behalf(self, process: Process, handle: int) -> tuple[int, Cap | None]:
        """The capability that stands for whom a call is made."""
        if handle == 0:
            return self.contract.E_OK, None
        status, cap = self.find(process, handle)
        if cap is None:
            return status, None
        if cap.type not in (self.contract.OBJ_REPLY, self.contract.OBJ_SUPERVISE):
            return self.contract.E_BAD_TYPE, None
        if self._subject(cap) is None:
            reply = cap.type == self.contract.OBJ_REPLY
            return self.contract.E_CALLER_GONE if reply else self.contract.E_STATE, None
        return self.contract.E_OK, cap

    def _subject(self, cap: Cap) -> Process | None:
        """The caller of a live reply, or a child that does not run yet."""
        if cap.type == self.contract.OBJ_REPLY:
            return cap.caller
        child = self.processes[cap.object]
        return child if child.state == self.contract.STATE_SUSPENDED else None

    def call(
        self, process: Process, handle: int, length: int, deadline: int, behalf: int, accept: int
    ) -> tuple[int, Answer]:
        status, call = self._checked(process, handle, length, behalf, accept)
        if call is None:
            return status, Answer()
        cap, server = call.cap, self.owners[call.cap.object]
        if process.serving is not None and process.serving.deadline:
            deadline = min(deadline, process.serving.deadline)
        if deadline <= self.now:
            return self.contract.E_DEADLINE, Answer()
        if server.state in (self.contract.STATE_STOPPED, self.contract.STATE_SUSPENDED):
            return self.contract.E_PEER_DIED, Answer()
        if cap.seen != server.incarnation:
            cap.seen = server.incarnation
            return self.contract.E_RESTARTED, Answer()
        process.calling, process.accept = call, accept
        queue = self.queues[cap.object]
        queue.append(process)
        queue.sort(key=lambda waiting: -waiting.row.rank)
        if server.state == self.contract.STATE_RECEIVING:
            self._wake(server, self.contract.E_OK, self._deliver(server, queue.pop(0)))
        status, answer = self._block(process, self.contract.STATE_CALLING, deadline)
        return status, answer or Answer()

    def _checked(self, process: Process, handle: int, length: int, behalf: int, accept: int) -> tuple[int, Call | None]:
        """All that can be wrong with a call besides its time."""
        self.calls += 1
        status, cap = self.find(process, handle, "endpoint", "call")
        if cap is None:
            return status, None
        if length > self.contract.IPC_DATA_BYTES or accept > self.contract.IPC_MAX_CAPS:
            return self.contract.E_BAD_ARGUMENT, None
        if self.owners[cap.object].row.rank <= process.row.rank:
            return self.contract.E_RANK, None
        status, subject = self._behalf(process, behalf)
        return status, Call(cap, length, subject) if status == self.contract.E_OK else None

    def recv(self, process: Process, handle: int, deadline: int) -> tuple[int, Delivery | None]:
        status, cap = self.find(process, handle, "endpoint", "recv")
        if cap is None:
            return status, None
        process.serving = None  # whose answer is put off no longer bounds what it does
        if process.bits:
            delivery, process.bits = Delivery(bits=process.bits), 0
            return self.contract.E_OK, delivery
        if caller := self._next_caller(cap.object):
            return self.contract.E_OK, self._deliver(process, caller)
        if deadline and deadline <= self.now:
            return self.contract.E_DEADLINE, None
        return self._block(process, self.contract.STATE_RECEIVING, deadline)

    def _next_caller(self, endpoint: int) -> Process | None:
        """The first that waits; those before it whose subject has gone are told so."""
        queue = self.queues[endpoint]
        while queue:
            caller = queue.pop(0)
            assert caller.calling is not None
            behalf = caller.calling.behalf
            if behalf is None or self._subject(behalf) is not None:
                return caller
            self._wake(caller, self.contract.E_CALLER_GONE)
        return None

    def _deliver(self, server: Process, caller: Process) -> Delivery:
        call = caller.calling
        assert call is not None
        caller.calling, caller.server, server.serving = None, server, caller
        server.messages += 1
        server.buffer[: call.length] = caller.buffer[: call.length]
        handle = server.put(Cap(self.contract.OBJ_REPLY, 0, 0, caller=caller))
        subject = self._subject(call.behalf) if call.behalf is not None else None
        stated = subject.stated if subject is not None else None
        return Delivery(call.length, handle, call.cap.badge, caller.stated, stated)

    def _granted(self, process: Process, count: int) -> tuple[int, list[Cap]]:
        """What a reply grants, worked out before anything changes."""
        made: list[Cap] = []
        for index in range(count):
            status, cap = self.derive(process, process.grants.get(index, Grant(0, 0, 0)))
            if cap is None:
                return status, []
            made.append(cap)
        return self.contract.E_OK, made

    def _movable(self, process: Process, handles: tuple[int, ...]) -> int:
        """The status of giving these away."""
        for handle in handles:
            status, _ = self.find(process, handle, right="grant")
            if status != self.contract.E_OK:
                return status
        return int(self.contract.E_OK)

    def reply(
        self,
        process: Process,
        handle: int,
        length: int,
        grants: int,
        dma: int,
        offset: int,
        count: int,
        moved: tuple[int, ...] = (),
    ) -> int:
        status, cap = self.find(process, handle, "reply")
        if cap is None:
            return status
        if cap.caller is None:
            del process.caps[handle]
            return int(self.contract.E_CALLER_GONE)
        caller = cap.caller
        if grants + len(moved) > caller.accept:
            return int(self.contract.E_NO_SLOT)
        payload = b""
        if dma:
            status, window = self.find(process, dma, "dma")
            if window is None:
                return status
            memory = self.devices[process.row.index].memory
            if count == 0 or count > self.contract.IPC_DATA_BYTES - length or offset + count > len(memory):
                return int(self.contract.E_BAD_ARGUMENT)
            payload = bytes(memory[offset : offset + count])
        status, made = self._granted(process, grants)
        status = status or self._movable(process, moved)
        if status != self.contract.E_OK:
            return status
        made += [process.caps.pop(given) for given in moved]
        if payload:
            memory[offset : offset + len(payload)] = bytes(len(payload))
        caller.buffer[: length + len(payload)] = process.buffer[:length] + payload
        del process.caps[handle]
        caller.server = None
        if process.serving is caller:  # an answer that was put off does not end the request that is served now
            process.serving = None
        received = tuple(caller.put(granted) for granted in made)
        self._wake(caller, self.contract.E_OK, Answer(length + len(payload), received))
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
        if deadline and process.serving is not None and process.serving.deadline:
            deadline = min(deadline, process.serving.deadline)
        if deadline and deadline <= self.now:
            return self.contract.E_DEADLINE, 0
        return self._block(process, self.contract.STATE_WAITING, deadline)
