# The ways to services that init has given this process, where they outlive the interpreter: a capability belongs to the process, and one
# whose handle was forgotten would take up its slot until the process ends. Used by nexus.py as calls.ways. Believes a kept handle only
# as far as the kernel says that it is one to an endpoint, since programs can write to that memory too.

import struct

import contract
import kernel

_FORM = "<I"
_SIZE = 4


class Ways:
    # names: of the routes, in an order that stays; memory: a view of bytes with room for a handle of each; fixed: handles by name that
    # the process has had from its start on.
    def __init__(self, names, memory, fixed):
        self.names, self.memory, self.fixed = names, memory, fixed

    def __contains__(self, name):
        return name in self.fixed or (name in self.names and _is_endpoint(self[name]))

    def __getitem__(self, name):
        if name in self.fixed:
            return self.fixed[name]
        return struct.unpack_from(_FORM, self.memory, self._place(name))[0]

    # A name that is no route is refused by init before it gets here.
    def __setitem__(self, name, handle):
        struct.pack_into(_FORM, self.memory, self._place(name), handle)

    def _place(self, name):
        return _SIZE * self.names.index(name)


def _is_endpoint(handle):
    try:
        return handle != 0 and kernel.info(handle)[0] == contract.OBJ_ENDPOINT
    except kernel.Error:
        return False
