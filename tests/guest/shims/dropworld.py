"""dropd on a simulated disk, with bundlemgrd and execd played by a few lines of guest code that tell what they were asked.

Used by the tests of dropd. Each of the two can be told to answer with a status, to die or to say nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from nexus.contract.load import load_contract
from nexus.layout import contract_dir, find_root
from nexus.machine.drop import Drop, disk_of
from shims.disk import Disk
from shims.machine import Machine

CONTRACT = load_contract(contract_dir(find_root()))
STATUS = CONTRACT.table("status")
SYSTEM = "default"
NAME = b"dev.hello"
CHILD = 0x1234
DIES, SILENT = "dies", "silent"  # instead of a status
KEEPER = """
import contract, kernel, server
from wire import Refuse

def answer(what, *values):
    kernel.console(what + " " + " ".join(str(value) for value in values))
    how = HOW.get(what)
    if how == "dies":
        kernel.exit(1)
    if how == "silent":
        while True:
            kernel.wait(NOTIFICATION)
    if how:
        raise Refuse(how)

def on_stage(count, name):
    answer("stage", count, bytes(name).hex())

def on_put(offset, data):
    answer("put", offset, bytes(data).hex())

def on_install(name):
    answer("install", bytes(name).hex())

ANY = contract.BADGE_FACET_ANY
server.serve({
    contract.OP_BUNDLEMGRD_STAGE: (on_stage, contract.REQUEST_BUNDLEMGRD_STAGE, ANY),
    contract.OP_BUNDLEMGRD_PUT: (on_put, contract.REQUEST_BUNDLEMGRD_PUT, ANY),
    contract.OP_BUNDLEMGRD_INSTALL: (on_install, contract.REQUEST_BUNDLEMGRD_INSTALL, ANY),
})
"""
STARTER = """
import struct
import contract, kernel, server
from wire import Refuse

def on_exec(restarts, name):
    kernel.console("exec %d %s" % (restarts, bytes(name).hex()))
    if HOW.get("exec"):
        raise Refuse(HOW["exec"])
    return struct.pack(contract.REPLY_EXECD_EXEC, CHILD, 1)

server.serve({contract.OP_EXECD_EXEC: (on_exec, contract.REQUEST_EXECD_EXEC, contract.BADGE_FACET_ANY)})
"""


def file_of(size: int, name: bytes = NAME) -> bytes:
    """Bytes that call themselves a bundle; here nobody judges them."""
    pattern = bytes((7 * at + at // 251) % 256 for at in range(size))
    first = CONTRACT.number("bundle_at.id")
    head = str(CONTRACT.table("bundle")["magic"]).encode().ljust(first, b"\1") + name.ljust(32, b"\0")
    return head + pattern[len(head) :]


def drop_of(number: int, data: bytes, *, start: bool = False) -> bytes:
    """The disk with this drop."""
    return disk_of(CONTRACT, Drop(number, data, start))


@dataclass(frozen=True)
class Asked:
    """What reached the two servers, in order; a file that was put together again."""

    what: list[str]
    staged: list[tuple[int, bytes]] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)


class DropWorld:
    """`how` is what a server does instead of taking a request, by the request's name: a status, DIES or SILENT."""

    def __init__(self, make: Callable[..., Machine], disk: Disk, how: dict[str, int | str] | None = None) -> None:
        self.disk = disk
        head = f"HOW = {how or {}}\nCHILD = {CHILD}\nimport caps\nNOTIFICATION = caps.NOTIFICATION\n"
        sources = {"bundlemgrd": head + KEEPER, "execd": head + STARTER}
        self.machine = make(SYSTEM, devices={"drop": disk}, sources=sources)
        self.machine.bring_up_open = False

    def start(self) -> DropWorld:
        for name in ("bundlemgrd", "execd", "dropd"):
            self.machine.start(name)
        self.machine.run()
        return self

    def put(self, data: bytes) -> list[str]:
        """Another disk; what dropd has to say to that."""
        before = len(self.said)
        self.disk.change(data)
        self.machine.run()
        return self.said[before:]

    @property
    def said(self) -> list[str]:
        return self.machine.said("dropd")

    @property
    def running(self) -> bool:
        return bool(self.machine.process("dropd").state == self.machine.contract.STATE_RECEIVING)

    def asked(self) -> Asked:
        asked = Asked([])
        for line in self.machine.lines:
            label, _, rest = line.partition(": ")
            what, _, values = rest.partition(" ")
            if label not in ("bundlemgrd", "execd"):
                continue
            if what == "stage":
                size, name = values.split()
                asked.staged.append((int(size), bytes.fromhex(name)))
                asked.files.append(b"")
            if what == "put":
                offset, data = values.split()
                assert int(offset) == len(asked.files[-1]), "out of order"
                assert len(data) // 2 <= CONTRACT.number("limit.bundle_put")
                asked.files[-1] += bytes.fromhex(data)
            else:
                asked.what.append(rest)
        return asked


def line(key: str, number: int, more: str = "") -> str:
    return f"{CONTRACT.table('line')[key]}{number:08x}{more}"


def installed(number: int) -> str:
    return line("drop_installed", number)


def refused(number: int, status: str) -> str:
    return line("drop_refused", number, f"{CONTRACT.table('line')['drop_status']}{STATUS[status]:02x}")


def started(number: int) -> str:
    return line("drop_started", number, f"{CONTRACT.table('line')['drop_child']}{CHILD:08x}")
