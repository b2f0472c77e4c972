# Commands that look at the system: ps, top, caps, routes, policy, mem, uptime. Each asks by module nexus and shows the answer.

import time

import commands
import contract
import names
import shown
import terminal
from keys import Keys

import nexus

_STEP_MS = 50  # between two looks for a key
_EVERY = 1000 // _STEP_MS


def ps(words):
    """Every process: what it does, CPU time, memory, starts.

    ps
    """
    _none(words)
    rows = [
        (one.index, one.name, _state(one), shown.seconds(one.cpu), shown.kib(one.memory), one.messages, one.starts)
        for one in nexus.ps()
    ]
    shown.print_table((">#", "name", "state", ">CPU s", ">memory", ">calls", ">starts"), rows)


# Of one that has stopped, why.
def _state(one):
    if one.state != contract.STATE_STOPPED:
        return names.STATES.get(one.state, "?")
    status = nexus.process(one.index)
    fault = names.FAULTS.get(status.fault, "stopped")
    return "%s (%d)" % (fault, status.value) if status.fault == contract.FAULT_EXIT else fault


def top(words):
    """Who uses the processor, each second anew; any key ends it.

    top
    """
    _none(words)
    before, then = nexus.ps(), nexus.time()
    terminal.write(b"\x1b[2J")
    while not _key():
        now, at = nexus.ps(), nexus.time()
        lines = _usage(before, now, max(1, at - then))
        terminal.write(b"\x1b[H" + "".join([line + "\x1b[K\r\n" for line in lines]).encode() + b"\x1b[J")
        before, then = now, at
    key = Keys()
    while not key.feed(terminal.read()) and terminal.ready():
        pass


# Whether one was typed within a second.
def _key():
    for _ in range(_EVERY):
        if terminal.ready():
            return True
        time.sleep_ms(_STEP_MS)
    return False


# A screenful: who did most in these microseconds comes first.
def _usage(before, now, micros):
    was = {one.index: one for one in before}
    rows = []
    for one in now:
        cpu, messages = _since(was.get(one.index), one)
        rows.append((min(1000, cpu * 1000 // micros), (messages * 1_000_000 + micros // 2) // micros, one))
    rows.sort(key=lambda row: (-row[0], row[2].index))
    busy = min(1000, sum([row[0] for row in rows]))
    cells = [
        (
            _tenths(share),
            rate,
            one.name,
            names.STATES.get(one.state, "?"),
            shown.seconds(one.cpu),
            shown.kib(one.memory),
            one.starts,
        )
        for share, rate, one in rows
    ]
    head = "up %s, %d processes, processor %s %% busy; any key ends" % (
        shown.duration(nexus.uptime()),
        len(now),
        _tenths(busy),
    )
    table = shown.table((">CPU %", ">calls/s", "name", "state", ">CPU s", ">memory", ">starts"), cells)
    return [head, ""] + list(table)


# What a process has done since then; all of it, if it is another one now.
def _since(old, one):
    if old is None or old.name != one.name or old.cpu > one.cpu or old.messages > one.messages:
        return one.cpu, one.messages
    return one.cpu - old.cpu, one.messages - old.messages


def _tenths(number):
    return "%d.%d" % (number // 10, number % 10)


def caps(words):
    """What a process may use; without a name, what the shell may.

    caps [PROCESS]
    caps logd
    """
    if len(words) > 1:
        raise commands.Usage()
    rows = [
        (one.slot, names.OBJECTS.get(one.type, "?"), names.object(one), _rights(one), _holder(one))
        for one in (nexus.caps(_index(words[0])) if words else nexus.caps())
    ]
    shown.print_table((">slot", "what", "of", "rights", "given to"), rows)


# Of a process by its name or its number.
def _index(word):
    if word in names.SERVICES:
        return names.SERVICES.index(word)
    if word.isdigit():
        return commands.number(word, 0, contract.INIT_END - 1)
    found = [one.index for one in nexus.ps() if one.name == word]
    if not found:
        raise nexus.NotFound(contract.STATUS_NOT_FOUND)
    return found[0]


def _rights(one):
    return ", ".join([word for bit, word in names.RIGHTS if one.rights & bit])


# Whom the badge of an endpoint names; "" for one that names nobody.
def _holder(one):
    if one.type != contract.OBJ_ENDPOINT or not one.badge:
        return ""
    return names.holder(one.badge & contract.BADGE_ANY_APP)


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
