# What `import nexus` gives at the prompt: all that apps have, and what people ask about the system. Every function is an ordinary request
# with the shell's own rights: one that policy does not allow raises Denied, which says DENIED and nothing else. What shows the answers
# is not here. The docstrings are what `nexus.help` shows.

import gc
import struct
from collections import namedtuple

import calls
import contract
import kept
import kernel
import names
import terminal
import ways

Error = calls.Error
Denied = calls.Denied
NotFound = calls.NotFound
Exists = calls.Exists
TooLarge = calls.TooLarge
RateLimited = calls.RateLimited
Unavailable = calls.Unavailable

entropy = calls.entropy
make_key = calls.make_key
public_key = pubkey = calls.public_key
sign = calls.sign
put = calls.put
get = calls.get
delete = calls.delete
log = calls.log
time = calls.time

calls.ways = ways.Ways(names.ROUTES, kept.WAYS, calls.ways)
_learn = calls.learn
_NO_KEY = -1


# Ctrl-C waits until it is written down where the capability is.
def _learn_whole(name):
    before = terminal.interrupt(_NO_KEY)
    try:
        _learn(name)
    finally:
        terminal.interrupt(before)


calls.learn = _learn_whole

_TICKS = contract.LIMIT_TICK_HZ // 1_000_000  # a microsecond
_PAGE = 4096
_LAST = (1 << 63) - 1  # a number that no record has
_WAIT = contract.LIMIT_TICK_HZ  # one question for the end of an app: so long does it take to notice Ctrl-C

Process = namedtuple("Process", "index name state starts memory cpu messages")
Status = namedtuple("Status", "name state fault value pc cpu starts rank memory caps messages")
Capability = namedtuple("Capability", "slot type rights object badge")
Record = namedtuple("Record", "seq time kind verdict subject via op action target reason rule count")
Line = namedtuple("Line", "seq time sender level text")
Bundle = namedtuple("Bundle", "id version publisher actions size installed")
End = namedtuple("End", "fault value pc cpu starts")
Child = namedtuple("Child", "number over starts cpu")

# ---- the system ----


