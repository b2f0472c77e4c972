# A prompt that fails at its first start, and says at its second, which is a new life of the interpreter, what is left of the first and
# whether there was a rest in between.

import struct
import sys

import contract
import kernel
import terminal

_FORM = "<Q"

first = struct.unpack_from(_FORM, terminal.kept)[0]
if not first:
    struct.pack_into(_FORM, terminal.kept, 0, kernel.time())
    sys.path.append("left")
    raise ValueError("shown")
rested = kernel.time() - first > contract.LIMIT_TICK_HZ // 4
kernel.console(b"anew %d %d" % (len(sys.path), rested))
kernel.exit(contract.LEAVE_OK)
