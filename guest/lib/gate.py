# The question that every enforcer puts to policyd before it does something sensitive for the one it is serving.
# Called by handlers, before they look at anything but the frame. Decides nothing, keeps no list, never asks twice: whatever is
# no plain OK in time is a refusal. A nested call overwrites kernel.buffer, so a handler copies its payload first.

import caps
import client
import contract
import frame
import kernel
from wire import Refuse

NO_TARGET = b"-"


# Come back if the caller may do this to that target; else raise Refuse(DENIED), whatever the reason.
def require(action, target=NO_TARGET):
    _ask(contract.OP_POLICYD_CHECK, bytes((action & 0xFF, action >> 8)) + target, action, target)


# As require, for being given a route.
def require_route(name):
    _ask(contract.OP_POLICYD_ROUTE, name, contract.ACTION_ROUTE, name)


# As require, for having this bundle started.
def require_exec(bundle):
    _ask(contract.OP_POLICYD_EXEC, bundle, contract.ACTION_PROC_EXEC, bundle)


def _ask(op, payload, action, target):
    until = client.deadline(contract.EDGE_DEADLINE_POLICYD_ALL)
    try:
        client.call(caps.POLICYD, op, payload, until, kernel.handle())
    except Refuse as refusal:
        if refusal.status != contract.STATUS_DENIED:
            _unanswered(action, target)
        raise Refuse(contract.STATUS_DENIED)
    if kernel.time() > until:
        _unanswered(action, target)
        raise Refuse(contract.STATUS_DENIED)


# policyd could not record this one. If logd can't either, the request is still refused.
def _unanswered(action, target):
    payload = bytes((frame.op(), action & 0xFF, action >> 8)) + target
    until = client.deadline(contract.EDGE_DEADLINE_LOGD_ALL)
    try:
        client.call(caps.LOGD_AUDIT, contract.OP_LOGD_AUDIT, payload, until, kernel.handle())
    except Refuse:
        return
