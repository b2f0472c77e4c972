"""Module `frame` as one simulated process sees it: the shipped C of firmware/native/frame.c, compiled for this computer, behind the
functions of frame_module.c.

Made by machine.py for each incarnation. What is a whole frame is decided by the C alone.
"""

from __future__ import annotations

import ctypes
import functools
import struct
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace

from nexus import layout
from nexus.contract.emit import emit_contract
from nexus.contract.load import load_contract
from shims.kernel import Error, Kernel

FLAGS = ("-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")
FORM_MAX = 12
NOTHING = -1  # notification bits


class Head(ctypes.Structure):
    """struct frame."""

    _fields_ = (("op", ctypes.c_uint8), ("nonce", ctypes.c_uint32), ("count", ctypes.c_uint32))


class Library(ctypes.CDLL):
    """The compiled C; its file goes with it."""

    def __init__(self, path: Path, folder: tempfile.TemporaryDirectory[str]) -> None:
        super().__init__(str(path))
        self.folder = folder


@functools.cache
def library() -> Library:
    root = layout.find_root()
    kept = tempfile.TemporaryDirectory(prefix="nexus-frame-")
    folder = Path(kept.name)
    emit_contract(load_contract(layout.contract_dir(root)), folder)
    source, built = root / "firmware" / "native" / "frame.c", folder / "frame.so"
    subprocess.run(["cc", *FLAGS, f"-I{folder}", "-o", str(built), str(source)], check=True)
    loaded = Library(built, kept)
    loaded.frame_read_request.restype = ctypes.c_bool
    for name in ("frame_write_request", "frame_write_reply", "frame_number"):
        getattr(loaded, name).restype = ctypes.c_size_t
    return loaded


