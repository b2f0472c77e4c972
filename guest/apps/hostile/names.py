# Asks init for every route of the system by its name, for names that nothing has, and for more than its table of capabilities holds.

import contract
import tries

_OTHERS = (
    b"", b"-", b"*", b"app:selftest.hostile-names", b"app:*", b"rngd\0", b"rngd:", b":append", b"RNGD", b" rngd", b"rngd ", b"logd:append:append",
    b"\xff\xfe", b"a" * 32, b"a" * 33, b"b" * 255, b"c" * 504, b"../rngd", b"init:ready", b"policyd\nrngd",
)  # fmt: skip
_ROUNDS = contract.LIMIT_CAP_SLOTS + 4


def main():
    for service in tries.SERVICES:
        for facet in tries.FACETS:
            tries.route(service + facet)
    for name in _OTHERS:
        tries.route(name)
    print("names asked")
    tries.rest(contract.LIMIT_TICK_HZ // 20)
    for _ in range(_ROUNDS):
        tries.route(b"logd:append")
    print("table full")
    tries.rest(contract.LIMIT_TICK_HZ // 20)
    tries.linger()


main()
