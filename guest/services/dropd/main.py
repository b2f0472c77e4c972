# dropd: takes what the host drops into the running machine. Reads the drop disk when its size has changed and once at the start,
# and asks bundlemgrd to install, and execd to start, what is there. Installs nothing itself, has no operation to offer but READY, and
# goes on after whatever a disk holds; a disk that can't be used is told of once.

import caps
import client
import contract
import delivery
import header
import kernel
import server
from virtio_blk import SECTOR, ReadError, VirtioBlk
from virtqueue import DeviceError, Silent
from wire import Refuse

_OWN_BIT = 1  # as the device's: dropd is to look again


class Disk:
    def __init__(self):
        self.blk = VirtioBlk(caps.DEVICE_DROP, caps.QUEUE_DROP_0, caps.IRQ_DROP, caps.NOTIFICATION)
        self.again = kernel.mint(caps.NOTIFICATION, _OWN_BIT, contract.RIGHT_CALL)
        self.usable = True
        self.seen = None  # state of the disk when it was last looked at
        self.judged = None  # sectors and first sector of what was there then

    def start(self):
        try:
            self.blk.start()
        except DeviceError as error:
            self._give_up(error)

    # Let the next interrupt through. What it says is found by the state of the disk.
    def on_bits(self, _bits):
        if not self.usable:
            return
        try:
            self.blk.queue.acknowledge()
        except DeviceError as error:
            self._give_up(error)

    # Look if the disk is another than it was, not before everybody is up. A change can come at any moment, and its interrupt be taken
    # by a read: so look at the state once more after each drop, until it has stayed.
    def on_idle(self):
        if not self.usable:
            return
        try:
            state = self.blk.state()
            if state == self.seen:
                return
            if not kernel.bring_up():
                self.seen = state
                self._take(state[1])
        except DeviceError as error:
            self._give_up(error)
        kernel.notify(self.again)

    # Take what was dropped on a disk of so many sectors, or say why not.
    def _take(self, sectors):
        number = contract.DROP_EMPTY
        try:
            sector = self._first_sector(sectors)
            if self.blk.state() != self.seen:  # of another disk than the size, maybe: look at that one next
                return
            if self._again(sectors, sector) or header.empty(sector):
                return
            number = header.number(sector)
            flags, count, name = header.read(sector, sectors)
            delivery.install(self.blk, count, name)
            _say(contract.LINE_DROP_INSTALLED, number)
            if flags & contract.DROP_FLAG_START:
                _say(contract.LINE_DROP_STARTED, number, contract.LINE_DROP_CHILD + "%08x" % delivery.start(name))
        except Refuse as refusal:
            self._refuse(number, refusal.status)
        except (ReadError, Silent):
            self._refuse(number, contract.STATUS_UNAVAILABLE)
        except DeviceError:
            self._refuse(number, contract.STATUS_UNAVAILABLE)
            raise

    # All zeros if there is none.
    def _first_sector(self, sectors):
        return bytes(self.blk.read(0, 1, client.deadline(contract.LIMIT_DROP_TICKS)) if sectors else SECTOR)

    # Whether this is what was judged last. QEMU shows a new size before it counts the change, so one drop can look like two.
    def _again(self, sectors, sector):
        before, self.judged = self.judged, (sectors, sector)
        return before == self.judged

    # A header of a disk that has been changed since then is nobody's: the next look is at the new one.
    def _refuse(self, number, status):
        if number != contract.DROP_EMPTY or self.blk.state() == self.seen:
            _say(contract.LINE_DROP_REFUSED, number, contract.LINE_DROP_STATUS + "%02x" % status)

    def _give_up(self, error):
        self.usable = False
        kernel.console(error.args[0])


def _say(what, number, more=""):
    kernel.console(what + "%08x" % number + more)


_disk = Disk()
_disk.start()
server.serve({}, contract.MARK_DROPD_READY, _disk.on_bits, _disk.on_idle)
