/* The order of all cases: one table per group, each in the file of its name. Read by judge and runners alike. */
#include "proof.h"

extern const struct proof_group handle_group, right_group, table_group, peer_group, move_group, deadline_group, spin_group, memory_group,
    processor_group, pointer_group, console_group, region_group, manifest_group, app_group, supervision_group, life_group, fence_group,
    queue_group, python_group;

static const struct proof_group *const groups[] = {
    &handle_group, &right_group, &table_group, &peer_group, &move_group, &deadline_group, &spin_group, &memory_group,
    &processor_group, &pointer_group, &console_group, &region_group, &manifest_group, &app_group, &supervision_group, &life_group, &fence_group,
    &queue_group, &python_group,
};

/* 0 behind the last. */
const struct proof_case *proof_case_at(uint32_t number) {
    for (uint32_t i = 0; i < COUNT(groups); i++) {
        if (number < groups[i]->count) return &groups[i]->cases[number];
        number -= groups[i]->count;
    }
    return 0;
}
