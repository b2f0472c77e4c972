# Public keys of this boot, so that a signature can be checked after its key is gone. A ring in memory that outlives keystored;
# the oldest makes room. Used by keystored's handlers. Holds nothing secret and asks nobody.

import struct

import contract
import crypto

# One slot; a key is there only when all of it is, so the first byte is written last.
_VALID, _MODE, _NUMBER, _PUBLIC = 0, 1, 4, 8
_SLOT = _PUBLIC + contract.KEY_PUBLIC_BYTES


def key_id(public):
    return crypto.sha256(public)[: contract.KEY_ID_BYTES]


class KnownKeys:
    # memory: bytes, zero at boot. The key with number n lies in slot n modulo their count.
    def __init__(self, memory):
        self.memory = memory
        self.ids = [None] * contract.LIMIT_KNOWN_KEYS
        self.newest = 0
        for slot in range(contract.LIMIT_KNOWN_KEYS):
            self._load(slot)

    # (mode, public key) by key id; None for one that was never told or had to make room.
    def find(self, wanted):
        if wanted not in self.ids:
            return None
        at = self.ids.index(wanted) * _SLOT
        return self.memory[at + _MODE], self._public(at)

    # Keep a key; whether it was unknown until now.
    def add(self, mode, public):
        name = key_id(public)
        if name in self.ids:
            return False
        self.newest += 1
        slot = self.newest % contract.LIMIT_KNOWN_KEYS
        self._store(slot * _SLOT, mode, public)
        self.ids[slot] = name
        return True

    def _store(self, at, mode, public):
        memory = self.memory
        memory[at + _VALID] = 0
        memory[at + _MODE] = mode
        struct.pack_into("<I", memory, at + _NUMBER, self.newest)
        memory[at + _PUBLIC : at + _SLOT] = public
        memory[at + _VALID] = 1

    def _load(self, slot):
        at = slot * _SLOT
        if self.memory[at + _VALID]:
            self.ids[slot] = key_id(self._public(at))
            self.newest = max(self.newest, struct.unpack_from("<I", self.memory, at + _NUMBER)[0])

    def _public(self, at):
        return bytes(self.memory[at + _PUBLIC : at + _SLOT])
