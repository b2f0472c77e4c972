# init: starts every other process from the highest rank down, each after the READY answer of the one before, then watches
# over them and closes the phases of the run. Root of the system: its own death ends it. Decides nothing about access.

import struct

import caps
import client
import contract
import kernel
import server
import supervision
from wire import Refuse

_PHASES = contract.PHASES.split()


class System:
    def __init__(self):
        self.children = supervision.by_rank(caps.PROCESSES)
        self.bringing_up = True
        self.complete = True  # no process has been given up
        self.phase = contract.PHASE_BRING_UP  # the one that is open

    # Start all; the latch closes once those above init are up, and before anything below init runs.
    def bring_up(self):
        above = [child for child in self.children if child.ready]
        for child in above:
            self._start(child)
        if self.complete:
            kernel.console(contract.MARK_INIT_READY)
        kernel.system(caps.SYSTEM, contract.SYSTEM_CLOSE_BRING_UP)
        self.bringing_up = False
        self.close_phase()
        for child in self.children:
            if not child.ready:
                kernel.supervise(child.handle, contract.SUP_RESUME)

    # Print the line that ends the open phase; end the run when that was its last one.
    def close_phase(self):
        # No decider is in this system yet, hence no decision to count.
        kernel.console(contract.LINE_PHASE + _PHASES[self.phase] + contract.LINE_DECISIONS + "0")
        last = self.phase == min(kernel.system(caps.SYSTEM, contract.SYSTEM_PHASE), len(_PHASES) - 1)
        self.phase += 1
        if last and not kernel.system(caps.SYSTEM, contract.SYSTEM_FLAGS) & contract.FLAG_KEEP:
            _shut_down(contract.EXIT_OK)

    # Notification bits of the kernel: one for each child that stopped, by dense index.
    def on_bits(self, bits):
        for child in self.children:
            if bits >> child.index & 1:
                self._look_after(child)

    def _start(self, child):
        kernel.supervise(child.handle, contract.SUP_RESUME)
        if not _answers_ready(child):
            self._look_after(child)

    # A child may have been dealt with before its notification was read, so the kernel's record decides, not the bit.
    def _look_after(self, child):
        while not child.over:
            state, fault, value = kernel.supervise(child.handle, contract.SUP_STATUS)[:3]
            if state != contract.STATE_STOPPED:
                return
            action, code = supervision.after(child, fault, value, self.bringing_up, self._proves())
            if action == supervision.RESTART:
                kernel.supervise(child.handle, contract.SUP_RESTART)
                if not child.ready or _answers_ready(child):
                    return
                continue
            child.over = True
            if action != supervision.LEAVE:
                kernel.console(contract.LINE_UNAVAILABLE + child.name)
                self.complete = False
            if action == supervision.END:
                _shut_down(code)

    def _proves(self):
        return any(child.proves() for child in self.children)


# Whether this incarnation is ready. One that neither answers nor stops in time is stopped, and so has a fault to judge.
def _answers_ready(child):
    until = client.deadline(contract.EDGE_DEADLINE_ALL_READY)
    try:
        client.call(child.ready, contract.OP_ALL_READY, b"", until)
    except Refuse:
        if kernel.supervise(child.handle, contract.SUP_STATUS)[0] != contract.STATE_STOPPED:
            kernel.console(contract.LINE_NOT_READY + child.name)
            kernel.supervise(child.handle, contract.SUP_KILL)
        return False
    return True


# The kernel drains the console and does not come back.
def _shut_down(code):
    kernel.system(caps.SYSTEM, contract.SYSTEM_SHUTDOWN, code)


def on_phase_done(phase):
    status = supervision.closing(phase, _system.phase, len(_PHASES))
    if status != contract.STATUS_OK:
        raise Refuse(status)
    _system.close_phase()


def on_ps(index):
    try:
        status = kernel.process(caps.SYSTEM, index)
    except kernel.Error:
        raise Refuse(contract.STATUS_NOT_FOUND)
    return struct.pack(contract.REPLY_INIT_PS, *status)


HANDLERS = {
    contract.OP_INIT_PHASE_DONE: (on_phase_done, contract.REQUEST_INIT_PHASE_DONE, contract.BADGE_FACET_ANY),
    contract.OP_INIT_PS: (on_ps, contract.REQUEST_INIT_PS, contract.BADGE_FACET_ANY),
}

_system = System()
_system.bring_up()
server.serve(HANDLERS, None, _system.on_bits)
