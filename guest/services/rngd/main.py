# rngd: exact numbers of bytes from the entropy device, each block tested before any byte of it is served, or a typed error
# by a deadline. The bytes go from the DMA window to the caller by the kernel; no Python object ever holds one.

import struct

import caps
import contract
import crypto
import gate
import kernel
import log
import server
from rate import Buckets
from virtio_rng import VirtioRng
from virtqueue import DeviceError, Silent
from wire import Refuse

_DENSE = contract.LIMIT_PROCESSES + contract.LIMIT_APP_SLOTS  # callers that the kernel can state


# The device and what is known of its health. Fails closed: after one bad block or broken rule it serves nobody.
class Source:
    def __init__(self):
        self.rng = VirtioRng(caps.DEVICE_RNG, caps.QUEUE_RNG_0, caps.IRQ_RNG, caps.NOTIFICATION)
        self.failed = False
        self.requests = 0
        self.served = 0

    # Start-up test: so many samples, none of which is ever served.
    def start(self):
        self.rng.start()
        crypto.health_start()
        until = kernel.time() + contract.SERVICE_TIME_ALL_READY
        for _ in range(contract.LIMIT_ENTROPY_STARTUP_BYTES // contract.LIMIT_ENTROPY_BYTES):
            self._block(contract.LIMIT_ENTROPY_BYTES, until)

    # Have `count` tested bytes at the front of the DMA window.
    def draw(self, count):
        self.requests += 1
        if self.failed:
            raise Refuse(contract.STATUS_UNAVAILABLE)
        try:
            self._block(count, kernel.time() + contract.SERVICE_TIME_RNGD_GET_ENTROPY)
        except Silent:
            raise Refuse(contract.STATUS_UNAVAILABLE)  # it may answer again
        except DeviceError as error:
            self._fail(error.args[0])
            raise Refuse(contract.STATUS_UNAVAILABLE)
        self.served += count

    # An answer that came too late for its request: let the interrupt through for the next one.
    def on_interrupt(self):
        if self.failed:
            return
        try:
            self.rng.queue.acknowledge()
        except DeviceError as error:
            self._fail(error.args[0])

    def _fail(self, line):
        self.failed = True
        log.append(contract.LEVEL_ERROR, line)

    # A block is never smaller than what the duplicate test needs to be meaningful.
    def _block(self, count, until):
        count = max(count, contract.LIMIT_ENTROPY_BLOCK)
        self.rng.fill(count, until)
        if crypto.health(0, count) != contract.HEALTH_OK:
            raise DeviceError(contract.LINE_HEALTH_FAILED)


def on_get_entropy(count):
    gate.require(contract.ACTION_RNG_ENTROPY)
    if count == 0:
        raise Refuse(contract.STATUS_MALFORMED)
    if count > contract.LIMIT_ENTROPY_BYTES:
        raise Refuse(contract.STATUS_TOO_LARGE)
    if not _buckets.take(kernel.sender(), kernel.sender_id(), count, kernel.time()):
        raise Refuse(contract.STATUS_RATE_LIMITED)
    _source.draw(count)
    return server.dma(caps.DMA_RNG, 0, count)


def on_stats():
    gate.require(contract.ACTION_RNG_ENTROPY)
    rng = _source.rng
    return struct.pack(contract.REPLY_RNGD_STATS, _source.requests, rng.taken, _source.served, rng.short)


def on_bits(_bits):
    _source.on_interrupt()


HANDLERS = {
    contract.OP_RNGD_GET_ENTROPY: (on_get_entropy, contract.REQUEST_RNGD_GET_ENTROPY, contract.BADGE_FACET_ANY),
    contract.OP_RNGD_STATS: (on_stats, contract.REQUEST_RNGD_STATS, contract.BADGE_FACET_ANY),
}

_source = Source()
_buckets = Buckets(_DENSE, contract.LIMIT_ENTROPY_BURST, contract.LIMIT_ENTROPY_REFILL)
try:
    _source.start()
except DeviceError as error:
    kernel.console(error.args[0])
    kernel.exit(contract.LEAVE_FAILED if isinstance(error, Silent) else contract.LEAVE_FINAL)
server.serve(HANDLERS, contract.MARK_RNGD_READY, on_bits)
