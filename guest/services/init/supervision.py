# What to do about a process that has stopped: pure rules on the recipe's rows and the kernel's fault record.
# Used by init. Never calls the kernel, so that every rule can be tested as a function.

import contract

RESTART = 1  # give it another incarnation
LEAVE = 2  # it is done, and nothing depends on it
DEGRADE = 3  # its routes answer UNAVAILABLE from now on
END = 4  # the system ends, with the exit code beside

_PROOFS = ("selftest", "selftest-peer")  # processes whose death is a failed proof


# One process that init supervises: a row of the table that the builder wrote, and what is left of its restarts.
class Child:
    def __init__(self, row):
        self.name, self.index, self.rank, self.restarts, self.critical, self.serves, self.ready, self.handle = row
        self.over = False  # it has stopped and gets no other incarnation

    def proves(self):
        return self.name in _PROOFS


# Children in the order in which they start: a server before whoever calls it.
def by_rank(rows):
    return sorted((Child(row) for row in rows), key=_start_order)


# Equals by index: MicroPython's sort does not keep their order.
def _start_order(child):
    return -child.rank, child.index


# (action, exit code) for a child that stopped with this fault. A restart is charged at once.
def after(child, fault, value, bringing_up, proven):
    left = fault == contract.FAULT_EXIT
    if left and value == contract.LEAVE_OK and not child.serves:
        return LEAVE, 0
    if child.proves():
        return END, contract.EXIT_SELFTEST_FAILED
    if child.restarts > 0 and not (left and value == contract.LEAVE_FINAL):
        child.restarts -= 1
        return RESTART, 0
    if child.critical:
        return END, contract.EXIT_CRITICAL_DIED
    # A run that is to be proven can't come to a good end without this process: say so now, not by a time-out.
    if bringing_up and proven:
        return END, contract.EXIT_SELFTEST_FAILED
    return DEGRADE, 0


# The status for closing phase `wanted` when `current` is the open one: they close in order, each once.
def closing(wanted, current, phases):
    if wanted >= phases:
        return contract.STATUS_MALFORMED
    if wanted < current:
        return contract.STATUS_EXISTS
    return contract.STATUS_OK if wanted == current else contract.STATUS_UNAVAILABLE
