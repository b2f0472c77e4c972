# logd's part in the audit trail: what is asked about it, and by whom. Who a record is about, who asked and when are the kernel's
# word or policyd's, never a payload's, but for policyd's own records. Without kept memory there is no trail: all answer UNAVAILABLE.

import struct

import boot_grants
import caps
import contract
import crypto
import frame
import kernel
import pages
import recover
import server
from trail import Broken, Trail
from wire import Refuse

_PAGE_HEAD = struct.calcsize(contract.REPLY_LOGD_AUDIT_OWN[:-1])  # before the records
_DECISION = "<BB%dxHH" % (contract.AUDIT_AT_SUBJECT_IX - contract.AUDIT_AT_OP)  # kind, verdict, subject, asker
_draft = bytearray(contract.AUDIT_AT_PREVIOUS)


# The trail of this boot, with what logd has to say of its own start; None without memory for it.
def open_trail():
    size = contract.AUDIT_SLOTS * contract.AUDIT_RECORD_BYTES
    if size > caps.KEPT_BYTES:
        return None
    views = [kernel.kept(size, code) for code in ("B", "I", "Q")]
    trail = Trail(views, crypto.sha256, caps.PROCESS_COUNT)
    try:
        recover.recover(trail)
        if kernel.incarnation() == 1 and trail.seq:
            raise Broken()
    except Broken:
        kernel.console(contract.LINE_AUDIT_BROKEN)
        kernel.exit(contract.LEAVE_FINAL)
    _note_start(trail)
    return trail


# The grants are the first records; one that died while it wrote them left some to its successor.
def _note_start(trail):
    size = struct.calcsize(boot_grants.ROW)
    for at in range(size * trail.seq, len(boot_grants.GRANTS), size):
        index, service_id, action, rule, target = struct.unpack_from(boot_grants.ROW, boot_grants.GRANTS, at)
        what = (contract.AUDIT_KIND_BOOT_GRANT, contract.AUDIT_VERDICT_ALLOW, 0, 0, action, rule)
        _keep(trail, what, (service_id, 0, index, contract.AUDIT_NOBODY), 0, target)
    if kernel.incarnation() > 1:
        _keep(trail, _happened(contract.AUDIT_KIND_RESTART, 0), _about(caps.INDEX, 0, contract.AUDIT_NOBODY), 0, b"")


def _happened(kind, reason):
    return (kind, contract.AUDIT_VERDICT_NONE, 0, reason, 0, 0)


# Subject and asker of a record about a service.
def _about(index, via, via_index):
    return (struct.unpack_from("<Q", caps.SUBJECT_IDS, 8 * index)[0], via, index, via_index)


def _keep(trail, what, who, nonce, target):
    struct.pack_into("<BBBBHH", _draft, contract.AUDIT_AT_KIND, *what)
    struct.pack_into("<QQHHI", _draft, contract.AUDIT_AT_SUBJECT, *who, nonce)
    _append(trail, target)


def _append(trail, target):
    end = contract.AUDIT_AT_TARGET + len(target)
    _draft[contract.AUDIT_AT_TARGET : end] = target
    _draft[end:] = bytes(contract.AUDIT_AT_PREVIOUS - end)
    trail.append(_draft, kernel.time())


_trail = open_trail()


def _opened():
    if _trail is None:
        raise Refuse(contract.STATUS_UNAVAILABLE)
    return _trail


# policyd's record of a decision, or that its answer reached nobody.
def on_decision(draft):
    trail = _opened()
    if not _is_decision(draft):
        raise Refuse(contract.STATUS_MALFORMED)
    trail.append(draft, kernel.time())


def _is_decision(draft):
    if len(draft) != contract.AUDIT_AT_PREVIOUS:
        return False
    kind, verdict, subject, via = struct.unpack_from(_DECISION, draft)
    if kind != contract.AUDIT_KIND_DECISION and kind != contract.AUDIT_KIND_UNDELIVERED:
        return False
    if verdict < contract.AUDIT_VERDICT_ALLOW or verdict > contract.AUDIT_VERDICT_MALFORMED:
        return False
    if not _is_process(subject) or (via != contract.AUDIT_NOBODY and not _is_process(via)):
        return False
    return b"\0" not in bytes(draft[contract.AUDIT_AT_TARGET :]).rstrip(b"\0")


# Apps have the dense indices above those of the recipe's processes.
def _is_process(index):
    if index & contract.AUDIT_APP:
        return caps.PROCESS_COUNT <= index ^ contract.AUDIT_APP < caps.PROCESS_COUNT + contract.LIMIT_APP_SLOTS
    return index < caps.PROCESS_COUNT


def _index(dense):
    return dense if dense < caps.PROCESS_COUNT else dense | contract.AUDIT_APP


