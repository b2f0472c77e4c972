# Proofs of phase exec: an app runs as whom its bundle says and with what its manifest and policy both allow; nobody starts, waits for or
# ends one that is not theirs to; how it ended is told to who started it; and what it took is given back.

import app_id
import bundling
import caps
import contract
import identity
import kernel
import proof
import proxy
import route
import running
import trail
import ways
from bundled import BUNDLES
from bundles import DRAW, HELLO
from proof import Decisions, check, check_alike, frame
from running import EXEC, KILL, LIST, WAIT

_STAY, _SLEEP, _GREEDY, _CRASH = b"selftest.stay", b"selftest.sleep", b"selftest.greedy", b"selftest.crash"
_OK, _DENIED = contract.STATUS_OK, contract.STATUS_DENIED
_PEER = contract.PEER_ROUTE_EXECD
_RESTARTS = contract.LIMIT_APP_RESTARTS
_EXITED = contract.FAULT_EXIT
_SAID = contract.APP_SAID_HELLO.encode()
_LOOKS, _LOOK_TICKS = 1000, contract.LIMIT_TICK_HZ // 100

# ---- what runs, as whom, and what it may -----------------------------------------------------------------------------


def prove_started():
    _prove_counted()
    _prove_identity()
    _prove_entropy()


# One decision about who asked, one about execd itself.
def _prove_counted():
    bundling.install(_SLEEP, BUNDLES["sleep"])
    decisions = Decisions()
    number, service_id = running.start(_SLEEP)
    decisions.expect(2, 0)
    check(service_id == app_id.service_id(_SLEEP), "service id of a child")
    cause, value, _, ticks, starts = running.wait(number)
    check((cause, value, starts) == (_EXITED, contract.APP_EXIT_SLEPT, 1) and ticks > 0, "end of a child")
    bundling.uninstall(_SLEEP)


# The kernel's word to logd and to init: an app, of this name, with the lowest rank. A second one of that name there can't be.
def _prove_identity():
    bundling.install(_STAY, BUNDLES["stay"])
    first = running.log_end()
    number, service_id = running.start(_STAY)
    index = _speaker(first)
    status = running.process(index)
    check(status is not None and status[5] == service_id and status[7] == 0, "who the kernel says it is")
    check(service_id == app_id.service_id(_STAY) and index >= len(caps.SUBJECTS), "what it is called")
    check(running.listed(_STAY)[:3] == (number, 0, 1), "a child that runs")
    check(running.status_of_start(_STAY) == contract.STATUS_EXISTS, "a second one of one name")
    _end(number)
    check(running.process(index) is None, "a process that was killed")
    bundling.uninstall(_STAY)


# Dense index of the app that has spoken in the log since then; it has as long as it takes.
def _speaker(first):
    for _ in range(_LOOKS):
        for sender, kind, level, text in running.logged(first):
            if text == _SAID:
                check(kind == contract.KIND_APP and level == contract.LEVEL_INFO, "kind of who wrote a record")
                return sender
        proof.rest(_LOOK_TICKS)
    raise proof.Failed("an app that says nothing")


def _end(number):
    check(running.status(KILL, running.child_request(number)) == _OK, "a child that may be killed")
    check(running.wait(number)[0] == contract.FAULT_KILLED, "end of a child that was killed")


# The manifest alone is not enough, and neither is the rule: the same name gets it with both.
def _prove_entropy():
    for bundle, name, status in (
        ("draw-unasked", DRAW, contract.APP_EXIT_DENIED),
        ("draw", DRAW, contract.APP_EXIT_DREW),
        ("greedy", _GREEDY, contract.APP_EXIT_DENIED),
    ):
        bundling.install(name, BUNDLES[bundle])
        check(running.exit_of(name) == status, "entropy for " + bundle)
    for name in (DRAW, _GREEDY):
        bundling.uninstall(name)


# ---- who may not -----------------------------------------------------------------------------------------------------


# The peer has the way to execd and no right to any app, be there such a one or not.
def prove_denied():
    bundling.install(_STAY, BUNDLES["stay"])
    proxy.status_of(_PEER, 0x7E)  # it has the route before anything is counted
    decisions = Decisions()
    for bundle, restarts in ((_STAY, 0), (_STAY, _RESTARTS + 1), (HELLO, 0), (b"selftest.nowhere", 0)):
        _deny_peer(EXEC, running.exec_request(bundle, restarts))
    _deny_peer(LIST, running.list_request(_STAY))
    decisions.expect(0, 5)
    check(not running.apps(), "an app that the peer started")
    first = running.log_end()
    number = running.start(_STAY)[0]
    _speaker(first)  # from now on it asks for nothing more, so what is counted is the peer's
    decisions = Decisions()
    for op in (WAIT, KILL):
        _deny_peer(op, running.child_request(number))
        _deny_peer(op, running.child_request(0))
    _deny_peer(LIST, running.list_request(_STAY))
    decisions.expect(0, 5)
    check(running.listed(_STAY)[:3] == (number, 0, 1), "a child that the peer asked for")
    _end(number)
    bundling.uninstall(_STAY)


def _deny_peer(op, payload, behalf=0):
    proxy.check_denied(_PEER, op, payload, "execd did it for the peer", behalf)


