# bundlemgrd: keeps the bundles that apps are started from. Every handler asks the gate about the bundle that it is asked for, before it
# looks at anything else. What comes of it is on record at logd before it happens and before it is told; whatever is wrong with a
# bundle, who asked hears DENIED. A region is sealed before a field of it is read, and judged whole before it is a bundle.
# Statuses: NOT_FOUND is for those that may ask for that bundle, EXISTS says that somebody else stages, UNAVAILABLE that logd or
# keystored gave no answer.

import struct

import caps
import client
import contract
import frame
import gate
import kernel
import manifest
import regions
import server
from book import INSTALLED
from bundled import BUNDLES
from keeper import Keeper
from trust import PUBLISHERS
from wire import Refuse

_UNKNOWN = contract.LINE_UNKNOWN.encode()
_OWN = None  # who stages the image's bundles: no caller


def _purge(service_id, publisher):
    payload = struct.pack(contract.REQUEST_KEYSTORED_PURGE, service_id, publisher)
    until = client.deadline(contract.EDGE_DEADLINE_KEYSTORED_BUNDLEMGRD)
    try:
        client.call(caps.KEYSTORED, contract.OP_KEYSTORED_PURGE, payload, until)
    except Refuse:
        return False
    return True


_keeper = Keeper(kernel.kept(caps.KEPT_BYTES, "B"), PUBLISHERS, caps.SUBJECT_IDS, _purge)

# ---- what every handler does ----


def _asker():
    return kernel.kind(), kernel.sender_id(), kernel.sender_publisher()


# The name as bytes, once policy allows that action on it.
def _allowed(action, name):
    name = bytes(name)
    is_id = manifest.is_id(name)
    gate.require(action, name if is_id else _UNKNOWN)
    _keeper.sweep()
    if not is_id:
        _settle(action, contract.BUNDLE_REFUSAL_ID, _UNKNOWN)
    return name


# Nothing happens that is not on record.
def _record(op, action, reason, name, behalf):
    verdict = contract.AUDIT_VERDICT_DENY if reason else contract.AUDIT_VERDICT_ALLOW
    payload = struct.pack(contract.REQUEST_LOGD_BUNDLE[:-1], op, action, verdict, reason) + name
    until = client.deadline(contract.EDGE_DEADLINE_LOGD_ALL)
    try:
        client.call(caps.LOGD_AUDIT, contract.OP_LOGD_BUNDLE, payload, until, behalf)
    except Refuse:
        raise Refuse(contract.STATUS_UNAVAILABLE)


# Record what comes of the request, and refuse it if there is a reason.
def _settle(action, reason, name, status=contract.STATUS_DENIED):
    _record(frame.op(), action, reason, name, kernel.handle())
    if reason:
        raise Refuse(status)


def _installed(action, name):
    bundle = _keeper.shelf.installed(name)
    if bundle is None:
        _settle(action, contract.BUNDLE_REFUSAL_ABSENT, name, contract.STATUS_NOT_FOUND)
    return bundle


# ---- on the way in ----


def on_stage(size, name):
    name = _allowed(contract.ACTION_BUNDLE_VERIFY, name)
    asker, session = _asker(), _keeper.session
    if session is not None and session.owner != asker and not session.is_stale(kernel.time()):
        _settle(contract.ACTION_BUNDLE_VERIFY, contract.BUNDLE_REFUSAL_QUOTA, name, contract.STATUS_EXISTS)
    reason = _keeper.stage(asker, size, name, kernel.time())
    try:
        _settle(contract.ACTION_BUNDLE_VERIFY, reason, name)
    except Refuse:
        _keeper.drop()
        raise


# Whose session it is was decided when it began.
def on_put(offset, data):
    session = _keeper.session
    if session is None or session.owner != _asker():
        raise Refuse(contract.STATUS_DENIED)
    if len(data) > contract.LIMIT_BUNDLE_PUT or len(data) > session.size - session.got:
        raise Refuse(contract.STATUS_TOO_LARGE)
    if offset != session.got or not len(data):
        raise Refuse(contract.STATUS_MALFORMED)
    session.put(data, kernel.time())


def on_verify(name):
    _judged(contract.ACTION_BUNDLE_VERIFY, _allowed(contract.ACTION_BUNDLE_VERIFY, name))


def on_install(name):
    bundle = _judged(contract.ACTION_BUNDLE_INSTALL, _allowed(contract.ACTION_BUNDLE_INSTALL, name))
    _keeper.install(bundle)


