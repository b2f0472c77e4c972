/*
 * The kernel proof's one program: a process finds out from its own capabilities what it is. Run by every native row of
 * recipes/systems/test-kernel.toml and by the apps that cases spawn.
 */
#include "proof.h"

enum { FIRST_SLOTS = 24 };

/* The first capability at boot to call somebody with, or 0. */
static uint64_t whom_to_ask(uint64_t *badge) {
    for (uint64_t slot = 0; slot < FIRST_SLOTS; slot++) {
        uint32_t type, rights;
        if (nexus_cap_info(HANDLE_BOOT + slot, &type, &rights, badge) != E_OK) continue;
        if (type == OBJ_ENDPOINT && rights == RIGHT_CALL) return HANDLE_BOOT + slot;
    }
    return 0;
}

/* Who asks others whether they are ready is the judge; who can call somebody is told what to do; who can't serves. */
int user_main(const uint8_t *romfs, size_t romfs_bytes, void *heap, size_t heap_bytes, uint64_t console, uint64_t incarnation,
              uint64_t bring_up, uint64_t stack_bytes) {
    (void)romfs, (void)romfs_bytes, (void)heap, (void)heap_bytes, (void)console, (void)incarnation, (void)stack_bytes;
    uint64_t badge = 0;
    uint64_t whom = whom_to_ask(&badge);
    latch_at_start = bring_up;
    if (whom == 0) return serve(0);
    return badge >> BADGE_FACET_SHIFT == BADGE_FACET_READY ? judge() : run_as_told(whom);
}
