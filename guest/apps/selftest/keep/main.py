# keep: stores a value where none is, or says that there was one. Started by the selftest before and after it is uninstalled.

import client
import contract
import kernel
import route
from wire import Refuse

_KEY, _VALUE = contract.APP_SAID_KEY.encode(), contract.APP_SAID_VALUE.encode()
_keystored = route.get(b"keystored")


def _ask(op, payload):
    return client.call(_keystored, op, payload, client.deadline(contract.EDGE_DEADLINE_KEYSTORED_ALL))


try:
    found = bytes(_ask(contract.OP_KEYSTORED_GET, _KEY)) == _VALUE
    kernel.exit(contract.APP_EXIT_FOUND if found else contract.LEAVE_FAILED)
except Refuse as refusal:
    if refusal.status != contract.STATUS_NOT_FOUND:
        raise
_ask(contract.OP_KEYSTORED_PUT, bytes((len(_KEY),)) + _KEY + _VALUE)
kernel.exit(contract.APP_EXIT_KEPT)
