# init: starts every other process from the highest rank down, each after the READY answer of the one before, then watches over
# them, hands out routes and closes the phases of the run. Root of the system: its own death ends it. Decides nothing about
# access: policyd does, about whoever asked.

import caps
import client
import contract
import figures
import gate
import kernel
import routes
import server
import supervision
import trail
from wire import Refuse

_PHASES = contract.PHASES.split()
_EVERYBODY = (1 << contract.LIMIT_PROCESSES) - 1


class System:
    def __init__(self):
        self.children = supervision.by_rank(caps.PROCESSES)
        self.bringing_up = True
        self.complete = True  # no process has been given up
        self.phase = contract.PHASE_BRING_UP  # the one that is open
        self.decided = 0  # decisions up to the end of the phase before

    # Start all; the latch closes once those above init are up, and before anything below init runs.
    def bring_up(self):
        above = [child for child in self.children if child.ready]
        for child in above:
            self._start(child)
        if self.complete:
            kernel.console(contract.MARK_INIT_READY)
        kernel.system(caps.SYSTEM, contract.SYSTEM_CLOSE_BRING_UP)
        trail.event(contract.AUDIT_KIND_LATCH, 0, caps.INDEX)
        self.bringing_up = False
        self.close_phase(trail.decisions())
        for child in self.children:
            if not child.ready:
                kernel.supervise(child.handle, contract.SUP_RESUME)

    # Print the line that ends the open phase, with the number of decisions it had; end the run when that was its last one.
    def close_phase(self, decisions):
        count = contract.LINE_UNKNOWN if decisions is None else str(decisions - self.decided)
        self.decided = decisions or self.decided
        kernel.console(contract.LINE_PHASE + _PHASES[self.phase] + contract.LINE_DECISIONS + count)
        trail.told()
        last = self.phase == min(kernel.system(caps.SYSTEM, contract.SYSTEM_PHASE), len(_PHASES) - 1)
        self.phase += 1
        if last and not kernel.system(caps.SYSTEM, contract.SYSTEM_FLAGS) & contract.FLAG_KEEP:
            self.on_bits(_EVERYBODY)  # one that has just died is part of what the trail has to tell
            _shut_down(contract.EXIT_OK)

    # Notification bits of the kernel: one for each child that stopped, by dense index.
    def on_bits(self, bits):
        for child in self.children:
            if bits >> child.index & 1:
                self._look_after(child)

    def _start(self, child):
        kernel.supervise(child.handle, contract.SUP_RESUME)
        if not _answers_ready(child, True):
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
                ready = not child.ready or _answers_ready(child, self.bringing_up)
                trail.event(contract.AUDIT_KIND_RESTART, fault, child.index)
                # Later on its end is told by its bit, like any other: whoever ranks higher and has stopped meanwhile comes first.
                if ready or not self.bringing_up:
                    return
                continue
            child.over = True
            if action != supervision.LEAVE:
                kernel.console(contract.LINE_UNAVAILABLE + child.name)
                self.complete = False
            if action == supervision.END:
                _shut_down(code)

    # Whether a service has been given up.
    def gone(self, name):
        return any(child.over and child.name.encode() == name for child in self.children)

    def _proves(self):
        return any(child.proves() for child in self.children)


# Whether this incarnation is ready. One that neither answers nor stops in time is stopped, and so has a fault to judge.
# Once others may ask, nobody's routes and restarts wait longer for it than it may take.
def _answers_ready(child, alone):
    until = client.deadline(contract.EDGE_DEADLINE_ALL_READY if alone else contract.SERVICE_TIME_ALL_READY)
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
    trail.close()
    kernel.system(caps.SYSTEM, contract.SYSTEM_SHUTDOWN, code)


def on_phase_done(phase):
    gate.require(contract.ACTION_RUN_PHASE)
    status = supervision.closing(phase, _system.phase, len(_PHASES))
    if status != contract.STATUS_OK:
        raise Refuse(status)
    decisions = trail.decisions()
    if decisions is None:
        trail.told()  # policyd may hold its lines all the same
        raise Refuse(contract.STATUS_UNAVAILABLE)
    _system.close_phase(decisions)


def on_route_get(name):
    return routes.give(bytes(name), _system.gone)


def on_shutdown():
    gate.require(contract.ACTION_SYSTEM_SHUTDOWN)
    _shut_down(contract.EXIT_OK)


def on_reboot():
    gate.require(contract.ACTION_SYSTEM_SHUTDOWN)
    trail.close()
    kernel.system(caps.SYSTEM, contract.SYSTEM_REBOOT)


def on_ps(index):
    gate.require(contract.ACTION_SYSTEM_STATS)
    return figures.process(index)


def on_caps(index, slot):
    gate.require(contract.ACTION_SYSTEM_STATS)
    return figures.capabilities(index, slot)


def on_top(index):
    gate.require(contract.ACTION_SYSTEM_STATS)
    return figures.top(index)


HANDLERS = {
    contract.OP_INIT_PHASE_DONE: (on_phase_done, contract.REQUEST_INIT_PHASE_DONE, contract.BADGE_FACET_ANY),
    contract.OP_INIT_PS: (on_ps, contract.REQUEST_INIT_PS, contract.BADGE_FACET_ANY),
    contract.OP_INIT_ROUTE_GET: (on_route_get, contract.REQUEST_INIT_ROUTE_GET, contract.BADGE_FACET_ANY),
    contract.OP_INIT_SHUTDOWN: (on_shutdown, contract.REQUEST_INIT_SHUTDOWN, contract.BADGE_FACET_ANY),
    contract.OP_INIT_REBOOT: (on_reboot, contract.REQUEST_INIT_REBOOT, contract.BADGE_FACET_ANY),
    contract.OP_INIT_CAPS: (on_caps, contract.REQUEST_INIT_CAPS, contract.BADGE_FACET_ANY),
    contract.OP_INIT_TOP: (on_top, contract.REQUEST_INIT_TOP, contract.BADGE_FACET_ANY),
}

_system = System()
_system.bring_up()
server.serve(HANDLERS, None, _system.on_bits)
