"""QEMU's control protocol for synchronous code: qemu.qmp on an event loop of its own thread, every call with a deadline.

Owned by the session. Never leaves a task or a thread behind, and says "the machine ended" in one way however it ended.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from qemu.qmp import ExecuteError, Message, QMPClient, QMPError, Runstate

from nexus.errors import DeadlineError, MachineError

T = TypeVar("T")
# How qemu.qmp says that the other side is gone: each in its place, all the same news.
ENDED = (QMPError, EOFError, ConnectionError)
Event = dict[str, Any]
GRACE = 5.0


class Qmp:
    """A connected client. `on_event` is called on the protocol's thread for every event of the machine."""

    def __init__(self, channel: socket.socket, on_event: Callable[[Event], None], timeout: float) -> None:
        self._on_event = on_event
        self._client = QMPClient("nexus")
        self._loop = asyncio.new_event_loop()
        self._events: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="nexus-qmp", daemon=True)
        self._thread.start()
        try:
            self._run(self._connect(channel, timeout), "connect", timeout + GRACE)
        except (MachineError, DeadlineError):
            self.close()
            raise

    @property
    def version(self) -> str:
        """Of the emulator."""
        greeting = self._client.greeting
        found = dict(greeting.QMP.version).get("qemu") if greeting else None
        numbers = found if isinstance(found, dict) else {}
        return ".".join(str(numbers.get(name, "?")) for name in ("major", "minor", "micro"))

    def execute(self, command: str, arguments: dict[str, object] | None = None, timeout: float = 10.0) -> object:
        """One command and its answer."""
        return self._run(self._client.execute(command, arguments), command, timeout)

    def close(self) -> None:
        """Idempotent. A machine that is gone already makes disconnect fail: that is no news."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._disconnect(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T], what: str, timeout: float) -> T:
        if self._loop.is_closed():
            work.close()
            raise MachineError(f"QMP {what}: the machine ended")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout)
        except TimeoutError as error:
            future.cancel()
            raise DeadlineError(f"QMP {what}: no answer in time") from error
        except ExecuteError as error:
            raise MachineError(f"QMP {what}: {error}") from error
        except ENDED as error:
            raise MachineError(f"QMP {what}: the machine ended") from error

    async def _connect(self, channel: socket.socket, timeout: float) -> None:
        # The deadline is in here, since a connect that is cancelled from outside can't be disconnected (an assertion fails).
        async with asyncio.timeout(timeout):
            await self._client.connect(channel)
        self._events = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            event: Message = await self._client.events.get()
            self._on_event(dict(event))

    async def _disconnect(self) -> None:
        if self._events is not None:
            self._events.cancel()
            await asyncio.gather(self._events, return_exceptions=True)
        if self._client.runstate is Runstate.IDLE:
            return
        try:
            await self._client.disconnect()
        except ENDED:
            return
