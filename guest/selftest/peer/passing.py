# What the peer does to give capabilities away: those of its routes, which the kernel has to refuse, and one to its own endpoint,
# which is its to give. Used by main.py.

import struct

import asking
import caps
import contract
import kernel
import server
from wire import Refuse

_NOTHING = contract.WIRE_REPLY_HEADER  # bytes of an answer that goes out only if the kernel lets the capability go


def _mint(handle):
    kernel.drop(kernel.mint(handle, kernel.sender(), contract.RIGHT_CALL))


# A refused reply leaves the call open.
def _grant(handle):
    kernel.grant(0, handle, contract.RIGHT_CALL, kernel.sender())
    kernel.reply(kernel.handle(), _NOTHING, 0, 1)


def _move(handle):
    kernel.send_cap(0, handle)
    kernel.reply(kernel.handle(), _NOTHING, 1)


_HOW = {contract.PASS_MINT: _mint, contract.PASS_GRANT: _grant, contract.PASS_MOVE: _move}


def on_pass_on(number, how):
    attempt = _HOW.get(how)
    if attempt is None:
        raise Refuse(contract.STATUS_NOT_FOUND)
    handle = asking.way(number)
    status = contract.E_OK
    try:
        attempt(handle)
    except kernel.Error as error:
        status = error.args[0]
    return struct.pack(contract.REPLY_SELFTEST_PEER_PASS_ON, status)


def on_lend(badge):
    kernel.grant(0, caps.ENDPOINT, contract.RIGHT_CALL, badge)
    return server.grant(1)
