# pybench: makes the calls of the Python rows of nexus bench when `bench`, which counts the instructions, asks for them.

import struct

import caps
import client
import contract
import server
from wire import Refuse

_ENTROPY = struct.pack(contract.REQUEST_RNGD_GET_ENTROPY, 32)


def _py_call():
    client.call(caps.PYECHO, contract.OP_PYECHO_ECHO, b"", client.deadline(contract.EDGE_DEADLINE_PYECHO_ALL))


def _rngd_request():
    client.call(caps.RNGD, contract.OP_RNGD_GET_ENTROPY, _ENTROPY, client.deadline(contract.EDGE_DEADLINE_RNGD_ALL))


ROWS = {contract.ROW_PY_CALL: _py_call, contract.ROW_RNGD_REQUEST: _rngd_request}


def on_run(row, rounds):
    once = ROWS.get(row)
    if once is None:
        raise Refuse(contract.STATUS_NOT_FOUND)
    for _ in range(rounds):
        once()


HANDLERS = {
    contract.OP_PYBENCH_RUN: (on_run, contract.REQUEST_PYBENCH_RUN, contract.BADGE_FACET_ANY),
}

server.serve(HANDLERS, contract.LINE_BENCH_UP)
