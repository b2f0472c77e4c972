# Every operation of a service that it has a route to, known or not, with payloads of all classes of length; then what is no frame.

import contract
import tries
from target import SERVICE

_KNOWN = 16  # operations have smaller numbers, but for READY
_LENGTHS = (0, 1, 2, 3, 4, 5, 8, 9, 12, 16, 31, 32, 33, 36, 40, 65, 255, 256, 257, 258, 322, 496, 500, 504)
_FEW = (0, 4, 504)
_HEADER = contract.WIRE_REQUEST_HEADER


def _payloads(lengths):
    for length in lengths:
        yield bytes(length)
        yield b"\xff" * length
    yield b"selftest.hostile-quiet"
    yield b"\x01\x00selftest"


def every_operation(handle):
    for op in range(contract.WIRE_REPLY_BIT):
        known = 0 < op < _KNOWN or op == contract.OP_ALL_READY
        for payload in _payloads(_LENGTHS if known else _FEW):
            tries.ask(handle, op, payload)
            tries.ask(handle, op, payload, 0, 1)


# Versions, directions and lengths that no frame has.
def no_frames(handle):
    for op in (0, 1, 3, contract.OP_ALL_READY, contract.WIRE_REPLY_BIT, 0xFF):
        for version in (0, contract.WIRE_VERSION, 2, 0xFF):
            for stated in (0, 1, 504, 505, 0xFFFF):
                head = bytes((version, op, stated & 0xFF, stated >> 8, 1, 2, 3, 4))
                for length in (_HEADER, _HEADER + 1, contract.IPC_DATA_BYTES):
                    tries.send(handle, head + bytes(length - _HEADER))
    for length in range(_HEADER):
        tries.send(handle, b"\xff" * length)


def main():
    handle = tries.routes().get(SERVICE, 0)
    every_operation(handle)
    no_frames(handle)
    print("opcodes tried")
    tries.linger()


main()
