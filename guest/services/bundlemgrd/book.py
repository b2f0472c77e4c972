# What of the regions outlives bundlemgrd, in its kept memory: which of them hold an installed bundle, which one that is gone but may
# still be in use, and whose values go with that. Used by keeper.py. Says nothing of what a bundle is: that is judged anew after a restart.

import struct

import contract

# What a region holds; all zeros at the first start.
NOTHING = 0
INSTALLED = 1
UNINSTALLED = 2  # what its app has stored is deleted with it
REPLACED = 3  # by another version, which keeps that

_SLOT = "<QQB"  # service id, publisher, what
_STRIDE = 24
_WHAT = 16
_OWN = contract.LIMIT_REGIONS * _STRIDE  # how many of the image's bundles were dealt with


class Book:
    def __init__(self, memory):
        self.memory = memory

    def read(self, slot):
        return struct.unpack_from(_SLOT, self.memory, slot * _STRIDE)

    # The last store makes it so.
    def install(self, slot, service_id, publisher):
        struct.pack_into("<QQ", self.memory, slot * _STRIDE, service_id, publisher)
        self.mark(slot, INSTALLED)

    def mark(self, slot, what):
        self.memory[slot * _STRIDE + _WHAT] = what

    def own_done(self):
        return self.memory[_OWN]

    def count_own(self):
        self.memory[_OWN] += 1
