# Goes for others: starts, waits for and kills apps, uninstalls and replaces bundles, reads and purges what others have stored.

import struct

import contract
import tries

_BUNDLES = (
    b"selftest.hostile-others", b"selftest.hostile-quiet", b"dev.hello", b"dev.entropy", b"dev.signer", b"init", b"keystored", b"app:init",
    b"selftest.absent", b"", b"*", b"selftest.*", b"a" * 33,
)  # fmt: skip
_KEYS = (b"runner", b"quiet", b"", b"k", b"\0", b"runner\0", b"r" * 65)


def start(execd):
    for bundle in _BUNDLES:
        for restarts in (0, 3, 4, 255):
            tries.ask(execd, contract.OP_EXECD_EXEC, bytes((restarts,)) + bundle)
        for first in (0, 1, 0xFFFF_FFFF):
            tries.ask(execd, contract.OP_EXECD_LIST, struct.pack("<I", first) + bundle)
    for number in list(range(40)) + [0x10000, 0x10001, 0x1000000, 0x1000001, 0x1000002, 0xFFFF_FFFF]:
        for op in (contract.OP_EXECD_WAIT, contract.OP_EXECD_KILL):
            tries.ask(execd, op, struct.pack("<I", number))


def replace(bundlemgrd):
    for bundle in _BUNDLES:
        tries.ask(bundlemgrd, contract.OP_BUNDLEMGRD_STAGE, struct.pack("<I", 300) + bundle)
        tries.ask(bundlemgrd, contract.OP_BUNDLEMGRD_PUT, bytes(4) + b"nexusnxb" * 30)
        for op in (contract.OP_BUNDLEMGRD_VERIFY, contract.OP_BUNDLEMGRD_INSTALL, contract.OP_BUNDLEMGRD_UNINSTALL):
            tries.ask(bundlemgrd, op, bundle)
        tries.ask(bundlemgrd, contract.OP_BUNDLEMGRD_OPEN, bundle, 0, 1)
    for row in range(12):
        tries.ask(bundlemgrd, contract.OP_BUNDLEMGRD_LIST, bytes((row,)))


# Service ids and publishers to purge: the runner's is worth the most.
def steal(keystored):
    for key in _KEYS:
        tries.ask(keystored, contract.OP_KEYSTORED_GET, key)
        tries.ask(keystored, contract.OP_KEYSTORED_DEL, key)
        tries.ask(keystored, contract.OP_KEYSTORED_PUT, bytes((len(key),)) + key + b"stolen")
    for ident in (0, 5964670962199379817, 0xFFFF_FFFF_FFFF_FFFF):
        for publisher in (0, 1, 0xFFFF_FFFF_FFFF_FFFF):
            tries.ask(keystored, contract.OP_KEYSTORED_PURGE, struct.pack("<QQ", ident, publisher))
    for place in range(40):
        key = b"key%02d" % place
        tries.ask(keystored, contract.OP_KEYSTORED_PUT, bytes((len(key),)) + key + bytes(256))


def end(init):
    for op in (contract.OP_INIT_SHUTDOWN, contract.OP_INIT_REBOOT):
        tries.ask(init, op)
    for number in range(40):
        tries.ask(init, contract.OP_INIT_PHASE_DONE, bytes((number,)))
        tries.ask(init, contract.OP_INIT_PS, bytes((number,)))
        tries.ask(init, contract.OP_INIT_CAPS, bytes((number, 0)))
        tries.ask(init, contract.OP_INIT_TOP, bytes((number,)))


def main():
    found = tries.routes()
    for name, function in ((b"execd", start), (b"bundlemgrd", replace), (b"keystored", steal), (b"init", end)):
        if name in found:
            function(found[name])
    print("others tried")
    tries.linger()


main()
