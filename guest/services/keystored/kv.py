# Small values, a space for each caller. Who the caller is, is the kernel's word and part of where a value lies, so no request can
# name another's. A caller that has a space has room for LIMIT_KV_ENTRIES in it, whatever others do; spaces are limited, and
# apart for services and for apps. Used by keystored's handlers. Wipes what it drops; asks nobody.

import contract
import crypto


class Store:
    def __init__(self):
        self.spaces = {}  # (kind, service id, publisher) -> {key: value}
        self.free = {
            contract.KIND_SERVICE: contract.LIMIT_KV_SERVICE_SPACES,
            contract.KIND_APP: contract.LIMIT_KV_APP_SPACES,
        }

    # Keep a value, a bytearray that nobody else goes on using; False when there is no room.
    def put(self, owner, key, value):
        space = self.spaces.get(owner)
        if space is None:
            space = self._open(owner)
        if space is None or (key not in space and len(space) == contract.LIMIT_KV_ENTRIES):
            return False
        _wipe(space, key)
        space[key] = value
        return True

    # The value, not a copy; None when there is none.
    def get(self, owner, key):
        return self.spaces.get(owner, _NOTHING).get(key)

    # Whether there was such a value.
    def delete(self, owner, key):
        space = self.spaces.get(owner, _NOTHING)
        if key not in space:
            return False
        _wipe(space, key)
        del space[key]
        if not space:
            self._close(owner)
        return True

    # Everything that one caller has.
    def purge(self, owner):
        space = self.spaces.get(owner)
        if space is None:
            return
        for key in space:
            _wipe(space, key)
        self._close(owner)

    def _open(self, owner):
        if self.free[owner[0]] == 0:
            return None
        self.free[owner[0]] -= 1
        self.spaces[owner] = {}
        return self.spaces[owner]

    def _close(self, owner):
        del self.spaces[owner]
        self.free[owner[0]] += 1


def _wipe(space, key):
    if key in space:
        crypto.wipe(space[key])


_NOTHING = {}
