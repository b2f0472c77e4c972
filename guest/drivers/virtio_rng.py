# The entropy device (virtio 1.2, 5.4): fills the front of the DMA window with exactly so many bytes, or says why not.
# rngd is its only user. Never looks at a byte: what came is tested and handed on by others.

import contract
import kernel
from virtqueue import DeviceError, Virtqueue

# What the first registers of a modern entropy device read.
_IDENTITY = (
    (contract.VIRTIO_REG_MAGIC, contract.VIRTIO_MAGIC),
    (contract.VIRTIO_REG_VERSION, 2),
    (contract.VIRTIO_REG_DEVICE_ID, 4),
)
_HIGH_FEATURES = contract.VIRTIO_FEATURE_VERSION_1 // 32  # the selector of the word that holds the bit
_VERSION_1 = 1 << (contract.VIRTIO_FEATURE_VERSION_1 % 32)


# The device has given nothing for a while; it may still come back.
class Silent(DeviceError):
    pass


class VirtioRng:
    def __init__(self, device, queue, irq, notification):
        self.device = device
        self.queue = Virtqueue(queue, irq, notification)
        self.stale = False  # a buffer that was given up on is still with the device
        self.taken = 0  # bytes that the device said it delivered
        self.short = 0  # answers that held less than was asked for

    # Take the device from reset to running (virtio 1.2, 3.1.1).
    def start(self):
        self._reset()
        status = contract.VIRTIO_STATUS_ACKNOWLEDGE | contract.VIRTIO_STATUS_DRIVER
        self._write(contract.VIRTIO_REG_STATUS, status)
        self._write(contract.VIRTIO_REG_DRIVER_FEATURES_SEL, 0)
        self._write(contract.VIRTIO_REG_DRIVER_FEATURES, 0)
        self._write(contract.VIRTIO_REG_DRIVER_FEATURES_SEL, _HIGH_FEATURES)
        self._write(contract.VIRTIO_REG_DRIVER_FEATURES, _VERSION_1)
        status |= contract.VIRTIO_STATUS_FEATURES_OK
        self._write(contract.VIRTIO_REG_STATUS, status)
        if kernel.device_read(contract.VIRTIO_REG_STATUS) != status:
            raise DeviceError(contract.LINE_DEVICE_BROKEN)
        self.queue.setup()
        self._write(contract.VIRTIO_REG_STATUS, status | contract.VIRTIO_STATUS_DRIVER_OK)
        self.queue.acknowledge()

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
        used = self.queue.take(min(until, kernel.time() + contract.LIMIT_RNG_SILENCE_TICKS))
        if used is None:
            raise Silent(contract.LINE_DEVICE_SILENT) if self._running() else DeviceError(contract.LINE_DEVICE_BROKEN)
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

    # Reset behind our back, or by its own error, it will never answer again.
    def _running(self):
        running = contract.VIRTIO_STATUS_DRIVER_OK | contract.VIRTIO_STATUS_FEATURES_OK
        status = kernel.device_read(contract.VIRTIO_REG_STATUS)
        return status & running == running and not status & contract.VIRTIO_STATUS_NEEDS_RESET

    # A window that the kernel could not give can't be written to, and reading it would be a fault: so write first.
    def _reset(self):
        try:
            kernel.device_write(self.device, contract.VIRTIO_REG_STATUS, 0)
        except kernel.Error:
            raise DeviceError(contract.LINE_DEVICE_ABSENT)
        for register, value in _IDENTITY:
            if kernel.device_read(register) != value:
                raise DeviceError(contract.LINE_DEVICE_WRONG)

    def _write(self, register, value):
        try:
            kernel.device_write(self.device, register, value)
        except kernel.Error:
            raise DeviceError(contract.LINE_DEVICE_BROKEN)
