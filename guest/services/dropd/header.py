# The first sector of the drop disk (recipes/contract/drop.toml): what was dropped, or why that is nothing to go on with.
# Used by dropd. Pure, and believes nothing: the disk is a stranger's word. Never looks at the file itself.

import struct

import contract
from wire import Refuse

_MAGIC = contract.DROP_MAGIC.encode()
_ID_END = contract.DROP_AT_ID + contract.BUNDLE_AT_MAJOR - contract.BUNDLE_AT_ID  # an id is as long as a bundle's
_KNOWN_FLAGS = contract.DROP_FLAG_START
_MOST = contract.DROP_DISK_MAX - contract.DROP_SECTOR  # bytes of a file


# Whether nothing was dropped yet: a disk made so, or one of zeros.
def empty(sector):
    rest = len(_MAGIC)
    return sector[:rest] in (_MAGIC, bytes(rest)) and not any(sector[rest:])


# The number of the drop; DROP_EMPTY where none is told.
def number(sector):
    if sector[: len(_MAGIC)] != _MAGIC:
        return contract.DROP_EMPTY
    return struct.unpack_from("<I", sector, contract.DROP_AT_NUMBER)[0]


# (flags, bytes of the file, id) on a disk of so many sectors. Raises Refuse: TOO_LARGE, or MALFORMED for what is no drop.
def read(sector, sectors):
    flags, count = struct.unpack_from("<II", sector, contract.DROP_AT_FLAGS)
    name, rest = _name(sector[contract.DROP_AT_ID : _ID_END])
    if number(sector) == contract.DROP_EMPTY or flags & ~_KNOWN_FLAGS or not name or any(rest) or any(sector[_ID_END:]):
        raise Refuse(contract.STATUS_MALFORMED)
    if count > _MOST:
        raise Refuse(contract.STATUS_TOO_LARGE)
    if count == 0 or count > (sectors - 1) * contract.DROP_SECTOR:
        raise Refuse(contract.STATUS_MALFORMED)
    return flags, count, name


# What stands before the first zero of the field, and the rest of it.
def _name(field):
    end = field.find(b"\0")
    return (field, b"") if end < 0 else (field[:end], field[end:])
