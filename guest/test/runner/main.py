# runner: installs each bundle that it carries, has it started, and lives on beside it as an ordinary client would: while the app is at
# work it asks every service it has a route to, with a deadline far below the usual one. Tells numbers, one line each; the host judges.
# The first bundle stays installed until the end, so that others can try to take its place.

import struct

import caps
import client
import contract
import host
import kernel
import probes
import wire
from bundled import BUNDLES

FIRST = "hostile"
CROWD = ("flood", "loop", "number")
ALIAS = b"selftest.hostile-alias"  # for a bundle that can't be staged under the name that it gives itself
LONGEST = contract.LIMIT_TICK_HZ // 2  # of one run
ROUND = contract.LIMIT_TICK_HZ // 100
AMID = 4  # so many rounds after the start the host has another look
TRIES = 8


# The status of a request, and its answer's payload.
def _ask(handle, op, payload, ticks):
    try:
        return contract.STATUS_OK, bytes(client.call(handle, op, payload, client.deadline(ticks)))
    except wire.Unreachable:
        return -1, b""
    except wire.Refuse as refusal:
        return refusal.status, b""


def _manage(op, payload):
    return _ask(probes.way(b"bundlemgrd"), op, payload, contract.EDGE_DEADLINE_BUNDLEMGRD_ALL)[0]


def _start(op, payload):
    return _ask(probes.way(b"execd"), op, payload, contract.EDGE_DEADLINE_EXECD_ALL)


# ---- in and out ----


# What became of it: 0 when it is installed.
def take_in(data, name):
    status = _manage(contract.OP_BUNDLEMGRD_STAGE, struct.pack("<I", len(data)) + name)
    for offset in range(0, len(data), contract.LIMIT_BUNDLE_PUT):
        if status != contract.STATUS_OK:
            return status
        piece = data[offset : offset + contract.LIMIT_BUNDLE_PUT]
        status = _manage(contract.OP_BUNDLEMGRD_PUT, struct.pack("<I", offset) + piece)
    return status or _manage(contract.OP_BUNDLEMGRD_INSTALL, name)


def _id_of(data):
    return bytes(data[contract.BUNDLE_AT_ID : contract.BUNDLE_AT_MAJOR]).rstrip(b"\0")


# ---- a run ----


# (status, number of the child). Too many starts in a short time is no answer yet.
def _exec(name):
    for _ in range(TRIES):
        status, answer = _start(contract.OP_EXECD_EXEC, b"\0" + name)
        if status not in (contract.STATUS_RATE_LIMITED, contract.STATUS_UNAVAILABLE):
            break
        probes.rest(contract.LIMIT_TICK_HZ // 4)
    return status, struct.unpack("<IQ", answer)[0] if status == contract.STATUS_OK else 0


# Wait a little for its end; that is the rest between two rounds as well.
def _over(number):
    status, answer = _ask(probes.way(b"execd"), contract.OP_EXECD_WAIT, struct.pack("<I", number), ROUND)
    return struct.unpack(contract.REPLY_EXECD_WAIT, answer) if status == contract.STATUS_OK else None


# Rounds of requests beside these children, until none is left of one alone or the time is over and the host has had its look. The end of
# the one, or None; how long it took.
def _accompany(label, children):
    meter, begun, end = probes.Meter(), kernel.time(), None
    kernel.console("at %s" % label)
    while end is None and (kernel.time() - begun < LONGEST or not host.has_seen()):
        name, number = children[meter.rounds % len(children)]
        meter.round(number, name)
        if meter.rounds == AMID:
            host.show("amid %s" % label)
        if len(children) == 1:
            end = _over(number)
        else:
            probes.rest(ROUND)
    if end is None:
        host.show("late %s" % label)
        while not host.has_seen():
            probes.rest(ROUND)
    kernel.console("asked %s rounds=%04x failed=%04x slowest=%08x" % (label, meter.rounds, meter.failed, meter.slowest))
    return end, kernel.time() - begun


def _end(number):
    _start(contract.OP_EXECD_KILL, struct.pack("<I", number))
    return struct.unpack(contract.REPLY_EXECD_WAIT, _start(contract.OP_EXECD_WAIT, struct.pack("<I", number))[1])


def _tell(label, end, elapsed):
    cause, value, counter, ticks, starts = end
    kernel.console("over %s cause=%02x value=%016x pc=%016x starts=%02x" % (label, cause, value, counter, starts))
    kernel.console("used %s cpu=%016x elapsed=%016x" % (label, ticks, elapsed))


def _take_in(label, data):
    name = _id_of(data)
    status = take_in(data, name)
    kernel.console("install %s status=%02x" % (label, status & 0xFF))
    if status != contract.STATUS_OK:
        status = take_in(data, ALIAS)
        kernel.console("alias %s status=%02x" % (label, status & 0xFF))
        name = ALIAS
    return name


def _let_go(label, name):
    kernel.console("out %s status=%02x" % (label, _manage(contract.OP_BUNDLEMGRD_UNINSTALL, name) & 0xFF))


def run(label, data):
    name = _take_in(label, data)
    status, number = _exec(name)
    kernel.console("exec %s status=%02x" % (label, status & 0xFF))
    if status == contract.STATUS_OK:
        end, elapsed = _accompany(label, [(name, number)])
        _tell(label, end or _end(number), elapsed)
    if label != FIRST:
        _let_go(label, name)


# As many at one time as one publisher may have installed beside the first.
def run_crowd(labels):
    children = []
    for label in labels:
        name = _id_of(BUNDLES[label])
        take_in(BUNDLES[label], name)
        children.append((name, _exec(name)[1]))
    _accompany("crowd", children)
    for name, number in children:
        _end(number)
        _manage(contract.OP_BUNDLEMGRD_UNINSTALL, name)


def main():
    probes.keep_value()
    run(FIRST, BUNDLES[FIRST])
    for label in sorted(BUNDLES):
        if label != FIRST:
            run(label, BUNDLES[label])
    crowd = [label for label in CROWD if label in BUNDLES]
    if crowd:
        run_crowd(crowd)
    kernel.console("counts %016x %016x %016x %016x" % probes.counts())
    kernel.console("done")
    while True:
        kernel.wait(caps.NOTIFICATION)


main()
