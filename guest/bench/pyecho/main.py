# pyecho: answers with the payload it got. The server of row py.call.0 of nexus bench; does what every service does per call.

import contract
import server


def on_echo(payload):
    return len(payload)  # in place already: request and reply header have one length


HANDLERS = {
    contract.OP_PYECHO_ECHO: (on_echo, contract.REQUEST_PYECHO_ECHO, contract.BADGE_FACET_ANY),
}

server.serve(HANDLERS, contract.LINE_BENCH_UP)
