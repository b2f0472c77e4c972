# sample: counts how often it was asked. Written by `nexus new-service`: say here what the service is for, who calls it and
# what it must never do.

import struct

import contract
import server

_asked = 0


# How often anybody has asked this incarnation, this time included.
def on_count():
    global _asked
    _asked += 1
    return struct.pack(contract.REPLY_SAMPLE_COUNT, _asked)


HANDLERS = {
    contract.OP_SAMPLE_COUNT: (on_count, contract.REQUEST_SAMPLE_COUNT, contract.BADGE_FACET_ANY),
}

server.serve(HANDLERS, contract.MARK_SAMPLE_READY)
