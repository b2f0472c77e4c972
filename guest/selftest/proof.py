# What every proof is made of: say ok only after a check, or fail the run. Used by the selftest's proofs.
# Never prints a text that is not the contract's, and no proof goes on after a failure.

import struct

import caps
import client
import contract
import identity
import kernel
import ways
import wire

_NONCE = 0x5EED0001
_PARTIES = sum(1 << identity.index(name) for name in ("selftest-client", "selftest-peer", "vault", "execd"))
_REST = contract.LIMIT_TICK_HZ // 250


# A check did not hold; args[0] says which one, in the words of the proof.
class Failed(Exception):
    pass


def check(holds, what):
    if not holds:
        raise Failed(what)


# Run one proof and print its line. A failure ends this process, and init ends the run.
def run(mark, function):
    try:
        function()
        stats()  # policyd holds its lines back until it is idle or asked this: have those of the proof before the proof's own
    except Failed as failure:
        _fail(mark, failure.args[0])
    except wire.Unreachable as error:
        _fail(mark, "unreachable kernel=%02x" % error.kernel)
    except wire.Refuse as refusal:
        _fail(mark, "refused status=%02x" % refusal.status)
    kernel.console(mark)
    rest()


# Leave the processor to others for a while, to the console's device above all: a line that finds no room is lost, and a run that lost one
# fails.
def rest(ticks=_REST):
    try:
        kernel.wait(caps.NOTIFICATION, client.deadline(ticks))
    except kernel.Error:
        return


# Decisions, allows, denials, fallback lines, as policyd counts them.
def stats():
    until = client.deadline(contract.EDGE_DEADLINE_POLICYD_ALL)
    form = contract.REPLY_POLICYD_STATS
    return client.ask(ways.to(b"policyd:stats"), contract.OP_POLICYD_STATS, b"", form, until)


# The same, of decisions about those that proofs move to ask: what others ask meanwhile is their own affair.
def decided():
    until = client.deadline(contract.EDGE_DEADLINE_POLICYD_ALL)
    request = struct.pack(contract.REQUEST_POLICYD_STATS_OF, _PARTIES)
    form = contract.REPLY_POLICYD_STATS_OF
    return client.ask(ways.to(b"policyd:stats"), contract.OP_POLICYD_STATS_OF, request, form, until)


# What policyd has decided since this was made, or since it was last looked at. A denial that nobody was asked for, or an allow that
# came from elsewhere, shows here.
class Decisions:
    def __init__(self):
        self.before = decided()

    # Exactly so many allows and denials, malformed questions among these, all of them in the trail.
    def expect(self, allows, denials):
        after = decided()
        delta = [after[number] - self.before[number] for number in range(4)]
        check(delta == [allows + denials, allows, denials, 0], "decisions %d+%d" % (delta[1], delta[2]))
        self.before = after


def _fail(mark, what):
    name = mark[:-3] if mark.endswith(" ok") else mark
    kernel.console(name + " FAIL " + what)
    kernel.exit(contract.LEAVE_FAILED)


# The status that a server gives to a request; an answer that is no refusal is OK.
def status_of(handle, op, payload, until):
    try:
        client.call(handle, op, payload, client.deadline(until))
    except (wire.Unreachable, wire.BadReply):
        raise Failed("no answer of the server")
    except wire.Refuse as refusal:
        return refusal.status
    return contract.STATUS_OK


# Send bytes that need not be a frame; all of the answer.
def raw(handle, message, until, accept=0):
    kernel.buffer[: len(message)] = message
    try:
        length = kernel.call(handle, len(message), client.deadline(until), 0, 0, accept)
    except kernel.Error as error:
        raise Failed("no answer to a raw message kernel=%02x" % error.args[0])
    return bytes(kernel.buffer[:length])


# (status, nonce) of an answer that has to be exactly a refusal's.
def raw_status(handle, message, until, accept=0):
    answer = raw(handle, message, until, accept)
    check(len(answer) == contract.WIRE_REPLY_HEADER, "length of a refusal")
    version, _, status, zero, nonce = struct.unpack_from("<BBBBI", answer)
    check(version == contract.WIRE_VERSION and zero == 0, "frame of a refusal")
    return status, nonce


# These requests, payloads of one operation, are refused by the same bytes.
def check_alike(handle, op, payloads, status, until, accept=0):
    answers = {raw(handle, frame(op, payload, _NONCE), until, accept) for payload in payloads}
    check(len(answers) == 1, "refusals that differ")
    found, nonce = raw_status(handle, frame(op, payloads[0], _NONCE), until, accept)
    check(found == status and nonce == _NONCE, "status of a refusal")


def frame(op, payload, nonce, version=contract.WIRE_VERSION, count=None):
    return struct.pack("<BBHI", version, op, len(payload) if count is None else count, nonce) + payload


# Tell init that the proofs of a phase are done; a phase is closed by init alone.
def close_phase(phase):
    until = client.deadline(contract.EDGE_DEADLINE_INIT_ALL)
    client.call(caps.INIT, contract.OP_INIT_PHASE_DONE, struct.pack(contract.REQUEST_INIT_PHASE_DONE, phase), until)
