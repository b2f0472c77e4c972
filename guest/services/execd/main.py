# execd: starts apps out of their bundles for whoever policy allows, and tells who wanted one started, and nobody else, how it ended.
# Every handler asks the gate about its caller before it does or tells anything; a child that is not the caller's own is as good as none.
# Statuses: RATE_LIMITED is too many starts in a short time, UNAVAILABLE too many at one time, or no room in the machine. Prints
# numbers only, never a byte of a request.

import struct

import app_id
import apps
import contract
import gate
import kernel
import later
import log
import server
from children import Child, Children
from rate import Buckets
from wire import Refuse

_DENSE = contract.LIMIT_PROCESSES + contract.LIMIT_APP_SLOTS  # callers that the kernel can state
_NO_TARGET = contract.POLICY_NO_TARGET.encode()
_NO_FAULT = (contract.FAULT_EXIT, contract.FAULT_KILLED)  # ends after which an app is not started again
_children = Children(kernel.incarnation())
_buckets = Buckets(_DENSE, contract.LIMIT_EXEC_BURST, contract.LIMIT_EXEC_REFILL)

# ---- operations ----


# Who asks, as records know it. A service has no publisher: the kernel states 0.
def _owner():
    return kernel.kind(), kernel.sender_id(), kernel.sender_publisher()


# Come back if the caller may start this bundle. A name that none can have is no question for policyd.
def _require(bundle):
    if len(bundle) > contract.POLICY_LIMIT_NAME_BYTES or b"\0" in bundle:
        raise Refuse(contract.STATUS_MALFORMED)
    gate.require_exec(bundle)


def on_exec(restarts, bundle):
    bundle = bytes(bundle)
    _require(bundle)
    if restarts > contract.LIMIT_APP_RESTARTS:
        raise Refuse(contract.STATUS_MALFORMED)
    if not _buckets.take(kernel.sender(), kernel.sender_id(), 1, kernel.time()):
        raise Refuse(contract.STATUS_RATE_LIMITED)
    owner = _owner()
    if not _children.has_room(owner):
        raise Refuse(contract.STATUS_UNAVAILABLE)
    child = Child(owner, bundle, app_id.service_id(bundle), restarts)
    apps.start(child)
    return struct.pack(contract.REPLY_EXECD_EXEC, _children.add(child), child.service_id)


# The caller's own child of that number. Asked about in any case, so that no answer tells which numbers there are.
def _own(number):
    child = _children.find(_owner(), number)
    gate.require_exec(_NO_TARGET if child is None else child.bundle)
    if child is None:
        raise Refuse(contract.STATUS_DENIED)
    return child


# Parked until the child is over for good. A second question for the same one means that who put the first has given it up.
def on_wait(number):
    child = _own(number)
    if child.end is not None:
        _children.forget(child)
        return _result(child)
    given_up, child.waiter = child.waiter, later.keep()
    if given_up is not None:
        later.answer(given_up, contract.STATUS_UNAVAILABLE, 0)
    return later.LATER


# No other start follows, whatever was asked for. One that is over stays so.
def on_kill(number):
    child = _own(number)
    child.restarts = 0
    if child.handle:
        apps.kill(child)
        _look_after(child)


def on_list(first, bundle):
    bundle = bytes(bundle)
    _require(bundle)
    child = _children.following(_owner(), bundle, first)
    if child is None:
        raise Refuse(contract.STATUS_NOT_FOUND)
    over = 0 if child.end is None else 1
    return struct.pack(contract.REPLY_EXECD_LIST, child.number, over, child.starts, apps.ticks(child))


# ---- ends ----


# Whichever bits came: the kernel's record of each child decides.
def on_bits(_bits):
    for child in _children.living():
        _look_after(child)


def _look_after(child):
    end = apps.collect(child)
    if end is None:
        return
    line = _line(child, end)
    level = contract.LEVEL_INFO if end[0] in _NO_FAULT else contract.LEVEL_WARNING
    log.append(level, line + contract.LINE_ENDED_PC + "%016x" % end[2])
    if end[0] in _NO_FAULT or not _again(child):
        kernel.console(line)
        _over(child, end)


def _line(child, end):
    head = contract.LINE_ENDED + "%08x" % child.number + contract.LINE_ENDED_CAUSE + "%02x" % end[0]
    return head + contract.LINE_ENDED_VALUE + "%016x" % end[1] + contract.LINE_ENDED_STARTS + "%02x" % child.starts


# Whether it runs once more: by its bundle as it is now, if it still is there.
def _again(child):
    if child.restarts == 0:
        return False
    child.restarts -= 1
    try:
        apps.start(child)
    except Refuse:
        return False
    return True


def _over(child, end):
    child.end = end
    if child.waiter is not None:
        result = _result(child)
        kernel.buffer[server.PAYLOAD : server.PAYLOAD + len(result)] = result
        if later.answer(child.waiter, contract.STATUS_OK, len(result)):
            _children.forget(child)
        child.waiter = None
    _children.sweep()


def _result(child):
    return struct.pack(contract.REPLY_EXECD_WAIT, *child.end, child.ticks, child.starts)


HANDLERS = {
    contract.OP_EXECD_EXEC: (on_exec, contract.REQUEST_EXECD_EXEC, contract.BADGE_FACET_ANY),
    contract.OP_EXECD_WAIT: (on_wait, contract.REQUEST_EXECD_WAIT, contract.BADGE_FACET_ANY),
    contract.OP_EXECD_KILL: (on_kill, contract.REQUEST_EXECD_KILL, contract.BADGE_FACET_ANY),
    contract.OP_EXECD_LIST: (on_list, contract.REQUEST_EXECD_LIST, contract.BADGE_FACET_ANY),
}

server.serve(HANDLERS, contract.MARK_EXECD_READY, on_bits)
