# An app asks for entropy and ends with what came of it. Used by the apps of the selftest, which differ in what their manifests ask
# for and in what policy says of them.

import struct

import client
import contract
import kernel
import route
from wire import Refuse, Unreachable

_BYTES = 32


def draw():
    kernel.exit(_draw())


def _draw():
    rngd = _status(lambda: route.get(b"rngd"))
    if isinstance(rngd, Refuse):
        return contract.APP_EXIT_NO_ROUTE
    request = struct.pack(contract.REQUEST_RNGD_GET_ENTROPY, _BYTES)
    until = client.deadline(contract.EDGE_DEADLINE_RNGD_ALL)
    drawn = _status(lambda: len(client.call(rngd, contract.OP_RNGD_GET_ENTROPY, request, until)))
    if isinstance(drawn, Refuse):
        return contract.APP_EXIT_DENIED
    return contract.APP_EXIT_DREW if drawn == _BYTES else contract.LEAVE_FAILED


# What it gives, or the refusal itself if it is DENIED; whatever else goes wrong is told as nothing of the kind.
def _status(ask):
    try:
        return ask()
    except Unreachable:
        kernel.exit(contract.LEAVE_FAILED)
    except Refuse as refusal:
        if refusal.status != contract.STATUS_DENIED:
            kernel.exit(contract.LEAVE_FAILED)
        return refusal
