# Proofs of phase bundle: what its publisher signed is taken in, listed as what it is, replaced by newer versions only and gone with all
# it had stored once it is uninstalled; whoever has no right to that gets nothing; and what is not rightly signed is no bundle.

import bundling
import contract
import crypto
import identity
import keystore
import proof
import proxy
import running
import trail
from bundled import BUNDLES
from bundling import INSTALL, PUT, STAGE, VERIFY
from proof import Decisions, check

HELLO, DRAW, KEEP = b"selftest.hello", b"selftest.draw", b"selftest.keep"
_OK, _DENIED = contract.STATUS_OK, contract.STATUS_DENIED
_UNINSTALL, _OPEN = contract.OP_BUNDLEMGRD_UNINSTALL, contract.OP_BUNDLEMGRD_OPEN
# By turns, so that no two refusals in a row are alike and counted in one record.
_JUDGED = ((VERIFY, contract.ACTION_BUNDLE_VERIFY), (INSTALL, contract.ACTION_BUNDLE_INSTALL))
_PEER = contract.PEER_ROUTE_BUNDLEMGRD
_L = int(contract.ED25519_L, 16)

# ---- installing ------------------------------------------------------------------------------------------------------


def prove_install():
    older, newer = BUNDLES["draw-unasked"], BUNDLES["draw"]
    check(bundling.listed(DRAW) is None, "a bundle that nobody has installed")
    first, decisions = trail.end(trail.own), Decisions()
    bundling.stage(DRAW, older)
    check(bundling.status(VERIFY, DRAW) == _OK, "a bundle that is right")
    decisions.expect(2, 0)
    check(bundling.listed(DRAW) is None, "a bundle that was verified only")
    check(bundling.status(INSTALL, DRAW) == _OK, "a bundle that may be installed")
    _check_listed(DRAW, older, 1 << contract.ACTION_ROUTE)
    asked = [one.action for one in trail.since(trail.own, first) if one.kind == contract.AUDIT_KIND_DECISION]
    check(contract.ACTION_BUNDLE_INSTALL in asked, "what policyd was asked")
    _check_recorded(first, INSTALL, contract.ACTION_BUNDLE_INSTALL, DRAW)
    bundling.install(DRAW, newer)
    _check_listed(DRAW, newer, 1 << contract.ACTION_ROUTE | 1 << contract.ACTION_RNG_ENTROPY)
    for data in (older, newer):
        for op, action in _JUDGED:
            first = trail.end(trail.own)
            bundling.stage(DRAW, data)
            check(bundling.status(op, DRAW) == _DENIED, "a version that is not newer")
            _check_recorded(first, op, action, DRAW, contract.BUNDLE_REFUSAL_OLDER)
    _check_listed(DRAW, newer, 1 << contract.ACTION_ROUTE | 1 << contract.ACTION_RNG_ENTROPY)
    _prove_gone()


# Version, publisher and length are those of the very file.
def _check_listed(name, data, actions):
    version, publisher, size = bundling.stated(data)
    check(bundling.listed(name) == (version, publisher, actions, size), "what is listed")


# The newest record is about this, by bundlemgrd, and says why.
def _check_recorded(first, op, action, name, reason=0):
    record = bundling.recorded(first)[-1]
    verdict = contract.AUDIT_VERDICT_DENY if reason else contract.AUDIT_VERDICT_ALLOW
    check((record.op, record.action, record.target) == (op, action, name), "what a record is about")
    check((record.verdict, record.reason) == (verdict, reason), "verdict and reason in a record")
    check(record.via_index == identity.index("bundlemgrd"), "who made a record")


# What an app has stored outlives the app, and not its bundle.
def _prove_gone():
    bundling.uninstall(DRAW)
    check(bundling.listed(DRAW) is None, "a bundle that was uninstalled")
    for op in (_UNINSTALL, _OPEN):
        check(_refused(op, DRAW) == contract.STATUS_NOT_FOUND, "what is done with a bundle that is gone")
    bundling.install(KEEP, BUNDLES["keep"])
    check(running.exit_of(KEEP) == contract.APP_EXIT_KEPT, "an app that finds nothing")
    check(running.exit_of(KEEP) == contract.APP_EXIT_FOUND, "an app that finds its own")
    bundling.uninstall(KEEP)
    check(running.status_of_start(KEEP) == contract.STATUS_NOT_FOUND, "an app without its bundle")
    bundling.install(KEEP, BUNDLES["keep"])
    check(running.exit_of(KEEP) == contract.APP_EXIT_KEPT, "an app that finds what was uninstalled")
    bundling.uninstall(KEEP)


def _refused(op, name):
    return bundling.answer(op, name, 1)[2]


# ---- who may not -----------------------------------------------------------------------------------------------------


