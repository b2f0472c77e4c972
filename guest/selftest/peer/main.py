# selftest-peer: does what the selftest tells it to, with fewer rights, and says what the kernel answered.
# Its word alone proves nothing: the selftest checks each count, and the twin of each attempt is a service that may.

import struct

import asking
import contract
import kernel
import passing
import server
from wire import Refuse


def _device_write(handle):
    kernel.device_write(handle, contract.VIRTIO_REG_STATUS, 0)


def _queue_post(handle):
    kernel.queue_post(handle, kernel.segment(0, 64, True))


# The call that is being answered, with somebody's DMA window as payload. A refused reply leaves the call open.
def _dma_reply(handle):
    kernel.reply(kernel.handle(), contract.WIRE_REPLY_HEADER, 0, 0, handle, 0, 64)


ATTEMPTS = {
    contract.TRY_DEVICE_WRITE: _device_write,
    contract.TRY_QUEUE_SETUP: kernel.queue_setup,
    contract.TRY_QUEUE_POST: _queue_post,
    contract.TRY_QUEUE_TAKE: kernel.queue_take,
    contract.TRY_IRQ_ACK: kernel.irq_ack,
    contract.TRY_DMA_REPLY: _dma_reply,
}


# Once with every handle that a boot capability of whatever process can have.
def on_try(what):
    attempt = ATTEMPTS.get(what)
    if attempt is None:
        raise Refuse(contract.STATUS_NOT_FOUND)
    seen = {contract.E_BAD_HANDLE: 0, contract.E_BAD_TYPE: 0}
    for slot in range(contract.LIMIT_CAP_SLOTS):
        status = _status(attempt, contract.HANDLE_BOOT + slot)
        if status in seen:
            seen[status] += 1
    tried = contract.LIMIT_CAP_SLOTS
    form = contract.REPLY_SELFTEST_PEER_TRY
    return struct.pack(form, tried, seen[contract.E_BAD_HANDLE], seen[contract.E_BAD_TYPE])


def _status(attempt, handle):
    try:
        attempt(handle)
    except kernel.Error as error:
        return error.args[0]
    return contract.E_OK


HANDLERS = {
    contract.OP_SELFTEST_PEER_TRY: (on_try, contract.REQUEST_SELFTEST_PEER_TRY, contract.BADGE_FACET_ANY),
    contract.OP_SELFTEST_PEER_ASK: (asking.on_ask, contract.REQUEST_SELFTEST_PEER_ASK, contract.BADGE_FACET_ANY),
    contract.OP_SELFTEST_PEER_PASS_ON: (
        passing.on_pass_on,
        contract.REQUEST_SELFTEST_PEER_PASS_ON,
        contract.BADGE_FACET_ANY,
    ),
    contract.OP_SELFTEST_PEER_LEND: (passing.on_lend, contract.REQUEST_SELFTEST_PEER_LEND, contract.BADGE_FACET_ANY),
}

server.serve(HANDLERS)