# What the asker has staged, if it could be installed. The session of one that could not is over.
def _judged(action, name):
    asker = _asker()
    reason, bundle = _keeper.judge(asker, name)
    if reason and _keeper.session is not None and _keeper.session.owner == asker:
        _keeper.drop()
    _settle(action, reason, name)
    return bundle


# ---- what is here ----


def on_open(name):
    name = _allowed(contract.ACTION_BUNDLE_OPEN, name)
    bundle = _installed(contract.ACTION_BUNDLE_OPEN, name)
    _settle(contract.ACTION_BUNDLE_OPEN, 0 if bundle.is_intact() else contract.BUNDLE_REFUSAL_CHANGED, name)
    # To read and to spawn from, by whoever asked alone: without GRANT it can't be passed on.
    kernel.grant(0, regions.handle(bundle.number), contract.RIGHT_MAP_R, 0)
    return server.grant(1)


def on_uninstall(name):
    name = _allowed(contract.ACTION_BUNDLE_UNINSTALL, name)
    bundle = _installed(contract.ACTION_BUNDLE_UNINSTALL, name)
    _settle(contract.ACTION_BUNDLE_UNINSTALL, 0, name)
    if not _keeper.uninstall(bundle):
        raise Refuse(contract.STATUS_UNAVAILABLE)


def on_list(row):
    gate.require(contract.ACTION_BUNDLE_LIST)
    _keeper.sweep()
    if row >= len(_keeper.shelf.bundles):
        raise Refuse(contract.STATUS_NOT_FOUND)
    bundle = _keeper.shelf.bundles[row]
    values = bundle.version + (bundle.publisher, bundle.actions, bundle.size, 0 if bundle.what == INSTALLED else 1)
    return struct.pack(contract.REPLY_BUNDLEMGRD_LIST[:-1], *values) + bundle.name


# ---- at the start ----


# What an earlier incarnation had installed, if it is still right; then what came with the image and was not dealt with yet.
def _begin():
    if kernel.incarnation() > 1:
        for name, reason in _keeper.recover():
            _record(contract.OP_BUNDLEMGRD_VERIFY, contract.ACTION_BUNDLE_VERIFY, reason, name or _UNKNOWN, 0)
    for name in sorted(BUNDLES)[_keeper.book.own_done() :]:
        _bring_in(BUNDLES[name])
        _keeper.book.count_own()


# By the way of every other bundle, but that it may have any name.
def _bring_in(data):
    reason, bundle = _keeper.stage(_OWN, len(data), None, kernel.time()), None
    if not reason:
        _keeper.session.put(memoryview(data), kernel.time())
        reason, bundle = _keeper.judge(_OWN, None)
    name = _UNKNOWN if bundle is None else bundle.name
    _record(contract.OP_BUNDLEMGRD_INSTALL, contract.ACTION_BUNDLE_INSTALL, reason, name, 0)
    if reason:
        _keeper.drop()
        kernel.console("%s%02x" % (contract.LINE_IMAGE_BUNDLE, reason))
    else:
        _keeper.install(bundle)


_ANY = contract.BADGE_FACET_ANY
HANDLERS = {
    contract.OP_BUNDLEMGRD_LIST: (on_list, contract.REQUEST_BUNDLEMGRD_LIST, _ANY),
    contract.OP_BUNDLEMGRD_VERIFY: (on_verify, contract.REQUEST_BUNDLEMGRD_VERIFY, _ANY),
    contract.OP_BUNDLEMGRD_INSTALL: (on_install, contract.REQUEST_BUNDLEMGRD_INSTALL, _ANY),
    contract.OP_BUNDLEMGRD_UNINSTALL: (on_uninstall, contract.REQUEST_BUNDLEMGRD_UNINSTALL, _ANY),
    contract.OP_BUNDLEMGRD_OPEN: (on_open, contract.REQUEST_BUNDLEMGRD_OPEN, _ANY),
    contract.OP_BUNDLEMGRD_STAGE: (on_stage, contract.REQUEST_BUNDLEMGRD_STAGE, _ANY),
    contract.OP_BUNDLEMGRD_PUT: (on_put, contract.REQUEST_BUNDLEMGRD_PUT, _ANY),
}

_begin()
server.serve(HANDLERS, contract.MARK_BUNDLEMGRD_READY, on_idle=_keeper.sweep)