class Frame:
    """An instance stands in for the module."""

    BAD_REPLY = -256
    UNREACHABLE = -512
    MALFORMED = -2
    GONE = -3
    IDLE = -4
    LATER = 256

    def __init__(self, kernel: Kernel, contract: SimpleNamespace) -> None:
        self._kernel, self._contract = kernel, contract
        self._serving = Head()
        self._reply = 0
        self._nonce = 0
        self._keeps_malformed = self._keeps_gone = False
        self._idle_ticks = self._wake = 0
        self._busy = True
        self._c = library()
        size = contract.IPC_DATA_BYTES
        self._message = (ctypes.c_uint8 * size).from_buffer(kernel.buffer)

    def next(self, endpoint: int) -> int:
        return self._next(endpoint, self._receive(endpoint))

    def answer(
        self,
        endpoint: int,
        status: int,
        count: int,
        window: int = 0,
        offset: int = 0,
        piece: int = 0,
        grants: int = 0,
    ) -> int:
        assert 0 <= count <= self._contract.IPC_DATA_BYTES - self._contract.WIRE_REPLY_HEADER
        contract = self._contract
        if status == self.LATER:
            return self.next(endpoint)
        got = self._send(endpoint, status, count, grants, window, offset, piece)
        if got[0] not in (contract.E_OK, contract.E_CALLER_GONE, contract.E_DEADLINE):
            got = self._send(endpoint, contract.STATUS_UNAVAILABLE)
        return self._next(endpoint, got)

    def keep_malformed(self) -> None:
        self._keeps_malformed = True

    def keep_gone(self) -> None:
        self._keeps_gone = True

    def idle_after(self, ticks: int) -> None:
        self._idle_ticks, self._wake, self._busy = ticks, 0, True

    def _until(self) -> int:
        if self._idle_ticks and self._busy and not self._wake:
            self._wake, self._busy = self._kernel.time() + self._idle_ticks, False
        return self._wake

    def op(self) -> int:
        return int(self._serving.op)

    def nonce(self) -> int:
        return int(self._serving.nonce)

    def facet(self) -> int:
        contract, shift = self._contract, self._contract.BADGE_FACET_SHIFT
        badge = self._kernel.badge()
        holder = badge & ((1 << shift) - 1)
        own = holder == self._kernel.sender()
        anybodys = holder == contract.BADGE_ANY_APP and self._kernel.kind() == contract.KIND_APP
        return badge >> shift if own or anybodys else -1

    def later(self) -> tuple[int, int, int]:
        return self._reply, self.op(), self.nonce()

    def reply(self, handle: int, op: int, nonce: int, status: int, count: int) -> bool:
        assert 0 <= count <= self._contract.IPC_DATA_BYTES - self._contract.WIRE_REPLY_HEADER
        asked = Head(op, nonce, 0)
        length = self._c.frame_write_reply(self._message, ctypes.byref(asked), status, ctypes.c_size_t(count))
        try:
            self._kernel.reply(handle, length)
        except Error:
            return False
        return True

    def about(self, record: bytearray) -> int:
        contract, kernel = self._contract, self._kernel
        sender = self._audit_index(kernel.sender(), kernel.kind())
        who = kernel.sender_id(), 0, sender, contract.AUDIT_NOBODY
        if kernel.subject() >= 0:
            subject = self._audit_index(kernel.subject(), kernel.subject_kind())
            who = kernel.subject_id(), kernel.sender_id(), subject, sender
        struct.pack_into("<QQHHI", record, contract.AUDIT_AT_SUBJECT, *who, self.nonce())
        return who[2]

    def _audit_index(self, index: int, kind: int) -> int:
        return index | self._contract.AUDIT_APP if kind == self._contract.KIND_APP else index

    def unpack(self, form: str, count: int | None = None) -> tuple[object, ...] | None:
        left = self._serving.count if count is None else count
        at = self._contract.WIRE_REQUEST_HEADER
        items: list[object] = []
        fixed = form.removeprefix("<").removesuffix("*")
        for letter in fixed:
            value = ctypes.c_uint64()
            place = ctypes.byref(self._message, at)
            taken = self._c.frame_number(
                ctypes.c_char(letter.encode()), place, ctypes.c_size_t(left), ctypes.byref(value)
            )
            if taken == 0 or len(items) == FORM_MAX:
                return None
            items.append(value.value)
            at, left = at + taken, left - taken
        if form.endswith("*"):
            return (*items, self._kernel.buffer[at : at + left])
        return None if left else tuple(items)

    def call(self, handle: int, op: int, payload: bytes, until: int, behalf: int = 0, accept: int = 0) -> int:
        header = self._contract.WIRE_REQUEST_HEADER
        self._kernel.buffer[header : header + len(payload)] = bytes(payload)
        self._nonce = (self._nonce + 1) & 0xFFFFFFFF
        request = Head(op, self._nonce, len(payload))
        length = self._c.frame_write_request(self._message, ctypes.byref(request))
        try:
            answer = self._call(handle, length, until, behalf, accept)
        except Error as error:
            return self.UNREACHABLE - int(error.args[0])
        verdict: int = self._c.frame_read_reply(self._message, ctypes.c_size_t(answer), ctypes.byref(request))
        if verdict < 0 or len(self._kernel.received) != (0 if verdict else accept):
            for received in self._kernel.received:
                self._kernel.drop(received)
            return self.BAD_REPLY
        return -verdict if verdict else answer - self._contract.WIRE_REPLY_HEADER

    def _call(self, handle: int, length: int, until: int, behalf: int, accept: int) -> int:
        try:
            return self._kernel.call(handle, length, until, behalf, 0, accept)
        except Error as error:
            if error.args[0] != self._contract.E_RESTARTED:
                raise
        return self._kernel.call(handle, length, until, behalf, 0, accept)

    def _next(self, endpoint: int, got: tuple[int, int]) -> int:
        """As next() of frame_module.c, from the status and length of a recv on."""
        contract = self._contract
        while True:
            status, length = got
            if status == contract.E_CALLER_GONE:
                if self._keeps_gone:
                    return self.GONE
                got = self._receive(endpoint)
                continue
            if status == contract.E_DEADLINE:
                self._wake = 0
                if not self._busy:
                    return self.IDLE
                got = self._receive(endpoint)
                continue
            self._busy = True
            if status != contract.E_OK:
                raise Error(status)
            if length < 0:
                return NOTHING
            self._reply = self._kernel.handle()
            if self._c.frame_read_request(self._message, ctypes.c_size_t(length), ctypes.byref(self._serving)):
                return int(self._serving.op)
            if self._keeps_malformed:
                return self.MALFORMED
            got = self._send(endpoint, contract.STATUS_MALFORMED)

    def _receive(self, endpoint: int) -> tuple[int, int]:
        try:
            return self._contract.E_OK, self._kernel.recv(endpoint, self._until())
        except Error as error:
            return error.args[0], 0

    def _send(
        self,
        endpoint: int,
        status: int,
        count: int = 0,
        grants: int = 0,
        window: int = 0,
        offset: int = 0,
        piece: int = 0,
    ) -> tuple[int, int]:
        """Status and length of what comes next."""
        length = self._c.frame_write_reply(self._message, ctypes.byref(self._serving), status, ctypes.c_size_t(count))
        rest = (endpoint, self._until(), 0, 0, grants, window, offset, piece)
        try:
            return self._contract.E_OK, self._kernel.reply_recv(self._reply, length, *rest)
        except Error as error:
            return error.args[0], 0