def ps():
    """Every process: index, name, state, starts, memory, CPU time, calls that it was sent. Action system.stats.

    Times are microseconds, memory is bytes.
    [one.name for one in nexus.ps()]
    """
    found, index = [], 0
    while index != contract.INIT_END:
        (_, index), rows = _pages(contract.OP_INIT_TOP, contract.RECORD_TOP, contract.REQUEST_INIT_TOP, index)
        for at, state, starts, frames, ticks, messages, ident in rows:
            name = names.process(at, ident)
            found.append(Process(at, name, state, starts, frames * _PAGE, ticks // _TICKS, messages))
    return found


def process(index):
    """What the kernel knows of one process: its end among it, if it has stopped. Action system.stats.

    nexus.process(0).rank
    """
    row = _init(contract.OP_INIT_PS, contract.REQUEST_INIT_PS, contract.REPLY_INIT_PS, index)
    state, fault, value, pc, ticks, ident, starts, rank, frames, slots, messages = row
    name = names.process(index, ident)
    return Status(name, state, fault, value, pc, ticks // _TICKS, starts, rank, frames * _PAGE, slots, messages)


def caps(index=None):
    """What a process may use, by its index, None for this one: slot, type, rights, object, badge. Action system.stats.

    nexus.caps()[0].badge
    """
    index = names.OWN if index is None else index
    found, slot = [], 0
    while slot != contract.INIT_END:
        (_, slot), rows = _pages(contract.OP_INIT_CAPS, contract.RECORD_CAP, contract.REQUEST_INIT_CAPS, index, slot)
        found += [Capability(*row) for row in rows]
    return found


def uptime():
    """Microseconds since the machine started. Needs no capability."""
    return calls.time()


def mem():
    """Bytes of this interpreter's heap: (used, free)."""
    gc.collect()
    return gc.mem_alloc(), gc.mem_free()


def routes():
    """Services that this process may ask init for: (name, whether it has the way already)."""
    return [(name.decode(), name in calls.ways) for name in names.ROUTES]


def policy(action, target=contract.POLICY_NO_TARGET):
    """Whether policy lets this process do that to that target; both are a str. The question is on record.

    nexus.policy("route", "rngd")
    """
    number = names.ACTIONS.index(action) + 1
    payload = struct.pack(contract.REQUEST_POLICYD_CHECK[:-1], number) + target.encode()
    try:
        calls.ask(b"policyd", contract.OP_POLICYD_CHECK, payload, contract.EDGE_DEADLINE_POLICYD_ALL)
    except Denied:
        return False
    return True


def shutdown():
    """End the machine. Action system.shutdown."""
    _init(contract.OP_INIT_SHUTDOWN, contract.REQUEST_INIT_SHUTDOWN, contract.REPLY_INIT_SHUTDOWN)


def reboot():
    """Start the machine anew. Action system.shutdown."""
    _init(contract.OP_INIT_REBOOT, contract.REQUEST_INIT_REBOOT, contract.REPLY_INIT_REBOOT)


def destroy_key():
    """Forget the device key. NotFound: there is none. Action device.key.destroy."""
    calls.keystored(contract.OP_KEYSTORED_DEVICE_KEY_DESTROY, b"")


# ---- records ----


def audit(count=20, everybody=False):
    """The newest records of the audit trail, oldest first: one's own, or everybody's. Routes logd:audit_own, logd:audit_all.

    nexus.audit(1)[0].verdict
    """
    if everybody:
        return _newest(_audit_all, count)
    return _newest(_audit_own, count)


def read_log(count=20, level=0):
    """The newest lines of the system's log from that level on, oldest first. Route logd:query."""
    return _newest(lambda since: _log_page(since, level), count)


# page(seq) -> records from that number on, the number to ask for next. How far back one has to look nobody can tell beforehand.
def _newest(page, count):
    end, window = page(_LAST)[1], count
    while True:
        found, seq = [], max(0, end - window)
        while seq < end:
            records, seq = page(seq)
            found.extend(records)
            if len(found) > count:
                found = found[-count:]
        if len(found) >= count or window >= end:
            return found
        window *= 8


def _audit_own(since):
    return _audit_page(b"logd:audit_own", contract.OP_LOGD_AUDIT_OWN, since)


def _audit_all(since):
    return _audit_page(b"logd:audit_all", contract.OP_LOGD_AUDIT_ALL, since)


def _audit_page(way, op, since):
    payload = struct.pack(contract.REQUEST_LOGD_AUDIT_OWN, since)
    data = calls.ask(way, op, payload, contract.EDGE_DEADLINE_LOGD_ALL)
    (count, following), data = _open(contract.REPLY_LOGD_AUDIT_OWN, data)
    size = contract.AUDIT_RECORD_BYTES
    return [_record(data[at : at + size]) for at in range(0, count * size, size)], following


def _record(data):
    kind, verdict, op, reason, action, rule = struct.unpack_from("<BBBBHH", data)
    seq, ticks, subject, via, subject_at, via_at, _, count = struct.unpack_from(
        "<QQQQHHII", data, contract.AUDIT_AT_SEQ
    )
    target = data[contract.AUDIT_AT_TARGET : contract.AUDIT_AT_PREVIOUS].rstrip(b"\0")
    who = names.recorded(subject_at, subject), names.recorded(via_at, via)
    return Record(
        seq, ticks // _TICKS, kind, verdict, who[0], who[1], op, names.action(action), target, reason, rule, count
    )


def _log_page(since, level):
    payload = struct.pack(contract.REQUEST_LOGD_QUERY, since, level)
    data = calls.ask(b"logd:query", contract.OP_LOGD_QUERY, payload, contract.EDGE_DEADLINE_LOGD_ALL)
    (count, following), data = _open(contract.REPLY_LOGD_QUERY, data)
    found, at = [], 0
    for _ in range(count):
        seq, ticks, sender, kind, grade, size = struct.unpack_from(contract.RECORD_LOG, data, at)
        at += struct.calcsize(contract.RECORD_LOG)
        name = names.sender(sender, kind)
        found.append(Line(seq, ticks // _TICKS, name, grade, data[at : at + size]))
        at += size
    return found, following


# ---- bundles and apps ----


def bundles():
    """What is installed: id, version, publisher's key, actions, size. Action bundle.list."""
    found = []
    while True:
        payload = struct.pack(contract.REQUEST_BUNDLEMGRD_LIST, len(found))
        try:
            data = calls.ask(b"bundlemgrd", contract.OP_BUNDLEMGRD_LIST, payload, contract.EDGE_DEADLINE_BUNDLEMGRD_ALL)
        except NotFound:
            return found
        row, name = _open(contract.REPLY_BUNDLEMGRD_LIST, data)
        names.learn(name)
        actions = [action for bit, action in enumerate(names.ACTIONS) if row[4] >> bit + 1 & 1]
        found.append(Bundle(name.decode(), row[:3], row[3], actions, row[5], not row[6]))


def exec(bundle, restarts=0):
    """Start an installed app, and again after so many faults; the number of the child. Action proc.exec.

    nexus.wait(nexus.exec("dev.hello"))
    """
    name = bundle.encode()
    payload = struct.pack(contract.REQUEST_EXECD_EXEC[:-1], restarts) + name
    number, _ = _execd(contract.OP_EXECD_EXEC, payload, contract.REPLY_EXECD_EXEC)
    names.learn(name)
    return number


def wait(number):
    """How that child ended, once it has: fault, value, pc, CPU time, starts. It can be asked for once."""
    payload = struct.pack(contract.REQUEST_EXECD_WAIT, number)
    while True:
        until = kernel.time() + _WAIT
        try:
            row = _execd(contract.OP_EXECD_WAIT, payload, contract.REPLY_EXECD_WAIT, _WAIT)
        except Unavailable:
            if kernel.time() < until:
                raise
            continue
        return End(row[0], row[1], row[2], row[3] // _TICKS, row[4])


def kill(number):
    """End that child; it is not started again."""
    _execd(contract.OP_EXECD_KILL, struct.pack(contract.REQUEST_EXECD_KILL, number), contract.REPLY_EXECD_KILL)


def children(bundle):
    """One's own children that run that bundle or did: number, whether it is over, starts, CPU time. Action proc.exec."""
    found, first = [], 0
    while True:
        payload = struct.pack(contract.REQUEST_EXECD_LIST[:-1], first) + bundle.encode()
        try:
            row = _execd(contract.OP_EXECD_LIST, payload, contract.REPLY_EXECD_LIST)
        except NotFound:
            return found
        found.append(Child(row[0], bool(row[1]), row[2], row[3] // _TICKS))
        first = row[0] + 1


# ---- help ----


def help(name=None):
    """What there is, or what that function does.

    nexus.help("entropy")
    """
    import manual

    texts = dict(manual.TEXTS["calls"])
    texts.update(manual.TEXTS["nexus"])
    texts["pubkey"] = texts["public_key"]
    here = globals()
    if name is None:
        for one in sorted(texts):
            if one in here:
                print("nexus.%s%s" % (one, texts[one][0]))
        print('nexus.help("entropy") explains one of them')
    elif name in texts and name in here:
        print("nexus.%s%s\n%s" % (name, texts[name][0], texts[name][1]))
    else:
        print("no nexus.%s: nexus.help() lists all" % name)


# ---- how all of it asks ----


def _init(op, request, reply, *values):
    data = calls.ask(b"init", op, struct.pack(request, *values), contract.EDGE_DEADLINE_INIT_ALL)
    return _open(reply, data)[0]


# How many rows and where to go on, and those rows. The next place is a later one, or the answer is none.
def _pages(op, record, request, *values):
    data = calls.ask(b"init", op, struct.pack(request, *values), contract.EDGE_DEADLINE_INIT_ALL)
    head, data = _open(contract.REPLY_INIT_TOP, data)
    size = struct.calcsize(record)
    if len(data) != head[0] * size or head[1] <= values[-1]:
        raise Unavailable(contract.STATUS_UNAVAILABLE)
    return head, [struct.unpack_from(record, data, at) for at in range(0, len(data), size)]


def _execd(op, payload, reply, ticks=contract.EDGE_DEADLINE_EXECD_ALL):
    return _open(reply, calls.ask(b"execd", op, payload, ticks))[0]


# The values of this form, and what follows them. An answer of another length is none.
def _open(form, data):
    more = form[-1:] == "*"
    form = form[:-1] if more else form
    size = struct.calcsize(form)
    if len(data) < size or (len(data) > size and not more):
        raise Unavailable(contract.STATUS_UNAVAILABLE)
    return struct.unpack_from(form, data), data[size:]
