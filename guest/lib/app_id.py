# Who the kernel will say an app is, worked out from the id of its bundle. Used by services that meet the name before they meet the app.
# Pure: knows no process and asks nobody.

import contract

_PREFIX = contract.SERVICE_ID_APP_PREFIX.encode()
_MASK = (1 << 64) - 1


# FNV-1a-64 of the app's whole name; `bundle` is its id as bytes.
def service_id(bundle):
    value = contract.SERVICE_ID_OFFSET
    for octet in _PREFIX + bundle:
        value = (value ^ octet) * contract.SERVICE_ID_PRIME & _MASK
    return value
