# The entropy device (virtio 1.2, 5.4): fills the front of the DMA window with exactly so many bytes, or says why not.
# rngd is its only user. Never looks at a byte: what came is tested and handed on by others.

import contract
import kernel
from virtio import Virtio
from virtqueue import DeviceError, Virtqueue

_DEVICE_ID = 4


class VirtioRng:
    def __init__(self, device, queue, irq, notification):
        self.queue = Virtqueue(queue, irq, notification)
        self.virtio = Virtio(device, self.queue, _DEVICE_ID, contract.LINE_DEVICE_WRONG)
        self.stale = False  # a buffer that was given up on is still with the device
        self.taken = 0  # bytes that the device said it delivered
        self.short = 0  # answers that held less than was asked for

    # Take the device from reset to running.
    def start(self):
        self.virtio.start()

    # Have exactly `count` bytes at the front of the DMA window by the deadline. Short answers are added up.
    def fill(self, count, until):
        self._recover(until)
        have = 0
        while have < count:
            self.queue.post(kernel.segment(have, count - have, True))
            have += self._answer(count - have, until)

    # Bytes of one answer. The device must give at least one (5.4.6.1); the kernel has refused more than was posted.
    def _answer(self, asked, until):
        self.stale = True
        done = self.queue.take(min(until, kernel.time() + contract.LIMIT_RNG_SILENCE_TICKS))
        if done is None:
            raise self.virtio.silence()
        used = done[1]
        self.stale = False
        if not 0 < used <= asked:
            raise DeviceError(contract.LINE_DEVICE_BROKEN)
        self.taken += used
        self.short += used < asked
        return used

    # A late answer to a request that was given up belongs to nobody: count it, and let the next one overwrite it.
    def _recover(self, until):
        if self.stale:
            self._answer(contract.LIMIT_ENTROPY_BYTES, until)
