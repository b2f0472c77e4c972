# How an exchange with another process can end badly: the exceptions of every request. Frames themselves are module `frame`
# of the runtime (firmware/runtime/frame.c). Used by client.py, server.py and by handlers, which raise Refuse.

import contract
import frame


# The answer is a status instead of a result: raised by handlers, and by calls that were answered so.
class Refuse(Exception):
    def __init__(self, status):
        super().__init__(status)
        self.status = status


# No answer at all: `kernel` says why (E_*). A server that meets this can't do better than UNAVAILABLE itself.
class Unreachable(Refuse):
    def __init__(self, kernel_status):
        super().__init__(contract.STATUS_UNAVAILABLE)
        self.kernel = kernel_status


# An answer that is none: wrong frame, another request's nonce, a payload that does not fit its form.
class BadReply(Refuse):
    def __init__(self):
        super().__init__(contract.STATUS_UNAVAILABLE)


# What to raise for a result of frame.call that is no length.
def failure(result):
    if result > frame.BAD_REPLY:
        return Refuse(-result)
    if result == frame.BAD_REPLY:
        return BadReply()
    return Unreachable(frame.UNREACHABLE - result)
