# Commands that look at the system: ps, top, caps, routes, policy, mem, uptime. Each asks by module nexus and shows the answer.

import time

import commands
import contract
import names
import shown
import terminal

import nexus

_STEP_MS = 50  # between two looks for a key
_EVERY = 1000 // _STEP_MS


def ps(words):
    """Every process: what it does, CPU time, memory, starts.

    ps
    """
    _none(words)
    rows = [
        (one.index, one.name, _state(one), shown.seconds(one.cpu), shown.kib(one.memory), one.caps, one.starts)
        for one in nexus.ps()
    ]
    shown.print_table((">#", "name", "state", ">CPU s", ">memory", ">caps", ">starts"), rows)


def _state(one):
    if one.state != contract.STATE_STOPPED:
        return names.STATES.get(one.state, "?")
    fault = names.FAULTS.get(one.fault, "stopped")
    return "%s (%d)" % (fault, one.value) if one.fault == contract.FAULT_EXIT else fault


def top(words):
    """Who uses the processor, each second anew; any key ends it.

    top
    """
    _none(words)
    before, then = nexus.ps(), nexus.time()
    terminal.write(b"\x1b[2J")
    while not _key():
        now, at = nexus.ps(), nexus.time()
        lines = _usage(before, now, at - then)
        terminal.write(b"\x1b[H" + "".join([line + "\x1b[K\r\n" for line in lines]).encode() + b"\x1b[J")
        before, then = now, at
    terminal.read()


# Whether one was typed within a second.
def _key():
    for _ in range(_EVERY):
        if terminal.ready():
            return True
        time.sleep_ms(_STEP_MS)
    return False


def _usage(before, now, micros):
    was = {one.index: one for one in before}
    rows = []
    for one in now:
        old = was.get(one.index)
        used = one.cpu - old.cpu if old is not None and old.name == one.name and old.cpu <= one.cpu else one.cpu
        rows.append((used * 1000 // max(1, micros), one))
    rows.sort(key=lambda row: -row[0])
    busy = min(1000, sum([row[0] for row in rows]))
    head = [
        "up %s, processor %d.%d %% busy, any key ends" % (shown.duration(nexus.uptime()), busy // 10, busy % 10),
        "",
    ]
    cells = [
        (
            "%d.%d" % (share // 10, share % 10),
            one.name,
            _state(one),
            shown.seconds(one.cpu),
            shown.kib(one.memory),
            one.starts,
        )
        for share, one in rows
    ]
    return head + shown.table((">CPU %", "name", "state", ">CPU s", ">memory", ">starts"), cells)


def routes(words):
    """Services that the shell may ask init for a way to.

    routes
    """
    _none(words)
    shown.print_table(("route", "way"), [(name, "held" if held else "-") for name, held in nexus.routes()])


def policy(words):
    """Whether policy lets the shell do that; the question is on record.

    policy check ACTION [TARGET]
    policy check route rngd
    """
    if not 2 <= len(words) <= 3 or words[0] != "check":
        raise commands.Usage()
    if words[1] not in names.ACTIONS:
        raise commands.Usage("actions: " + " ".join(names.ACTIONS))
    print(shown.green("ALLOWED") if nexus.policy(*words[1:]) else shown.red(nexus.Denied.said))


def mem(words):
    """Memory of this interpreter, and of every process.

    mem
    """
    _none(words)
    used, free = nexus.mem()
    print("heap of the shell: %s used, %s free" % (shown.kib(used), shown.kib(free)))
    found = nexus.ps()
    shown.print_table(("name", ">memory"), [(one.name, shown.kib(one.memory)) for one in found])
    print("all: %s" % shown.kib(sum([one.memory for one in found])))


def uptime(words):
    """How long the machine has been running.

    uptime
    """
    _none(words)
    print("up " + shown.duration(nexus.uptime()))


def _none(words):
    if words:
        raise commands.Usage()
