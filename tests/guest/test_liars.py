"""One service tells a lie, a line of its source changed, and the proof that is there for it fails, in its own words.

Whatever of the ladder comes before that proof still passes, so the proof named here is the one that noticed.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from shims.lies import (
    AGAIN,
    BUT_ONE,
    CALL,
    HANDLERS,
    LOSES,
    LOSES_ONE,
    NOT_MERGED,
    OF_SIGN,
    PEERS,
    Lie,
    about_the_peer,
    at,
    bundlemgrd,
    changed,
    execd,
    init,
    keystored,
    logd,
    peer,
    policyd,
    policyd_masks,
    unchecked,
    when,
    written,
)
from shims.machine import Machine

Make = Callable[..., Machine]

LIES = {
    # rngd
    "rngd serves the peer": Lie(
        "rngd",
        "    gate.require(contract.ACTION_RNG_ENTROPY)\n    if count == 0:",
        "    if count == 0:",
        "rng_denied",
        "the peer got entropy",
    ),
    "rngd tells the peer its counters": Lie(
        "rngd",
        "    gate.require(contract.ACTION_RNG_ENTROPY)\n    rng =",
        "    rng =",
        "rng_denied",
        "the peer got the counters",
    ),
    "rngd looks at sizes before it asks": Lie(
        "rngd",
        "    gate.require(contract.ACTION_RNG_ENTROPY)\n    if count == 0:",
        "    if count > 256:\n        raise Refuse(contract.STATUS_TOO_LARGE)\n"
        "    gate.require(contract.ACTION_RNG_ENTROPY)\n    if count == 0:",
        "rng_denied",
        "the peer got entropy",
    ),
    "rngd counts what it denies": Lie(
        "rngd",
        "    gate.require(contract.ACTION_RNG_ENTROPY)\n    if count == 0:",
        "    _source.requests += 1\n    gate.require(contract.ACTION_RNG_ENTROPY)\n    _source.requests -= 1\n    if count == 0:",
        "rng_denied",
        "rngd counted what it denied",
    ),
    "rngd refuses the peer by itself": Lie(
        "rngd",
        "    gate.require(contract.ACTION_RNG_ENTROPY)\n    if count == 0:",
        "    if kernel.sender() == len(caps.SUBJECTS) - 1:\n        raise Refuse(contract.STATUS_DENIED)\n"
        "    gate.require(contract.ACTION_RNG_ENTROPY)\n    if count == 0:",
        "rng_denied",
        "decisions 0+1",
    ),
    # init
    "init asks nobody": init("route_refused", "refusals that differ", gate=""),
    "init asks nobody and keeps one route back": init("route_refused", "status of a refusal", gate=BUT_ONE),
    "init asks nobody, keeps one route back and names to itself": init(
        "route_refused", "the peer was given a route", gate=BUT_ONE, unknown="DENIED"
    ),
    "init tells what it does not have": init(
        "route_refused",
        "refusals that differ",
        gate="if name not in (b'nowhere', b'', b'*'):\n        gate.require_route(name)",
    ),
    "init gives the right to pass on": init(
        "route_granted", "what the route is", rights=f"{CALL} | contract.RIGHT_GRANT"
    ),
    "init gives everybody the same badge": init("rng_entropy", "refused status=01", badge="facet << 32"),
    "init forgets the facet": init("rng_entropy", "refused status=01", badge="kernel.sender()"),
    "init lets the peer close a phase": Lie(
        "init", "    gate.require(contract.ACTION_RUN_PHASE)\n", "", "policy_init", "init did it for the peer"
    ),
    "init tells the peer about processes": Lie(
        "init",
        "    gate.require(contract.ACTION_SYSTEM_STATS)\n    return figures.process(",
        "    if kernel.sender() != len(caps.PROCESSES):\n        gate.require(contract.ACTION_SYSTEM_STATS)\n    return figures.process(",
        "policy_init",
        "init did it for the peer",
    ),
    # policyd
    "policyd allows everything": policyd("True", "rng_denied", "the peer got entropy"),
    "policyd denies everything": policyd("False", "rng_entropy", "refused status=01"),
    "policyd allows the peer a phase": policyd(about_the_peer("RUN_PHASE"), "policy_check", "what the peer may not"),
    "policyd allows the peer keygen": policyd(
        about_the_peer("DEVICE_KEYGEN"), "key_made", "a key was made for the peer"
    ),
    "policyd allows the peer the key": policyd(
        about_the_peer("DEVICE_PUBKEY_READ"), "key_public", "the peer was told the key"
    ),
    "policyd allows the peer values": policyd(about_the_peer("KEYSTORE_KV"), "policy_forged", "a forged request"),
    "policyd allows the peer the end of a key": policyd(
        about_the_peer("DEVICE_KEY_DESTROY"), "key_rotation", "the peer destroyed the key"
    ),
    "policyd denies keygen": policyd(when("DEVICE_KEYGEN", "False"), "key_made", "refused status=01"),
    "policyd allows attest": policyd(when("CRYPTO_SIGN", "True"), "policy_check", "refusals that differ"),
    "policyd allows unknown actions": policyd("said > 0 or action > 60", "policy_check", "refusals that differ"),
    "policyd answers the peer about others": policyd(
        "said > 0 or nexus_sel.reason(said) == 3", "policy_delegation", "the peer was answered about another"
    ),
    "policyd believes a name in the question": policyd(
        'said > 0 or name == b"selftest-client"', "policy_forged", "a forged question"
    ),
    "policyd takes a longer name": Lie(
        "policyd",
        "    if len(name) > contract.POLICY_LIMIT_NAME_BYTES or",
        "    name = name[: contract.POLICY_LIMIT_NAME_BYTES]\n    if",
        "policy_oversized",
        "an oversized query",
    ),
    "policyd does not count malformed questions": Lie(
        "policyd", "    _keep(0, False)\n", "    pass\n", "policy_oversized", "decisions 1+3"
    ),
    "policyd does not record what it denies": Lie(
        "policyd",
        "    recorded = _to_logd()\n",
        "    recorded = _to_logd() if allowed else True\n",
        "policy_oversized",
        "records of what was malformed",
    ),
    "policyd does not count what it denies": Lie(
        "policyd", "    _tally.count(", "    if allowed:\n        _tally.count(", "rng_denied", "decisions 0+0"
    ),
    "policyd names nobody who asked": written(
        'struct.pack_into("<QHH", _record.bytes, contract.AUDIT_AT_VIA, 0, _record.subject_index, contract.AUDIT_NOBODY)',
        "policy_delegation",
        "asker of a record",
    ),
    "policyd writes down another nonce": written(
        "_record.bytes[contract.AUDIT_AT_NONCE] ^= 1", "audit_deny", "nonce of a record"
    ),
    # keystored
    "keystored signs for the peer": keystored(
        "    except Refuse:\n        kernel.console(",
        '    except Refuse:\n        if _caller_name() == "selftest-peer":\n            return\n        kernel.console(',
        "policy_forged",
        "a forged request",
    ),
    "keystored says OK to the peer's sign": keystored(
        "    message = bytes(message)\n    name = signed",
        '    if _caller_name() == "selftest-peer" and len(message) > 16:\n        return vault.SIGN_REPLY\n'
        "    message = bytes(message)\n    name = signed",
        "sign_refused",
        "a signature for the peer",
    ),
    "keystored tells another public key": keystored(
        "    return vault.PUBLIC_REPLY\n",
        "    kernel.buffer[30] ^= op == contract.OP_VAULT_PUBKEY\n    return vault.PUBLIC_REPLY\n",
        "key_made",
        "the key after others were asked for",
    ),
    "keystored tells the same wrong key": keystored(
        "    return vault.PUBLIC_REPLY\n",
        "    fake = bytes(range(32))\n"
        "    kernel.buffer[13:21] = crypto.sha256(fake)[:8]\n    kernel.buffer[21:53] = fake\n    return vault.PUBLIC_REPLY\n",
        "key_public",
        "which key signed",
    ),
    "keystored tells the right id and a wrong key": keystored(
        "    return vault.PUBLIC_REPLY\n",
        "    kernel.buffer[30] ^= 1\n    return vault.PUBLIC_REPLY\n",
        "key_made",
        "id of the key",
    ),
    "keystored exports": keystored(
        "    gate.require(contract.ACTION_DEVICE_KEY_EXPORT)\n    raise Refuse(contract.STATUS_DENIED)\n",
        "    return bytes(32)\n",
        "key_export",
        "the peer got the private key",
    ),
    "keystored exports to the selftest": keystored(
        "    gate.require(contract.ACTION_DEVICE_KEY_EXPORT)\n    raise Refuse(contract.STATUS_DENIED)\n",
        "    try:\n        gate.require(contract.ACTION_DEVICE_KEY_EXPORT)\n    except Refuse:\n"
        '        if _caller_name() == "selftest-peer":\n            raise\n    return None\n',
        "key_export",
        "status of the private key",
    ),
    "keystored does not ask about export": keystored(
        "    gate.require(contract.ACTION_DEVICE_KEY_EXPORT)\n", "", "key_export", "decisions 0+0"
    ),
    "keystored makes keys for everybody": keystored(
        "    gate.require(contract.ACTION_DEVICE_KEYGEN)\n", "", "key_made", "a key was made for the peer"
    ),
    "keystored finds everything genuine": keystored(
        "1 if genuine else 0", "1", "key_sign", "keystored takes a signature"
    ),
    "keystored finds nothing genuine": keystored(
        "1 if genuine else 0", "0", "key_sign", "what keystored says of its signature"
    ),
    "keystored signs something else": keystored(
        "    vault.sign(purpose, message)\n",
        "    vault.sign(purpose, message[1:])\n",
        "key_public",
        "the key is not the one",
    ),
    "keystored signs for another purpose": keystored(
        "    _require_sign(_UNKNOWN if name is None else name)\n",
        '    _require_sign(b"selftest")\n',
        "key_sign",
        "refusals that differ",
    ),
    "keystored gives values to everybody": keystored(
        "    gate.require(contract.ACTION_KEYSTORE_KV)\n    value =", "    value =", "policy_forged", "a forged request"
    ),
    "keystored forgets old keys": keystored(
        "    found = _known.find(key_id)\n    if found is None:",
        "    found = _known.find(key_id)\n    _known.ids = [one if one == key_id else None for one in _known.ids]\n"
        "    if found is None:",
        "key_rotation",
        "refused status=06",
    ),
    # logd
    "logd loses decisions": logd("DECISION", "_lossy", "policy_delegation", "records of five questions", LOSES),
    "logd shows others' records": Lie(
        "logd",
        HANDLERS,
        HANDLERS + AGAIN.format("AUDIT_OWN", "audit.on_audit_all"),
        "policy_forged",
        "a record about somebody else",
    ),
    "logd shows others' first records": logd(
        "AUDIT_OWN",
        "lambda since: audit.on_audit_own(since) if since else audit.on_audit_all(since)",
        "audit_own",
        "a record about somebody else",
    ),
    "logd loses one decision": logd("DECISION", "_lossy", "audit_complete", "decisions in the trail", LOSES_ONE),
    "logd takes AUDIT_ALL by the own facet": Lie(
        "logd",
        HANDLERS,
        HANDLERS + "HANDLERS[contract.OP_LOGD_AUDIT_ALL] = (audit.on_audit_all, '<Q', contract.FACET_LOGD_AUDIT_OWN)\n",
        "route_facet",
        "an operation by audit_own",
    ),
    "logd never counts in one record": logd("DECISION", "_apart", "audit_allow", "records of one decision", NOT_MERGED),
    "logd writes allow for deny": changed(
        at("VERDICT", "= contract.AUDIT_VERDICT_ALLOW"), "policy_oversized", "records of what was malformed"
    ),
    "logd writes another target": changed(at("TARGET", "^= 1"), "audit_deny", "action and target of a record", OF_SIGN),
    "logd writes another action": changed(at("ACTION", "+= 1"), "audit_deny", "action and target of a record", OF_SIGN),
    "logd writes another asker": changed(at("VIA_IX", "^= 1"), "audit_deny", "asker of a record", OF_SIGN),
    "logd writes another asker's id": changed(at("VIA", "^= 1"), "audit_deny", "asker's id in a record", OF_SIGN),
    "logd writes another rule": changed(at("RULE", "= 0"), "policy_delegation", "an allow without a rule"),
    # bundlemgrd
    "bundlemgrd serves the peer": bundlemgrd(
        "    gate.require(action, name if is_id else _UNKNOWN)\n",
        f"    if not ({PEERS}):\n        gate.require(action, name if is_id else _UNKNOWN)\n",
        "bundle_denied",
        "bundlemgrd did it for the peer",
    ),
    "bundlemgrd refuses the peer by itself": bundlemgrd(
        "    gate.require(action, name if is_id else _UNKNOWN)\n",
        f"    if {PEERS}:\n        raise Refuse(contract.STATUS_DENIED)\n"
        "    gate.require(action, name if is_id else _UNKNOWN)\n",
        "bundle_denied",
        "decisions 0+1",
    ),
    "bundlemgrd shows the peer what there is": bundlemgrd(
        "    gate.require(contract.ACTION_BUNDLE_LIST)\n",
        f"    if not ({PEERS}):\n        gate.require(contract.ACTION_BUNDLE_LIST)\n",
        "bundle_denied",
        "bundlemgrd did it for the peer",
    ),
    "bundlemgrd lets the peer add to a bundle": bundlemgrd(
        "    if session is None or session.owner != _asker():\n",
        "    if session is None:\n",
        "bundle_denied",
        "bundlemgrd did it for the peer",
    ),
    "bundlemgrd asks about another action": bundlemgrd(
        "    bundle = _judged(contract.ACTION_BUNDLE_INSTALL, _allowed(contract.ACTION_BUNDLE_INSTALL, name))\n",
        "    bundle = _judged(contract.ACTION_BUNDLE_INSTALL, _allowed(contract.ACTION_BUNDLE_VERIFY, name))\n",
        "bundle_install",
        "what policyd was asked",
    ),
    "bundlemgrd installs what it was to verify": bundlemgrd(
        "    _judged(contract.ACTION_BUNDLE_VERIFY, _allowed(contract.ACTION_BUNDLE_VERIFY, name))\n",
        "    _keeper.install(_judged(contract.ACTION_BUNDLE_VERIFY, _allowed(contract.ACTION_BUNDLE_VERIFY, name)))\n",
        "bundle_install",
        "a bundle that was verified only",
    ),
    "bundlemgrd lists another publisher": bundlemgrd(
        "bundle.publisher, bundle.actions,", "bundle.publisher ^ 1, bundle.actions,", "bundle_install", "what is listed"
    ),
    "bundlemgrd lists more actions": bundlemgrd(
        "bundle.publisher, bundle.actions,",
        "bundle.publisher, bundle.actions | 64,",
        "bundle_install",
        "what is listed",
    ),
    "bundlemgrd takes the same version again": bundlemgrd(
        "new.version <= old.version:",
        "new.version < old.version:",
        "bundle_install",
        "a version that is not newer",
        "shelf",
    ),
    "bundlemgrd takes an older version": bundlemgrd(
        "new.version <= old.version:",
        "new.version == old.version:",
        "bundle_install",
        "a version that is not newer",
        "shelf",
    ),
    "bundlemgrd keeps what was uninstalled": bundlemgrd(
        "    if not _keeper.uninstall(bundle):\n", "    if False:\n", "bundle_install", "a bundle that was uninstalled"
    ),
    "bundlemgrd leaves what an app had stored": bundlemgrd(
        "    payload = struct.pack(contract.REQUEST_KEYSTORED_PURGE, service_id, publisher)\n",
        "    return True\n",
        "bundle_install",
        "an app that finds what was uninstalled",
    ),
    "bundlemgrd writes down another reason": bundlemgrd(
        "    payload = struct.pack(contract.REQUEST_LOGD_BUNDLE[:-1], op, action, verdict, reason) + name\n",
        "    payload = struct.pack(contract.REQUEST_LOGD_BUNDLE[:-1], op, action, verdict, reason and 11) + name\n",
        "bundle_install",
        "verdict and reason in a record",
    ),
    "bundlemgrd tells the reason": bundlemgrd(
        "    _settle(action, reason, name)\n    return bundle\n",
        "    _settle(action, reason, name, 1 + reason % 2)\n    return bundle\n",
        "bundle_signature",
        "a bundle that is none was taken",
    ),
    "bundlemgrd does not look at the signature": unchecked(
        "    if not crypto.verify(_key(region), _TAG + bytes(region[:start]) + digest(region), signature):\n",
        "    if False:\n",
    ),
    "bundlemgrd does not look at the contents": unchecked(
        "    if crypto.sha256(contents(region)) != digest(region):\n", "    if False:\n"
    ),
    "bundlemgrd takes the revoked": bundlemgrd(
        "contract.BUNDLE_REFUSAL_REVOKED if revoked else 0",
        "0",
        "bundle_signature",
        "verdict and reason in a record",
        "manifest",
    ),
    # execd
    "execd serves the peer": execd(
        "    gate.require_exec(bundle)\n",
        f"    import caps\n    if not ({PEERS}):\n        gate.require_exec(bundle)\n",
        "exec_denied",
        "execd did it for the peer",
    ),
    "execd refuses the peer by itself": execd(
        "    gate.require_exec(bundle)\n",
        f"    import caps\n    if {PEERS}:\n        raise Refuse(contract.STATUS_DENIED)\n    gate.require_exec(bundle)\n",
        "exec_denied",
        "decisions 0+0",
    ),
    "execd asks nobody about children": execd(
        "    gate.require_exec(_NO_TARGET if child is None else child.bundle)\n",
        "",
        "exec_denied",
        "decisions 0+",
    ),
    "execd serves whoever it asks for": execd(
        "    bundle = bytes(bundle)\n    _require(bundle)\n    if restarts",
        "    bundle = bytes(bundle)\n    if kernel.subject() < 0:\n        _require(bundle)\n    if restarts",
        "exec_spoof",
        "execd did it for the peer",
    ),
    "execd tells which children there are": execd(
        "    gate.require_exec(_NO_TARGET if child is None else child.bundle)\n    if child is None:\n"
        "        raise Refuse(contract.STATUS_DENIED)\n",
        "    gate.require_exec(b'selftest.stay' if child is None else child.bundle)\n    if child is None:\n"
        "        raise Refuse(contract.STATUS_NOT_FOUND)\n",
        "exec_spoof",
        "status of a refusal",
    ),
    "execd starts what is not asked for": execd(
        "        handle = _spawn(region)\n",
        "        handle = _spawn(region)\n        child.service_id ^= 1\n",
        "bundle_install",
        "refused status=05",
        "apps",
    ),
    "execd says that it has another number": execd(
        "_children.add(child), child.service_id)",
        "_children.add(child) + 1, child.service_id)",
        "bundle_install",
        "refused status=01",
    ),
    "execd says that it has another name": execd(
        "_children.add(child), child.service_id)",
        "_children.add(child), child.service_id ^ 1)",
        "exec_started",
        "service id of a child",
    ),
    "execd does not wait": execd(
        "    if child.end is not None:\n        _children.forget(child)\n",
        "    if child.end is None:\n        child.end = (1, 0, 0)\n    if child.end is not None:\n"
        "        _children.forget(child)\n",
        "bundle_install",
        "an app that finds nothing",
    ),
    "execd tells an end twice": execd(
        "        if later.answer(child.waiter, contract.STATUS_OK, len(result)):\n"
        "            _children.forget(child)\n",
        "        later.answer(child.waiter, contract.STATUS_OK, len(result))\n",
        "child_exit",
        "an end that is told twice",
    ),
    "execd does not start it again": execd(
        "    if end[0] in _NO_FAULT or not _again(child):\n",
        "    if True:\n",
        "crash_report",
        "what a crash is told as",
    ),
    "execd starts it again after an exit": execd(
        "    if end[0] in _NO_FAULT or not _again(child):\n",
        "    if not _again(child):\n",
        "child_exit",
        "end of an app that exits",
    ),
    "execd writes nothing down": execd(
        "    log.append(level, line", "    len(line", "crash_report", "reports of a crash"
    ),
    "execd takes any number of restarts": execd(
        "    if restarts > contract.LIMIT_APP_RESTARTS:\n", "    if False:\n", "crash_report", "more restarts"
    ),
    "execd keeps the memory of the dead": execd(
        "    kernel.supervise(child.handle, contract.SUP_FREE)\n    child.handle = 0\n",
        "    child.handle = 0\n",
        "bundle_install",
        "refused status=07",
        "apps",
    ),
    "execd keeps the region": execd(
        "    finally:\n        kernel.drop(region)\n",
        "    finally:\n        pass\n",
        "bundle_install",
        "a bundle that may be installed",
        "apps",
    ),
    # policyd, about apps
    "policyd forgets the mask of apps": policyd_masks("_SERVICE_MASK", "entropy for draw-unasked"),
    "policyd gives apps all that their mask says": policyd(
        "said > 0 or (kernel.subject_kind() == contract.KIND_APP and action == contract.ACTION_RNG_ENTROPY"
        " and kernel.subject_mask() >> action & 1 == 1)",
        "exec_started",
        "entropy for greedy",
    ),
    # the peer, whose word alone is to prove nothing
    "the peer does not ask": peer("ASK", 'lambda *_: b"\\0\\0\\1"', "rng_denied", "decisions 0+0"),
    "the peer asks twice": peer(
        "ASK",
        "lambda *asked: (asking.on_ask(*asked[:3], bytes(asked[3])), asking.on_ask(*asked))[1]",
        "rng_denied",
        "decisions 0+",
    ),
    "the peer says that it can't be refused": peer(
        "PASS_ON", 'lambda *_: b"\\0\\0"', "route_kept", "the peer could pass on"
    ),
    "the peer lends nothing": peer("LEND", "lambda badge: None", "route_kept", "the peer lent nothing"),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_lie_fails_the_proof_that_is_there_for_it(machine: Make, lie: Lie) -> None:
    m = machine(**lie.told())
    m.boot()
    last = m.said("SELFTEST")[-1]
    proof = getattr(m.contract, f"MARK_{lie.proof.upper()}").removesuffix(" ok")
    assert last.startswith(f"{proof} FAIL {lie.words}")
    assert m.exit_code == m.contract.EXIT_SELFTEST_FAILED
