# An app as a process: out of its sealed bundle into the kernel's hands, and what the kernel says of its end. Used by execd's handlers.
# What the app is called and what it may is the kernel's to read out of the bundle; nothing here could give it more. Leaves nothing
# behind when a start fails, and no memory of an app that has ended.

import caps
import client
import contract
import frame
import kernel
import wire
from wire import Refuse

_STATE, _FAULT, _VALUE, _PC, _TICKS, _SERVICE_ID = range(6)  # in what SUP_STATUS gives
# What bundlemgrd refuses is told to whoever may start that bundle; anything else it says is none of theirs.
_FOR_CALLERS = (contract.STATUS_DENIED, contract.STATUS_NOT_FOUND, contract.STATUS_UNAVAILABLE)


# Start it, once more perhaps. Raises Refuse: DENIED, NOT_FOUND, EXISTS (one of that name lives already) or UNAVAILABLE.
def start(child):
    region = _open(child.bundle)
    try:
        handle = _spawn(region)
    finally:
        kernel.drop(region)
    # bundlemgrd's word for which bundle that was is not believed: policy was asked about this one.
    if kernel.supervise(handle, contract.SUP_STATUS)[_SERVICE_ID] != child.service_id:
        kernel.supervise(handle, contract.SUP_KILL)
        kernel.supervise(handle, contract.SUP_FREE)
        raise Refuse(contract.STATUS_UNAVAILABLE)
    kernel.supervise(handle, contract.SUP_RESUME)
    child.handle = handle
    child.starts += 1


# How its process ended, (FAULT_*, value, pc), its memory wiped and its name free again; None while it lives.
def collect(child):
    status = kernel.supervise(child.handle, contract.SUP_STATUS)
    if status[_STATE] != contract.STATE_STOPPED:
        return None
    kernel.supervise(child.handle, contract.SUP_FREE)
    child.handle = 0
    child.ticks += status[_TICKS]
    return status[_FAULT], status[_VALUE], status[_PC]


# One that has stopped already is left as it is.
def kill(child):
    try:
        kernel.supervise(child.handle, contract.SUP_KILL)
    except kernel.Error as error:
        if error.args[0] != contract.E_STATE:
            raise


# CPU time of all its starts.
def ticks(child):
    if child.handle == 0:
        return child.ticks
    return child.ticks + kernel.supervise(child.handle, contract.SUP_STATUS)[_TICKS]


# The sealed region of a bundle, to be dropped once the app is made.
def _open(bundle):
    until = client.deadline(contract.EDGE_DEADLINE_BUNDLEMGRD_EXECD)
    count = frame.call(caps.BUNDLEMGRD, contract.OP_BUNDLEMGRD_OPEN, bundle, until, 0, 1)
    if count < 0:
        status = wire.failure(count).status
        raise Refuse(status if status in _FOR_CALLERS else contract.STATUS_UNAVAILABLE)
    region = kernel.caps(0)
    if frame.unpack(contract.REPLY_BUNDLEMGRD_OPEN, count) is None:
        kernel.drop(region)
        raise wire.BadReply()
    return region


def _spawn(region):
    stack, share = contract.LIMIT_APP_STACK_PAGES, contract.LIMIT_APP_SHARE
    try:
        return kernel.spawn(caps.SPAWN, region, stack, share, caps.APPS_INIT)
    except kernel.Error as error:
        exists = error.args[0] == contract.E_EXISTS
        raise Refuse(contract.STATUS_EXISTS if exists else contract.STATUS_UNAVAILABLE)
