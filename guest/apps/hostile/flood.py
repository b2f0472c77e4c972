# Asks one service after the other as fast as it can, a while each, for ever: the cheapest, the dearest and the worst formed requests.

import contract
import kernel
import tries

_WHILE = contract.LIMIT_TICK_HZ // 40
_FLOODS = (
    (b"init", contract.OP_INIT_ROUTE_GET, b"vault"),
    (b"init", contract.OP_INIT_PS, b"\x00"),
    (b"logd:append", contract.OP_LOGD_APPEND, b"\x01" + b"flood" * 40),
    (b"logd:audit_own", contract.OP_LOGD_AUDIT_OWN, bytes(8)),
    (b"policyd", contract.OP_POLICYD_CHECK, b"\x06\x00-"),
    (b"policyd", contract.OP_POLICYD_EXEC, b"z" * 32),
    (b"keystored", contract.OP_KEYSTORED_PUT, b"\x01k" + bytes(256)),
    (b"keystored", contract.OP_KEYSTORED_SIGN, b"\x01\x00" + bytes(256)),
    (b"keystored", contract.OP_KEYSTORED_EXPORT, b""),
    (b"rngd", contract.OP_RNGD_GET_ENTROPY, b"\x00\x01"),
    (b"bundlemgrd", contract.OP_BUNDLEMGRD_LIST, b"\x00"),
    (b"bundlemgrd", contract.OP_BUNDLEMGRD_STAGE, b"\x00\x10\x00\x00selftest.hostile-flood"),
    (b"bundlemgrd", contract.OP_BUNDLEMGRD_OPEN, b"selftest.hostile-flood"),
    (b"execd", contract.OP_EXECD_EXEC, b"\x03selftest.hostile-flood"),
    (b"execd", contract.OP_EXECD_LIST, b"\x00\x00\x00\x00selftest.hostile-flood"),
)


def flood(handle, op, payload):
    end = kernel.time() + _WHILE
    while kernel.time() < end:
        tries.ask(handle, op, payload)


def main():
    found = tries.routes()
    while True:
        for name, op, payload in _FLOODS:
            if name in found:
                flood(found[name], op, payload)
        for name in found:
            end = kernel.time() + _WHILE // 4
            while kernel.time() < end:
                tries.send(found[name], b"\xff" * 5)


main()
