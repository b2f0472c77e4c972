# Hands a dropped bundle to bundlemgrd and, where the drop asks for that, has execd start it. Used by dropd, which is who asks:
# what it may is policy's word, and the bundle counts by its signature alone. Raises wire.Refuse and virtqueue.DeviceError.

import struct

import caps
import client
import contract
from virtio_blk import MOST, SECTOR

_PUT = "<I"
_PUT_HEADER = struct.calcsize(_PUT)
_message = memoryview(bytearray(_PUT_HEADER + contract.LIMIT_BUNDLE_PUT))


# Copy the file, which begins with the disk's second sector, and have it installed under this id.
def install(disk, count, name):
    _ask(contract.OP_BUNDLEMGRD_STAGE, struct.pack("<I", count) + name)
    done, sector = 0, 1
    while done < count:
        sectors = min(MOST, (count - done + SECTOR - 1) // SECTOR)
        data = disk.read(sector, sectors, client.deadline(contract.LIMIT_DROP_TICKS))
        size = min(len(data), count - done)
        _put(data, size, done)
        done += size
        sector += sectors
    _ask(contract.OP_BUNDLEMGRD_INSTALL, name)


# So many bytes of what was read, which stand at this offset in the file.
def _put(data, size, offset):
    at = 0
    while at < size:
        count = min(contract.LIMIT_BUNDLE_PUT, size - at)
        message = _message[: _PUT_HEADER + count]
        struct.pack_into(_PUT, message, 0, offset + at)
        message[_PUT_HEADER:][:] = data[at : at + count]
        _ask(contract.OP_BUNDLEMGRD_PUT, message)
        at += count


def _ask(op, payload):
    client.call(caps.BUNDLEMGRD, op, payload, client.deadline(contract.EDGE_DEADLINE_BUNDLEMGRD_ALL))


# Start it, once; the number of the child. Nobody waits for it: execd tells the console when it is over.
def start(name):
    until = client.deadline(contract.EDGE_DEADLINE_EXECD_ALL)
    return client.ask(caps.EXECD, contract.OP_EXECD_EXEC, b"\0" + name, contract.REPLY_EXECD_EXEC, until)[0]
