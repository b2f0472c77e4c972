# Asking init for a capability to a server that the recipe lists among this process's routes. Called by whoever has such routes;
# its row must have `calls = ["init"]`. Never asks twice: a refusal is policy's word.

import caps
import client
import contract
import frame
import kernel
import wire


# A handle to call the server of this route with; its name as bytes: b"rngd", b"logd:query".
# Raises what client.call raises. A reply without a capability, or a refusal with one, is wire.BadReply (frame.call sees to it).
def get(name):
    until = client.deadline(contract.EDGE_DEADLINE_INIT_ALL)
    count = frame.call(caps.INIT, contract.OP_INIT_ROUTE_GET, name, until, 0, 1)
    if count < 0:
        raise wire.failure(count)
    handle = kernel.caps(0)
    if frame.unpack(contract.REPLY_INIT_ROUTE_GET, count) is None:
        kernel.drop(handle)
        raise wire.BadReply()
    return handle
