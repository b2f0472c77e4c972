# Apps that the selftest starts, and execd's answers about them taken apart. Used by proofs, which judge them.

import struct

import caps
import client
import contract
import ways
from proof import rest, status_of
from wire import Refuse

UNTIL = contract.EDGE_DEADLINE_EXECD_ALL
EXEC, WAIT, KILL, LIST = contract.OP_EXECD_EXEC, contract.OP_EXECD_WAIT, contract.OP_EXECD_KILL, contract.OP_EXECD_LIST
_TRIES = 8  # of a start; between two of them execd's bucket gets one back
_HEAD = struct.calcsize(contract.RECORD_LOG)


def exec_request(bundle, restarts=0):
    return struct.pack(contract.REQUEST_EXECD_EXEC[:-1], restarts) + bundle


def list_request(bundle, first=0):
    return struct.pack(contract.REQUEST_EXECD_LIST[:-1], first) + bundle


# WAIT and KILL have the same form.
def child_request(number):
    return struct.pack(contract.REQUEST_EXECD_WAIT, number)


def status(op, payload):
    return status_of(ways.to(b"execd"), op, payload, UNTIL)


# (number, service id) of a new child. Too many starts in a short time are no failure of a proof.
def start(bundle, restarts=0):
    for _ in range(_TRIES):
        try:
            return _ask(EXEC, exec_request(bundle, restarts), contract.REPLY_EXECD_EXEC)
        except Refuse as refusal:
            if refusal.status != contract.STATUS_RATE_LIMITED:
                raise
        rest(contract.LIMIT_TICK_HZ // contract.LIMIT_EXEC_REFILL)
    raise Refuse(contract.STATUS_RATE_LIMITED)


def status_of_start(bundle, restarts=0):
    try:
        start(bundle, restarts)
    except Refuse as refusal:
        return refusal.status
    return contract.STATUS_OK


# (FAULT_*, value, pc, CPU ticks, starts) of one that is over for good, which may take its time.
def wait(number):
    return _ask(WAIT, child_request(number), contract.REPLY_EXECD_WAIT)


# (number, whether it is over, starts, CPU ticks) of the first child that runs this bundle.
def listed(bundle, first=0):
    return _ask(LIST, list_request(bundle, first), contract.REPLY_EXECD_LIST)


# Exit status of the app of this bundle, from its start to its end; None if it ended otherwise.
def exit_of(bundle):
    cause, value = wait(start(bundle)[0])[:2]
    return value if cause == contract.FAULT_EXIT else None


def _ask(op, payload, form):
    return client.ask(ways.to(b"execd"), op, payload, form, client.deadline(UNTIL))


# ---- what the others say of it ----


# struct process_status of a process, by dense index; None where there is none.
def process(index):
    request = struct.pack(contract.REQUEST_INIT_PS, index)
    until = client.deadline(contract.EDGE_DEADLINE_INIT_ALL)
    try:
        return client.ask(caps.INIT, contract.OP_INIT_PS, request, contract.REPLY_INIT_PS, until)
    except Refuse as refusal:
        if refusal.status != contract.STATUS_NOT_FOUND:
            raise
        return None


# Service ids of the apps that there are.
def apps():
    first = len(caps.SUBJECTS)
    found = [process(index) for index in range(first, first + contract.LIMIT_APP_SLOTS)]
    return [status[5] for status in found if status is not None]


# Number of the next record of the log.
def log_end():
    until = client.deadline(contract.EDGE_DEADLINE_LOGD_ALL)
    form = contract.REPLY_LOGD_STATS
    return client.ask(ways.to(b"logd:stats"), contract.OP_LOGD_STATS, b"", form, until)[0] + 1


# (sender's dense index, its kind, level, text) of the records from that number on.
def logged(since, level=contract.LEVEL_INFO):
    found = []
    while True:
        count, following, page = _page(since, level)
        at = 0
        for _ in range(count):
            _, _, sender, kind, grade, size = struct.unpack_from(contract.RECORD_LOG, page, at)
            found.append((sender, kind, grade, page[at + _HEAD : at + _HEAD + size]))
            at += _HEAD + size
        if following == since:
            return found
        since = following


def _page(since, level):
    payload = struct.pack(contract.REQUEST_LOGD_QUERY, since, level)
    until = client.deadline(contract.EDGE_DEADLINE_LOGD_ALL)
    form = contract.REPLY_LOGD_QUERY
    values = client.ask(ways.to(b"logd:query"), contract.OP_LOGD_QUERY, payload, form, until)
    return values[0], values[1], bytes(values[2])
