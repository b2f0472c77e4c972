# What the hostile apps share: asking for a route, asking anybody anything, and going on whatever comes of it. Never the judge of anything:
# what an app says of itself counts for nothing.

import caps
import contract
import frame
import kernel

SOON = contract.LIMIT_TICK_HZ // 2

# Names of routes, those that init may give first; facets as the contract has them, and some that nobody has.
SERVICES = (
    b"rngd", b"keystored", b"policyd", b"execd", b"bundlemgrd", b"logd", b"vault", b"dropd", b"init", b"runner", b"selftest",
    b"selftest-peer", b"shell", b"kernel",
)  # fmt: skip
FACETS = (
    b"", b":append", b":audit_own", b":query", b":stats", b":audit", b":audit_all", b":head", b":decision", b":event", b":ready", b":any",
)  # fmt: skip
REACHED = (b"rngd", b"keystored", b"policyd", b"execd", b"bundlemgrd", b"logd:append", b"logd:audit_own")


# A handle, or 0.
def route(name):
    count = frame.call(caps.INIT, contract.OP_INIT_ROUTE_GET, name, kernel.time() + SOON, 0, 1)
    return 0 if count < 0 else kernel.caps(0)


# All that it may have of these, by name; init itself too.
def routes():
    found = {b"init": caps.INIT}
    for name in REACHED:
        handle = route(name)
        if handle:
            found[name] = handle
    return found


# 0, or below 0 the way it failed.
def ask(handle, op, payload=b"", behalf=0, accept=0):
    return min(frame.call(handle, op, payload, kernel.time() + SOON, behalf, accept), 0)


# Bytes that need not be a frame.
def send(handle, message, sent=0, accept=0):
    kernel.buffer[: len(message)] = message
    try:
        kernel.call(handle, len(message), kernel.time() + SOON, 0, sent, accept)
    except kernel.Error:
        return


# Leave the processor to others for so many ticks.
def rest(ticks):
    try:
        kernel.wait(caps.NOTIFICATION, kernel.time() + ticks)
    except kernel.Error:
        return


# Stay until somebody ends it, so that the host can have its look.
def linger():
    while True:
        rest(contract.LIMIT_TICK_HZ)
