# What all drivers of modern virtio-mmio devices have in common (virtio 1.2, 3.1 and 4.2): from reset to running, and why it
# is silent. Used by drivers. Negotiates nothing but VERSION_1; knows no kind of device.

import contract
import kernel
from virtqueue import DeviceError, Silent

_HIGH_FEATURES = contract.VIRTIO_FEATURE_VERSION_1 // 32  # the selector of the word that holds the bit
_VERSION_1 = 1 << (contract.VIRTIO_FEATURE_VERSION_1 % 32)


class Virtio:
    # `kind` is the device id that the window must read; `wrong` the contract's line for another one.
    def __init__(self, device, queue, kind, wrong):
        self.device = device
        self.queue = queue
        self.kind = kind
        self.wrong = wrong

    # Take the device from reset to running (virtio 1.2, 3.1.1). `features`: of the low word, without which it is of no use.
    def start(self, features=0):
        self._reset()
        status = contract.VIRTIO_STATUS_ACKNOWLEDGE | contract.VIRTIO_STATUS_DRIVER
        self._write(contract.VIRTIO_REG_STATUS, status)
        self._write(contract.VIRTIO_REG_DRIVER_FEATURES_SEL, 0)
        self._write(contract.VIRTIO_REG_DRIVER_FEATURES, features)
        self._write(contract.VIRTIO_REG_DRIVER_FEATURES_SEL, _HIGH_FEATURES)
        self._write(contract.VIRTIO_REG_DRIVER_FEATURES, _VERSION_1)
        status |= contract.VIRTIO_STATUS_FEATURES_OK
        self._write(contract.VIRTIO_REG_STATUS, status)
        if kernel.device_read(contract.VIRTIO_REG_STATUS) != status:
            raise DeviceError(contract.LINE_DEVICE_BROKEN)
        self.queue.setup()
        self._write(contract.VIRTIO_REG_STATUS, status | contract.VIRTIO_STATUS_DRIVER_OK)
        self.queue.acknowledge()

    # Why it has given no answer in time: reset behind our back, or by its own error, it will never answer again.
    def silence(self):
        running = contract.VIRTIO_STATUS_DRIVER_OK | contract.VIRTIO_STATUS_FEATURES_OK
        status = kernel.device_read(contract.VIRTIO_REG_STATUS)
        if status & running != running or status & contract.VIRTIO_STATUS_NEEDS_RESET:
            return DeviceError(contract.LINE_DEVICE_BROKEN)
        return Silent(contract.LINE_DEVICE_SILENT)

    # A window that the kernel could not give can't be written to, and reading it would be a fault: so write first.
    def _reset(self):
        try:
            kernel.device_write(self.device, contract.VIRTIO_REG_STATUS, 0)
        except kernel.Error:
            raise DeviceError(contract.LINE_DEVICE_ABSENT)
        # What the first registers of a modern device of this kind read.
        identity = (
            (contract.VIRTIO_REG_MAGIC, contract.VIRTIO_MAGIC),
            (contract.VIRTIO_REG_VERSION, 2),
            (contract.VIRTIO_REG_DEVICE_ID, self.kind),
        )
        for register, value in identity:
            if kernel.device_read(register) != value:
                raise DeviceError(self.wrong)

    def _write(self, register, value):
        try:
            kernel.device_write(self.device, register, value)
        except kernel.Error:
            raise DeviceError(contract.LINE_DEVICE_BROKEN)
