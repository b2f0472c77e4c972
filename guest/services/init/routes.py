# Hands out routes: a capability to another service's endpoint, badged for whoever asked, once policyd has allowed it for them.
# Used by init. The names are the recipe's; whether a name exists is told only to those who may have it.

import caps
import contract
import gate
import kernel
import server
from wire import Refuse


# The result of a handler that was asked for this route. `gone` tells whether a service, by name, has been given up.
def give(name, gone):
    if len(name) > contract.POLICY_LIMIT_NAME_BYTES:
        raise Refuse(contract.STATUS_MALFORMED)
    gate.require_route(name)
    if name not in caps.ROUTES:
        raise Refuse(contract.STATUS_NOT_FOUND)
    if gone(name.split(b":")[0]):
        raise Refuse(contract.STATUS_UNAVAILABLE)
    handle, facet = caps.ROUTES[name]
    # The badge says who holds it, so that it is worth nothing in other hands; without GRANT it can't get there.
    kernel.grant(0, handle, contract.RIGHT_CALL, facet << contract.BADGE_FACET_SHIFT | kernel.sender())
    return server.grant(1)
