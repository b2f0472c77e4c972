# Proof of phase mmio that having a way to rngd is no right to its bytes. The same requests by one who has it are the twin.

import struct

import contract
import entropy
import proxy
import ways
from proof import Decisions, check, status_of

_ROUTE = contract.PEER_ROUTE_RNGD


# Nothing of the peer's is counted by rngd; sizes are looked at only for those who may, so the peer learns nothing by asking.
def prove_denied():
    draw = contract.OP_RNGD_GET_ENTROPY
    fair = struct.pack(contract.REQUEST_RNGD_GET_ENTROPY, 32)
    huge = struct.pack(contract.REQUEST_RNGD_GET_ENTROPY, contract.LIMIT_ENTROPY_BYTES + 1)
    none = struct.pack(contract.REQUEST_RNGD_GET_ENTROPY, 0)
    proxy.status_of(contract.PEER_ROUTE_RNGD, 0x7E)  # it has the route before anything is counted
    before = entropy.stats()
    decisions = Decisions()
    for payload in (fair, huge, none):
        proxy.check_denied(_ROUTE, draw, payload, "the peer got entropy")
    proxy.check_denied(_ROUTE, contract.OP_RNGD_STATS, b"", "the peer got the counters")
    decisions.expect(0, 4)
    check(proxy.status_of(_ROUTE, draw, b"\x20") == contract.STATUS_MALFORMED, "half a request of the peer")
    decisions.expect(0, 0)
    check(entropy.stats() == before, "rngd counted what it denied")
    until = contract.EDGE_DEADLINE_RNGD_ALL
    check(status_of(ways.to(b"rngd"), draw, fair, until) == contract.STATUS_OK, "the twin of the denied request")
    check(status_of(ways.to(b"rngd"), draw, huge, until) == contract.STATUS_TOO_LARGE, "the twin of the large one")
    after = entropy.stats()
    check(after[0] - before[0] == 1 and after[2] - before[2] == 32, "what the twin was counted as")
