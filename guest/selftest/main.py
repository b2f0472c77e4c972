# selftest: proves in the booted system what it promises, phase by phase, with one line for each proof. init resumes it last.
# Phases that have no proof yet are closed in their place. Never prints ok for what it has not just checked.

import audits
import bundles
import contract
import decisions
import entropy
import entropy_denied
import execs
import kernel
import keys
import logs
import proof
import routing
import signing
import values

PROOFS = {
    contract.PHASE_MMIO: (
        (contract.MARK_RNG_ENTROPY, entropy.prove_entropy),
        (contract.MARK_RNG_OVERSIZED, entropy.prove_oversized),
        (contract.MARK_RNG_WINDOW, entropy.prove_window),
        (contract.MARK_RNG_DENIED, entropy_denied.prove_denied),
    ),
    contract.PHASE_ROUTING: (
        (contract.MARK_ROUTE_GRANTED, routing.prove_granted),
        (contract.MARK_ROUTE_REFUSED, routing.prove_refused),
        (contract.MARK_ROUTE_KEPT, routing.prove_kept),
        (contract.MARK_ROUTE_FACET, routing.prove_badges),
    ),
    contract.PHASE_POLICY: (
        (contract.MARK_POLICY_CHECK, decisions.prove_check),
        (contract.MARK_POLICY_OVERSIZED, decisions.prove_oversized),
        (contract.MARK_POLICY_FORGED, decisions.prove_forged),
        (contract.MARK_POLICY_DELEGATION, decisions.prove_delegation),
        (contract.MARK_POLICY_INIT, decisions.prove_init),
        (contract.MARK_KEY_MADE, keys.prove_key),
        (contract.MARK_KEY_PUBLIC, keys.prove_public),
        (contract.MARK_KEY_SIGN, signing.prove_sign),
        (contract.MARK_SIGN_REFUSED, signing.prove_denied),
        (contract.MARK_KEY_EXPORT, keys.prove_export),
        (contract.MARK_VALUES, values.prove_values),
        (contract.MARK_KEY_ROTATION, keys.prove_rotation),
    ),
    contract.PHASE_LOGD: (
        (contract.MARK_LOG_OWN, logs.prove_own_record),
        (contract.MARK_LOG_FACET, logs.prove_facets),
        (contract.MARK_AUDIT_DENY, audits.prove_deny),
        (contract.MARK_AUDIT_ALLOW, audits.prove_allow),
        (contract.MARK_AUDIT_COMPLETE, audits.prove_complete),
        (contract.MARK_AUDIT_OWN, audits.prove_own),
    ),
    contract.PHASE_BUNDLE: (
        (contract.MARK_BUNDLE_INSTALL, bundles.prove_install),
        (contract.MARK_BUNDLE_DENIED, bundles.prove_denied),
        (contract.MARK_BUNDLE_SIGNATURE, bundles.prove_signature),
    ),
    contract.PHASE_EXEC: (
        (contract.MARK_EXEC_STARTED, execs.prove_started),
        (contract.MARK_EXEC_DENIED, execs.prove_denied),
        (contract.MARK_EXEC_SPOOF, execs.prove_spoof),
        (contract.MARK_CHILD_EXIT, execs.prove_exit),
        (contract.MARK_CRASH_REPORT, execs.prove_crash),
    ),
}

for phase in range(contract.PHASE_MMIO, contract.PHASE_END + 1):
    for mark, function in PROOFS.get(phase, ()):
        proof.run(mark, function)
    if phase == contract.PHASE_POLICY:
        keys.show_signature()
    if phase == contract.PHASE_END:
        entropy.show_taken()
        kernel.console(contract.MARK_END)
    proof.close_phase(phase)