# What an enforcer refused because policyd did not answer it.
def on_audit(op, action, target):
    trail = _opened()
    if len(target) > contract.AUDIT_TARGET_BYTES:
        raise Refuse(contract.STATUS_TOO_LARGE)
    target = bytes(target)
    if b"\0" in target:
        raise Refuse(contract.STATUS_MALFORMED)
    via, subject = kernel.sender(), kernel.subject()
    if subject < 0:
        who = (kernel.sender_id(), kernel.sender_id(), _index(via), _index(via))
    else:
        who = (kernel.subject_id(), kernel.sender_id(), _index(subject), _index(via))
    what = (contract.AUDIT_KIND_ENFORCE_DENY, contract.AUDIT_VERDICT_DENY, op, 0, action, 0)
    _keep(trail, what, who, frame.nonce(), target)


# What became of a bundle. Only their keeper can know; about whom it is, is the kernel's word here too.
def on_bundle(op, action, verdict, reason, name):
    trail = _opened()
    if kernel.kind() != contract.KIND_SERVICE or caps.SUBJECTS[kernel.sender()] != contract.ACTION_SERVER_BUNDLE_OPEN:
        raise Refuse(contract.STATUS_DENIED)
    name = bytes(name)
    if len(name) > contract.AUDIT_TARGET_BYTES:
        raise Refuse(contract.STATUS_TOO_LARGE)
    if b"\0" in name or not _is_outcome(action, verdict, reason):
        raise Refuse(contract.STATUS_MALFORMED)
    what = (contract.AUDIT_KIND_BUNDLE, verdict, op, reason, action, 0)
    struct.pack_into("<BBBBHH", _draft, contract.AUDIT_AT_KIND, *what)
    frame.about(_draft)
    _append(trail, name)


# A reason for each refusal, and none for what was taken.
def _is_outcome(action, verdict, reason):
    if not contract.ACTION_BUNDLE_VERIFY <= action <= contract.ACTION_BUNDLE_OPEN:
        return False
    if verdict == contract.AUDIT_VERDICT_ALLOW:
        return reason == 0
    return verdict == contract.AUDIT_VERDICT_DENY and 0 < reason <= contract.BUNDLE_REFUSAL_ABSENT


# What init did as supervisor.
def on_event(kind, reason, index):
    trail = _opened()
    if kind != contract.AUDIT_KIND_RESTART and kind != contract.AUDIT_KIND_LATCH:
        raise Refuse(contract.STATUS_MALFORMED)
    if reason > contract.FAULT_SYSCALL or index >= caps.PROCESS_COUNT:
        raise Refuse(contract.STATUS_MALFORMED)
    who = _about(index, kernel.sender_id(), _index(kernel.sender()))
    _keep(trail, _happened(kind, reason), who, frame.nonce(), b"")


def on_audit_own(since):
    trail = _opened()
    index = _index(kernel.sender())
    first = 2 * min(kernel.sender(), caps.PROCESS_COUNT)
    own = struct.pack("<Q", kernel.sender_id()), struct.pack("<H", index)
    return _page(trail, since, (first, first + 1), own)


def on_audit_all(since):
    trail = _opened()
    return _page(trail, since, range(trail.classes), None)


def _page(trail, since, rings, own):
    count, following = pages.copy(trail, since, rings, own, kernel.buffer, server.PAYLOAD + _PAGE_HEAD)
    struct.pack_into(contract.REPLY_LOGD_AUDIT_OWN[:-1], kernel.buffer, server.PAYLOAD, count, following)
    return _PAGE_HEAD + count * contract.AUDIT_RECORD_BYTES


def on_head():
    trail = _opened()
    return struct.pack(contract.REPLY_LOGD_HEAD[:-1], trail.seq, trail.decisions) + trail.head()


# The trail's end goes to the console, where it outlives the machine.
def on_close():
    trail = _opened()
    text = "".join(["%02x" % octet for octet in trail.head()])
    if not kernel.console("%s%016x%s%s" % (contract.LINE_AUDIT_HEAD, trail.seq, contract.LINE_AUDIT_HASH, text)):
        raise Refuse(contract.STATUS_UNAVAILABLE)


HANDLERS = {
    contract.OP_LOGD_DECISION: (on_decision, contract.REQUEST_LOGD_DECISION, contract.FACET_LOGD_DECISION),
    contract.OP_LOGD_AUDIT: (on_audit, contract.REQUEST_LOGD_AUDIT, contract.FACET_LOGD_AUDIT),
    contract.OP_LOGD_BUNDLE: (on_bundle, contract.REQUEST_LOGD_BUNDLE, contract.FACET_LOGD_AUDIT),
    contract.OP_LOGD_EVENT: (on_event, contract.REQUEST_LOGD_EVENT, contract.FACET_LOGD_EVENT),
    contract.OP_LOGD_AUDIT_OWN: (on_audit_own, contract.REQUEST_LOGD_AUDIT_OWN, contract.FACET_LOGD_AUDIT_OWN),
    contract.OP_LOGD_AUDIT_ALL: (on_audit_all, contract.REQUEST_LOGD_AUDIT_ALL, contract.FACET_LOGD_AUDIT_ALL),
    contract.OP_LOGD_HEAD: (on_head, contract.REQUEST_LOGD_HEAD, contract.FACET_LOGD_HEAD),
    contract.OP_LOGD_CLOSE: (on_close, contract.REQUEST_LOGD_CLOSE, contract.FACET_LOGD_EVENT),
}