# Each request of the peer is one that the selftest makes with success before or after it.
def prove_denied():
    data = BUNDLES["hello"]
    request = bundling.stage_request(HELLO, len(data))
    proxy.status_of(_PEER, 0x7E)  # it has the route before anything is counted
    decisions = Decisions()
    _deny_peer((STAGE, request), (VERIFY, HELLO), (INSTALL, HELLO), (contract.OP_BUNDLEMGRD_LIST, b"\0"))
    decisions.expect(0, 4)
    bundling.stage(HELLO, data[:-1] + b"?")
    check(bundling.status(STAGE, request) == _OK, "a bundle that is staged anew")
    _deny_peer((PUT, bytes(4) + data[:16]), (VERIFY, HELLO), (INSTALL, HELLO))
    for at in range(0, len(data), contract.LIMIT_BUNDLE_PUT):
        check(bundling.put(data, at) == _OK, "a piece of a bundle")
    _deny_peer((VERIFY, HELLO), (INSTALL, HELLO))
    check(bundling.listed(HELLO) is None, "a bundle that the peer installed")
    check(bundling.status(INSTALL, HELLO) == _OK, "the twin of the peer's request")
    _deny_peer((_UNINSTALL, HELLO), (_OPEN, HELLO))
    _check_listed(HELLO, data, 1 << contract.ACTION_ROUTE)
    bundling.uninstall(HELLO)
    _check_own_rights()


def _deny_peer(*requests):
    for op, payload in requests:
        proxy.check_denied(_PEER, op, payload, "bundlemgrd did it for the peer")


# Having a right to some names is none to others.
def _check_own_rights():
    decisions = Decisions()
    for name in (b"dev.hello", b"selftest", b"init", b"nowhere"):
        for op in (VERIFY, INSTALL, _UNINSTALL, _OPEN):
            check(_refused(op, name) == _DENIED, "a bundle of another name")
        check(bundling.status(STAGE, bundling.stage_request(name, 1000)) == _DENIED, "another name that is staged")
    decisions.expect(0, 20)


# ---- what is no bundle -----------------------------------------------------------------------------------------------


# Whatever is wrong, the answer is the same; the trail knows why.
def prove_signature():
    answers = set()
    for data, reason in _bad():
        for op, action in _JUDGED:
            first = trail.end(trail.own)
            bundling.stage(HELLO, data)
            said = bundling.answer(op, HELLO)
            check(said[2] == _DENIED, "a bundle that is none was taken")
            answers.add(said)
            _check_recorded(first, op, action, HELLO, reason)
        proof.stats()
        proof.rest()
    check(len(answers) == 2, "refusals that differ")  # one for each operation
    check(bundling.listed(HELLO) is None, "a bundle that is none was installed")
    bundling.install(HELLO, BUNDLES["hello"])
    check(running.exit_of(HELLO) == contract.APP_EXIT_DONE, "the twin of the bad ones")
    bundling.uninstall(HELLO)


# (file, why it is refused)
def _bad():
    good = BUNDLES["hello"]
    end = int.from_bytes(good[contract.BUNDLE_AT_MANIFEST_BYTES : contract.BUNDLE_AT_CONTENTS_BYTES], "little")
    half = end + contract.KEY_SIGNATURE_BYTES // 2
    yield _flipped(good, end + 1), contract.BUNDLE_REFUSAL_SIGNATURE
    yield _flipped(good, half), contract.BUNDLE_REFUSAL_SIGNATURE
    yield _flipped(good, contract.BUNDLE_AT_PATCH), contract.BUNDLE_REFUSAL_SIGNATURE
    yield _flipped(good, end - 1), contract.BUNDLE_REFUSAL_SIGNATURE
    yield _flipped(good, len(good) - 1), contract.BUNDLE_REFUSAL_DIGEST
    yield _spelled_otherwise(good, half), contract.BUNDLE_REFUSAL_SIGNATURE_FORM
    yield _by_device(good), contract.BUNDLE_REFUSAL_UNKNOWN
    yield BUNDLES["revoked"], contract.BUNDLE_REFUSAL_REVOKED
    yield BUNDLES["stolen"], contract.BUNDLE_REFUSAL_PREFIX
    yield BUNDLES["keep"], contract.BUNDLE_REFUSAL_NAME


# Another bit in this byte.
def _flipped(data, at):
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


# The same signature to whoever takes S modulo the order of the group.
def _spelled_otherwise(data, half):
    end = half + contract.KEY_SIGNATURE_BYTES // 2
    s = int.from_bytes(data[half:end], "little") + _L
    return data[:half] + s.to_bytes(end - half, "little") + data[end:]


# As if the device key were a publisher's: a good key, that nobody trusts for this.
def _by_device(data):
    key = keystore.public()[3]
    named = crypto.sha256(key)[: contract.KEY_ID_BYTES] + key
    return data[: contract.BUNDLE_AT_KEY_ID] + named + data[contract.BUNDLE_AT_KEY_ID + len(named) :]
