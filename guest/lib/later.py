# Answers that a service puts off: a handler keeps the request, and whoever knows the answer later gives it. Used by services whose
# answer waits for something else to happen; a module of its own, so that no other service pays for it.
# What was kept is answered once, however it goes on: until then it takes up a slot of the service's table, even when its caller has gone.

import frame

# Result of a handler: this request, which it has kept, is not answered now.
LATER = (frame.LATER, 0)


# The request that is served, for answer().
def keep():
    return frame.later()


# Answers what was kept, with so many bytes of payload in place (server.PAYLOAD). Whether that reached its caller; one who has gone is
# no error. Overwrites kernel.buffer, as any call does.
def answer(kept, status, count):
    return frame.reply(*kept, status, count)
