# What init has to do with the trail: events that only the supervisor knows, the number of decisions so far, the end of the trail.
# Called by init. Never raises: a logd or policyd that does not answer is what supervision is there for.

import struct

import caps
import client
import contract
from wire import Refuse


# Record what was done to a process. One that logd does not take is lost; a restarted logd tells of itself.
def event(kind, reason, index):
    payload = struct.pack(contract.REQUEST_LOGD_EVENT, kind, reason, index)
    _tell(contract.OP_LOGD_EVENT, payload)


# Have logd print where the trail ends.
def close():
    _tell(contract.OP_LOGD_CLOSE, b"")


def _tell(op, payload):
    try:
        client.call(caps.LOGD_EVENT, op, payload, client.deadline(contract.EDGE_DEADLINE_LOGD_ALL))
    except Refuse:
        return


# Decisions since reset, their lines printed and no other until told(); None if policyd does not say.
def decisions():
    until = client.deadline(contract.EDGE_DEADLINE_POLICYD_ALL)
    try:
        return client.ask(caps.POLICYD_HOLD, contract.OP_POLICYD_HOLD, b"", contract.REPLY_POLICYD_HOLD, until)[0]
    except Refuse:
        return None


# Their number is on the console: what others were answered meanwhile may follow.
def told():
    try:
        client.call(
            caps.POLICYD_HOLD, contract.OP_POLICYD_GO_ON, b"", client.deadline(contract.EDGE_DEADLINE_POLICYD_ALL)
        )
    except Refuse:
        return
