# Asks on behalf of others: with every handle that could be a reply, alive or long dead, in questions to all that it can reach.

import contract
import tries

_GENERATIONS = (0, 1, 2, 3, 0xFFFFFF)
_QUESTIONS = (
    (b"policyd", contract.OP_POLICYD_CHECK, b"\x06\x00-"),
    (b"policyd", contract.OP_POLICYD_ROUTE, b"vault"),
    (b"policyd", contract.OP_POLICYD_EXEC, b"selftest.hostile-quiet"),
    (b"keystored", contract.OP_KEYSTORED_DEVICE_KEYGEN, b""),
    (b"keystored", contract.OP_KEYSTORED_GET, b"runner"),
    (b"rngd", contract.OP_RNGD_GET_ENTROPY, b"\x10\x00"),
    (b"init", contract.OP_INIT_SHUTDOWN, b""),
    (b"execd", contract.OP_EXECD_EXEC, b"\x00selftest.hostile-quiet"),
    (b"bundlemgrd", contract.OP_BUNDLEMGRD_UNINSTALL, b"selftest.hostile-behalf"),
)  # fmt: skip


def main():
    found = tries.routes()
    for generation in _GENERATIONS:
        for slot in range(contract.LIMIT_CAP_SLOTS + 1):
            handle = generation << contract.HANDLE_SLOT_BITS | slot
            for name, op, payload in _QUESTIONS:
                if handle and name in found:
                    tries.ask(found[name], op, payload, handle)
    for name, op, payload in _QUESTIONS:  # and for itself, which reaches the gates
        if name in found:
            tries.ask(found[name], op, payload)
    print("asked on behalf of many")
    tries.linger()


main()