# Names, numbers and reply handles in a request make nobody somebody else.
def prove_spoof():
    bundling.install(_STAY, BUNDLES["stay"])
    execd = ways.to(b"execd")
    names = (b"app:init", b"init", b"keystored", b"app:selftest.stay", b"dev.hello", b"selftest", b"", b"-", b"n" * 32)
    check_alike(execd, EXEC, [running.exec_request(name) for name in names], _DENIED, running.UNTIL)
    check_alike(execd, LIST, [running.list_request(name) for name in names], _DENIED, running.UNTIL)
    for name in (b"n" * 33, b"selftest.stay\0"):
        found = running.status(EXEC, running.exec_request(name))
        check(found == contract.STATUS_MALFORMED, "a name that no bundle can have")
    number = running.start(_STAY)[0]
    others = [running.child_request(other) for other in (0, number - 1, number + 1, number ^ 1 << 24, 0xFFFFFFFF)]
    for op in (WAIT, KILL):
        check_alike(execd, op, others, _DENIED, running.UNTIL)
    _prove_behalf(number)
    check(running.listed(_STAY)[:3] == (number, 0, 1), "a child that others have asked for")
    _end(number)
    check(running.status(WAIT, running.child_request(number)) == _DENIED, "an end that is told twice")
    bundling.uninstall(_STAY)


# The peer serves the selftest and asks on its behalf: the question is the peer's all the same, and no trace of it is the selftest's.
def _prove_behalf(number):
    own, peers = trail.end(trail.own), trail.end(trail.peers)
    _deny_peer(EXEC, running.exec_request(HELLO), 1)
    for op in (WAIT, KILL):
        _deny_peer(op, running.child_request(number), 1)
    check(not trail.since(trail.own, own), "a question of the peer in the trail of another")
    for record in trail.since(trail.peers, peers):
        check(record.action == contract.ACTION_PROC_EXEC, "what the peer asked for")
        check(record.verdict == contract.AUDIT_VERDICT_DENY, "what the peer was answered")
        check(record.via_index == identity.index("execd"), "by whom the peer was refused")
    dead = route.get(b"rngd")
    kernel.drop(dead)
    for handle, wanted in ((dead, contract.E_BAD_HANDLE), (ways.to(b"rngd"), contract.E_BAD_TYPE)):
        check(_sent_for(handle) == wanted, "a question on behalf of nobody")


# What the kernel says to an EXEC on behalf of what is no call being served.
def _sent_for(handle):
    message = frame(EXEC, running.exec_request(HELLO), 1)
    kernel.buffer[: len(message)] = message
    try:
        kernel.call(ways.to(b"execd"), len(message), kernel.time() + running.UNTIL, handle)
    except kernel.Error as error:
        return error.args[0]
    return contract.E_OK


# ---- how it ends -----------------------------------------------------------------------------------------------------


# Value and start are told, once; its process is gone, and execd holds nothing of it.
def prove_exit():
    for name, bundle in ((HELLO, "hello"), (_SLEEP, "sleep")):
        bundling.install(name, BUNDLES[bundle])
    before = _held()
    for turn in range(2):
        number = running.start(HELLO, turn)[0]
        cause, value, _, _, starts = running.wait(number)
        check((cause, value, starts) == (_EXITED, contract.APP_EXIT_DONE, 1), "end of an app that exits")
        check(not running.apps(), "a process after its end")
        check(running.status(WAIT, running.child_request(number)) == _DENIED, "an end that is told twice")
    _prove_waiting()
    check(_held() == before, "what execd holds after its children")
    for name in (HELLO, _SLEEP):
        bundling.uninstall(name)


# Whoever waits is told when it is over, not before; how long this takes is the host's affair as well.
def _prove_waiting():
    begun = kernel.time()
    number = running.start(_SLEEP)[0]
    check(running.listed(_SLEEP)[0] == number, "a child that was started")
    check(running.wait(number)[:2] == (_EXITED, contract.APP_EXIT_SLEPT), "end of a child that was waited for")
    check(kernel.time() - begun >= contract.APP_SLEEP_TICKS, "an end before the end")


# Pages and capabilities of execd and of bundlemgrd.
def _held():
    return [running.process(identity.index(name))[8:10] for name in ("execd", "bundlemgrd")]


# A fault is told with its address, in the log too, for each start of as many as were asked for; an exit is none.
def prove_crash():
    bundling.install(_CRASH, BUNDLES["crash"])
    asked = running.status(EXEC, running.exec_request(_CRASH, _RESTARTS + 1))
    check(asked == contract.STATUS_MALFORMED, "more restarts than there are")
    first = running.log_end()
    number = running.start(_CRASH, 2)[0]
    cause, value, pc, ticks, starts = running.wait(number)
    check((cause, value, starts) == (contract.FAULT_MEMORY, contract.VA_POLICY, 3), "what a crash is told as")
    check(contract.VA_IMAGE <= pc < contract.VA_IPC and ticks > 0, "where a crash was")
    _check_reports(first, number, pc)
    check(not running.apps(), "a process after its crash")
    bundling.uninstall(_CRASH)


def _check_reports(first, number, pc):
    execd = identity.index("execd"), contract.KIND_SERVICE, contract.LEVEL_WARNING
    reports = [record[3] for record in running.logged(first, contract.LEVEL_WARNING) if record[:3] == execd]
    cause, value = "%02x" % contract.FAULT_MEMORY, "%016x" % contract.VA_POLICY
    head = contract.LINE_ENDED + "%08x" % number + contract.LINE_ENDED_CAUSE + cause + contract.LINE_ENDED_VALUE + value
    tail = contract.LINE_ENDED_PC + "%016x" % pc
    wanted = [(head + contract.LINE_ENDED_STARTS + "%02x" % start + tail).encode() for start in range(1, 4)]
    check(reports == wanted, "reports of a crash")
