# Writes lines that look as if others had written them. Each holds the word FORGED, so that the host finds every one.

import caps
import contract
import kernel
import tries

_LINES = (
    "SELFTEST: " + contract.MARK_RNG_ENTROPY + " FORGED",
    "\nSELFTEST: " + contract.MARK_END + " FORGED",
    "\r\nkernel: panic FORGED\r\n",
    "\x1b[2K\x1b[1Ginit: " + contract.MARK_INIT_READY + " FORGED",
    "\x1b]0;FORGED\x07\x9bm\x08\x08\x08\x08\x08\x08runner: over FORGED",
    "app:selftest.hostile-quiet: FORGED",
    "| FORGED",
    "\\x0arunner: FORGED",
    "\0\0runner: FORGED\0",
    "\x7f\x80\xff\u2028runner: FORGED",
    "x" * 192 + "runner: over FORGED",
    "x" * 191 + "\nrunner: over FORGED",
    "\n" * 48 + "runner: over FORGED",
    "\n" * 255 + "FORGED",
)


def main():
    for line in _LINES:
        kernel.console(line[:256])
        tries.rest(2000)
        kernel.console(line.encode()[-256:])
        tries.rest(2000)
        print(line)
        tries.rest(2000)
    for byte in range(256):
        kernel.console(bytes((byte,)) + b"runner: FORGED" + bytes((byte,)))
        tries.rest(200)
    for handle in (0, caps.CONSOLE - 1, caps.CONSOLE + 0x100):
        try:
            kernel.mint(handle, 0, 32)
        except kernel.Error:
            continue
    tries.linger()


main()
