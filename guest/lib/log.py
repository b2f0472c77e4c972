# A line for the system log. Called by services about themselves; the text is fixed words and fixed-width hex.
# Never raises and never prints: a service works on without its log.

import caps
import client
import contract
import wire


# Whether logd has taken the record.
def append(level, text):
    payload = bytes((level,)) + text.encode()
    try:
        client.call(
            caps.LOGD_APPEND, contract.OP_LOGD_APPEND, payload, client.deadline(contract.EDGE_DEADLINE_LOGD_ALL)
        )
    except wire.Refuse:
        return False
    return True
