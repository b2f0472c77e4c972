# One record in the system log, by an app that has only what every app has. Used by the apps of the selftest.
# A refusal is the end of the app: whoever started it learns that by its exit status.

import client
import contract
import route


def say(text):
    payload = bytes((contract.LEVEL_INFO,)) + text.encode()
    until = client.deadline(contract.EDGE_DEADLINE_LOGD_ALL)
    client.call(route.get(b"logd:append"), contract.OP_LOGD_APPEND, payload, until)
