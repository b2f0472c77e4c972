# policyd: the only one that decides. Every question is about whom the kernel says it is about: the sender, or the one on whose
# behalf the sender serves. Order: decide, record, answer; what can't be recorded is refused. Never says why it refused.

import struct

import caps
import client
import contract
import frame
import kernel
import nexus_sel
import server
from lines import Lines
from record import Record
from tally import Tally
from wire import Refuse

_APP_MASK = (1 << contract.POLICY_LIMIT_ACTIONS) - 1
_SERVICE_MASK = -1
_DENIED = server.refusal(contract.STATUS_DENIED)

rules, names, subjects, open_gates = nexus_sel.load(kernel.policy(caps.POLICY_BYTES, "H"))
_record = Record()
_lines = Lines(caps.SUBJECTS)


# Places in the table of the asker and of whom it is about, and that one's mask: all by the kernel's word.
def _who():
    kind = kernel.kind()
    sender = nexus_sel.subject(subjects, kind, kernel.sender(), kernel.sender_id())
    index = kernel.subject()
    if index < 0:
        mask = _SERVICE_MASK if kind == contract.KIND_SERVICE else kernel.sender_mask() & _APP_MASK
        return contract.POLICY_TABLE_SELF, sender, mask
    kind = kernel.subject_kind()
    mask = _SERVICE_MASK if kind == contract.KIND_SERVICE else kernel.subject_mask() & _APP_MASK
    return sender, nexus_sel.subject(subjects, kind, index, kernel.subject_id()), mask


# The latch is the kernel's; asked each time, so that closing it needs no message that could be missed.
def _gates():
    return open_gates | contract.GATE_BRING_UP if kernel.bring_up() else open_gates


# The answer to one question. Nothing here depends on the verdict but what is written down.
def _decide(op, action, name):
    if len(name) > contract.POLICY_LIMIT_NAME_BYTES or b"\0" in name:
        on_malformed()
        return server.refusal(contract.STATUS_MALFORMED)
    asker, subject, mask = _who()
    said = nexus_sel.decide(rules, asker, subject, mask, action, nexus_sel.target(names, name), _gates())
    allowed = said > 0
    verdict = contract.AUDIT_VERDICT_ALLOW if allowed else contract.AUDIT_VERDICT_DENY
    _record.question(verdict, op, nexus_sel.reason(said), action, nexus_sel.rule(said), name)
    return None if _keep(action, allowed) and allowed else _DENIED


# Whether the decision is on record, in logd's trail or, if logd does not take it in time, on the console.
def _keep(action, allowed):
    recorded = _to_logd()
    if not recorded and not _lines.fallback(_record.bytes):
        return False
    _tally.count(allowed, not recorded, _record.subject_index & ~contract.AUDIT_APP)
    _lines.decision(allowed, _record.subject_index, action)
    return True


# Not by client.call: this is on the way of every question, and there is no answer to look at.
def _to_logd():
    until = kernel.time() + contract.EDGE_DEADLINE_LOGD_POLICYD
    count = frame.call(caps.LOGD_DECISION, contract.OP_LOGD_DECISION, _record.bytes, until)
    _tally.unsure = _tally.unsure or count < frame.BAD_REPLY
    return count >= 0


def on_check(action, target):
    return _decide(contract.OP_POLICYD_CHECK, action, bytes(target))


def on_route(name):
    return _decide(contract.OP_POLICYD_ROUTE, contract.ACTION_ROUTE, bytes(name))


def on_exec(bundle):
    return _decide(contract.OP_POLICYD_EXEC, contract.ACTION_PROC_EXEC, bytes(bundle))


def on_stats():
    _lines.flush()
    if _tally.unsure:
        _settle()
    return struct.pack(contract.REPLY_POLICYD_STATS, *_tally.numbers())


def on_stats_of(subjects):
    _lines.flush()
    return struct.pack(contract.REPLY_POLICYD_STATS_OF, *_tally.of(subjects))


# What is decided from here on is not among these numbers, so its lines must not stand before the line that tells them.
def on_hold():
    _lines.holding = False
    numbers = on_stats()
    _lines.holding = True
    return numbers


def on_go_on():
    _lines.holding = False


# A question that is none counts as a refusal, and is written down like one; the server answers it.
def on_malformed():
    _record.question(contract.AUDIT_VERDICT_MALFORMED, frame.op(), 0, 0, 0, b"")
    _keep(0, False)


# The answer to the last decision reached nobody, so the trail must not claim that it took effect.
def on_gone():
    if _record.undelivered() and not _to_logd():
        _lines.fallback(_record.bytes)


HANDLERS = {
    contract.OP_POLICYD_CHECK: (on_check, contract.REQUEST_POLICYD_CHECK, contract.BADGE_FACET_ANY),
    contract.OP_POLICYD_ROUTE: (on_route, contract.REQUEST_POLICYD_ROUTE, contract.BADGE_FACET_ANY),
    contract.OP_POLICYD_EXEC: (on_exec, contract.REQUEST_POLICYD_EXEC, contract.BADGE_FACET_ANY),
    contract.OP_POLICYD_STATS: (on_stats, contract.REQUEST_POLICYD_STATS, contract.FACET_POLICYD_STATS),
    contract.OP_POLICYD_STATS_OF: (on_stats_of, contract.REQUEST_POLICYD_STATS_OF, contract.FACET_POLICYD_STATS),
    contract.OP_POLICYD_HOLD: (on_hold, contract.REQUEST_POLICYD_HOLD, contract.FACET_POLICYD_HOLD),
    contract.OP_POLICYD_GO_ON: (on_go_on, contract.REQUEST_POLICYD_GO_ON, contract.FACET_POLICYD_HOLD),
}


# How many decisions the trail holds. Without an answer there is nothing true to go on from.
def _in_trail():
    until = client.deadline(contract.EDGE_DEADLINE_LOGD_POLICYD)
    return client.ask(caps.LOGD_HEAD, contract.OP_LOGD_HEAD, b"", contract.REPLY_LOGD_HEAD, until)[1]


# A logd that was dead or late may have taken a record all the same; once it answers, its own count tells.
def _settle():
    try:
        _tally.resume(_in_trail())
    except Refuse:
        return


try:
    _tally = Tally(kernel.kept(caps.KEPT_BYTES, "Q"), _in_trail())
except Refuse:
    kernel.exit(contract.LEAVE_FAILED)
server.serve(HANDLERS, contract.MARK_POLICYD_READY, on_idle=_lines.flush, on_malformed=on_malformed, on_gone=on_gone)
