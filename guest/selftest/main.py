# selftest: proves in the booted system what it promises, phase by phase, with one line for each proof. init resumes it last.
# Phases that have no proof yet are closed in their place. Never prints ok for what it has not just checked.

import contract
import entropy
import kernel
import logs
import proof

PROOFS = {
    contract.PHASE_MMIO: (
        (contract.MARK_RNG_ENTROPY, entropy.prove_entropy),
        (contract.MARK_RNG_OVERSIZED, entropy.prove_oversized),
        (contract.MARK_RNG_WINDOW, entropy.prove_window),
    ),
    contract.PHASE_LOGD: (
        (contract.MARK_LOG_OWN, logs.prove_own_record),
        (contract.MARK_LOG_FACET, logs.prove_facets),
    ),
}

for phase in range(contract.PHASE_MMIO, contract.PHASE_END + 1):
    for mark, function in PROOFS.get(phase, ()):
        proof.run(mark, function)
    if phase == contract.PHASE_MMIO:
        entropy.show_taken()
    if phase == contract.PHASE_END:
        kernel.console(contract.MARK_END)
    proof.close_phase(phase)
