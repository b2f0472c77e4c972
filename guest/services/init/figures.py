# What init tells of processes: state, use and capabilities, as the kernel counts them. Called by main.py once policyd has allowed it
# for whoever asked. Looks only; a page is true at one time, two pages at two.

import struct

import caps
import contract
import kernel
import server
from wire import Refuse

_PROCESSES = contract.LIMIT_PROCESSES + contract.LIMIT_APP_SLOTS
_ROWS = server.PAYLOAD + struct.calcsize(contract.REPLY_INIT_TOP[:-1])  # where the rows of a page begin; of caps too
_ROOM = contract.IPC_DATA_BYTES - _ROWS


# struct process_status of one process.
def process(index):
    return struct.pack(contract.REPLY_INIT_PS, *_status(index))


# The processes that there are, from this index on.
def top(first):
    return _page(contract.RECORD_TOP, first, _PROCESSES, _used)


# The slots that a process uses, from this one on.
def capabilities(index, first):
    _status(index)
    return _page(contract.RECORD_CAP, first, contract.LIMIT_CAP_SLOTS, lambda slot: _held(index, slot))


# As many rows as fit, straight into the answer: row_of gives the values of the n-th, None if there is none.
def _page(form, first, end, row_of):
    size = struct.calcsize(form)
    count = 0
    for number in range(first, end):
        row = row_of(number)
        if row is None:
            continue
        if (count + 1) * size > _ROOM:
            return _headed(count, size, number)
        struct.pack_into(form, kernel.buffer, _ROWS + count * size, *row)
        count += 1
    return _headed(count, size, contract.INIT_END)


def _headed(count, size, following):
    struct.pack_into(contract.REPLY_INIT_TOP[:-1], kernel.buffer, server.PAYLOAD, count, following)
    return _ROWS - server.PAYLOAD + count * size


def _status(index):
    try:
        return kernel.process(caps.SYSTEM, index)
    except kernel.Error:
        raise Refuse(contract.STATUS_NOT_FOUND)


def _used(index):
    try:
        state, _, _, _, ticks, service_id, incarnation, _, frames, _, messages = kernel.process(caps.SYSTEM, index)
    except kernel.Error:
        return None
    return index, state, incarnation, frames, ticks, messages, service_id


def _held(index, slot):
    kind, rights, thing, badge = kernel.capability(caps.SYSTEM, index, slot)
    return None if kind == contract.OBJ_NONE else (slot, kind, rights, thing, badge)
