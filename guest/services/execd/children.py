# What execd knows of the apps that it has started: for whom, how often, and how they ended. Who a record belongs to is the
# kernel's word, so no request can name another's. Used by execd's handlers. Pure: never calls the kernel, never asks anybody.

import contract

_NUMBER_BITS = 24  # of a child's number; above it stands the incarnation, so that no number comes again after a restart


class Child:
    # owner: (kind, service id, publisher) of who wanted it started. restarts: how many are left.
    def __init__(self, owner, bundle, service_id, restarts):
        self.number = 0
        self.owner = owner
        self.bundle = bundle
        self.service_id = service_id
        self.restarts = restarts
        self.starts = 0
        self.ticks = 0  # of CPU, of the starts that are over
        self.handle = 0  # to supervise it by; 0 while no process of it is there
        self.end = None  # (FAULT_*, value, pc) once it is over for good
        self.waiter = None  # a parked request: who wants to hear of that


class Children:
    def __init__(self, incarnation):
        self.all = []  # oldest first
        self.last = incarnation << _NUMBER_BITS

    # Whether one more of this owner could be kept. What runs or is waited for makes no room, and nobody makes room for another.
    def has_room(self, owner):
        spent = self.last & (1 << _NUMBER_BITS) - 1 == (1 << _NUMBER_BITS) - 1
        return not spent and len(self._kept(owner)) < contract.LIMIT_APP_CHILDREN

    # Its number. The owner's oldest record that nobody has asked for goes, if there are too many.
    def add(self, child):
        own = [one for one in self.all if one.owner == child.owner]
        if len(own) >= contract.LIMIT_APP_CHILDREN:
            self.all.remove(next(one for one in own if one.end is not None))
        self.last += 1
        child.number = self.last
        self.all.append(child)
        return child.number

    # The owner's child of that number; None for another's as for none at all, and at the same cost.
    def find(self, owner, number):
        for child in self.all:
            if child.owner == owner and child.number == number:
                return child
        return None

    # The owner's next child that runs this bundle or did; None when there is none.
    def following(self, owner, bundle, first):
        for child in self.all:
            if child.owner == owner and child.bundle == bundle and child.number >= first:
                return child
        return None

    # Those of which there is a process.
    def living(self):
        return [child for child in self.all if child.handle]

    def forget(self, child):
        self.all.remove(child)

    # A child is over: what nobody can ask for any more goes. A service can as long as the system runs, an app while it lives.
    def sweep(self):
        for child in [one for one in self.all if one.end is not None]:
            if child.owner[0] == contract.KIND_APP and not self._lives(child.owner[1]):
                self.all.remove(child)

    def _lives(self, service_id):
        return any(child.end is None and child.service_id == service_id for child in self.all)

    def _kept(self, owner):
        return [child for child in self.all if child.owner == owner and child.end is None]
