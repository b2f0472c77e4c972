# A disk (virtio 1.2, 5.2), read only: has whole sectors in the DMA window by the deadline, or says why not. dropd is its only user.
# Never writes to the disk, believes no length and no status but the right ones, and knows nothing of what it reads.

import struct

import contract
import kernel
from virtio import Virtio
from virtqueue import DeviceError, Virtqueue

SECTOR = 512
_DEVICE_ID = 2
_IN = 0  # type of a request that reads
_OK, _IO_ERROR = 0, 1  # what the device writes as its status
_UNSET = 0xFF
# The window: request header, status, then the data from its second page on.
_HEADER_BYTES = 16
_STATUS = 16
_DATA = 4096
_WINDOW_BYTES = contract.LIMIT_DMA_PAGES * 4096
MOST = (_WINDOW_BYTES - _DATA) // SECTOR  # sectors of one read
_TRIES = 16  # a size that changes all the time is none


# The device is in order and could not read these sectors.
class ReadError(DeviceError):
    pass


class VirtioBlk:
    def __init__(self, device, queue, irq, notification):
        self.queue = Virtqueue(queue, irq, notification)
        self.virtio = Virtio(device, self.queue, _DEVICE_ID, contract.LINE_DISK_WRONG)
        self.window = None
        self.stale = False  # a request that was given up is still with the device

    # From reset to running.
    def start(self):
        self.virtio.start()
        self.stale = False
        self.window = kernel.dma(_WINDOW_BYTES, "B")

    # How often the device has changed its configuration, as it counts, and its sectors. Both words of one moment: the size is read
    # in two halves (virtio 1.2, 2.5.3).
    def state(self):
        for _ in range(_TRIES):
            count = kernel.device_read(contract.VIRTIO_REG_CONFIG_GENERATION)
            low = kernel.device_read(contract.VIRTIO_REG_CONFIG)
            high = kernel.device_read(contract.VIRTIO_REG_CONFIG + 4)
            if kernel.device_read(contract.VIRTIO_REG_CONFIG_GENERATION) == count:
                return count, low | high << 32
        raise DeviceError(contract.LINE_DEVICE_BROKEN)

    # A view of these sectors, at most MOST; it holds until the next read. A request that was given up is the device's no more only after
    # a reset, which is not made before somebody wants to read again: a device may have to answer first, and keep the machine waiting.
    def read(self, sector, count, until):
        if self.stale:
            self.start()
        data = count * SECTOR
        struct.pack_into("<IIQB", self.window, 0, _IN, 0, sector, _UNSET)  # the status lies behind the header
        self.queue.post(
            kernel.segment(0, _HEADER_BYTES, False),
            kernel.segment(_DATA, data, True),
            kernel.segment(_STATUS, 1, True),
        )
        self.stale = True
        done = self.queue.take(until)
        if done is None:
            raise self.virtio.silence()
        self.stale = False
        status = self.window[_STATUS]
        if status == _IO_ERROR:
            raise ReadError(contract.LINE_DEVICE_BROKEN)
        if status != _OK or done[1] != data + 1:
            raise DeviceError(contract.LINE_DEVICE_BROKEN)
        return self.window[_DATA : _DATA + data]
