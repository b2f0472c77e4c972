/*
 * A region and who has it: its owner, whoever was granted it to read, the apps that run from it. It is given back when the last of
 * them is gone, however it went, and only by its owner; and an end is told to the spawner under the app's own number.
 */
#include "bundle.h"

enum { TO_READ = RIGHT_MAP_R };

/* MIDDLE answers CLIENT's call with its region, to be read only: the client's handle. */
static uint32_t granted_to_client(void) {
    CHECK_EQ(call(proc(CLIENT), H_MIDDLE, .accept = 1), BLOCKED);
    CHECK_EQ(receive(proc(MIDDLE), 0), E_OK);
    grants_of(proc(MIDDLE))[0] = (struct grant){H_REGION, TO_READ, 0};
    CHECK_EQ(reply(proc(MIDDLE), got_reply(proc(MIDDLE)), .grants = 1), E_OK);
    CHECK_EQ(got_caps(proc(CLIENT)), 1);
    return caps_of(proc(CLIENT))[0];
}

static uint32_t give_back(void) {
    uint32_t status;
    do status = sys(proc(MIDDLE), SYS_REGION_FREE, H_REGION); while (status == E_AGAIN);
    return status;
}

CASE(a_region_granted_to_read_is_read_and_no_more) {
    staged();
    uint32_t handle = granted_to_client();
    struct cap *cap = cap_at(proc(CLIENT), handle);
    CHECK(cap->type == OBJ_REGION && cap->rights == TO_READ && cap->object == WORK_REGION);
    CHECK_EQ(sys(proc(CLIENT), SYS_REGION_MAP, handle, 1), E_BAD_RIGHT);
    CHECK_EQ(sys(proc(CLIENT), SYS_REGION_SEAL, handle), E_BAD_RIGHT);
    CHECK_EQ(sys(proc(CLIENT), SYS_REGION_FREE, handle), E_BAD_RIGHT);
    caps_of(proc(CLIENT))[0] = handle;
    CHECK_EQ(call(proc(CLIENT), H_SERVER, .caps = 1), E_BAD_RIGHT);
    CHECK_EQ(sys(proc(CLIENT), SYS_REGION_MAP, handle, 0), E_OK);
    CHECK_EQ(user(proc(CLIENT), VA_REGION + PAGE_BYTES)[0], 0x3c);
    CHECK(map_find(proc(CLIENT), VA_REGION, IMAGE_W) == 0);
    CHECK_EQ(regions[WORK_REGION].refs, 2);
}

/* Before it is sealed, too. */
CASE(a_region_granted_to_read_can_not_be_filled_or_sealed) {
    boot();
    uint32_t handle = granted_to_client(), status;
    CHECK_EQ(sys(proc(CLIENT), SYS_REGION_MAP, handle, 1), E_BAD_RIGHT);
    CHECK_EQ(sys(proc(CLIENT), SYS_REGION_SEAL, handle), E_BAD_RIGHT);
    do status = sys(proc(CLIENT), SYS_REGION_MAP, handle, 0); while (status == E_AGAIN);
    CHECK_EQ(status, E_OK);
    CHECK(map_find(proc(CLIENT), VA_REGION, IMAGE_W) == 0);
    CHECK(!regions[WORK_REGION].sealed);
}

CASE(what_a_receiver_gives_up_comes_back) {
    staged();
    for (uint32_t dies = 0; dies < 2; dies++) {
        uint32_t handle = granted_to_client();
        CHECK_EQ(sys(proc(CLIENT), SYS_REGION_MAP, handle, 0), E_OK);
        CHECK_EQ(give_back(), E_STATE);
        if (dies) {
            kill_process(CLIENT);
        } else {
            CHECK_EQ(sys(proc(CLIENT), SYS_REGION_UNMAP, handle), E_OK);
            CHECK_EQ(give_back(), E_STATE); /* it could map it again */
            CHECK_EQ(sys(proc(CLIENT), SYS_CAP_DROP, handle), E_OK);
        }
        CHECK_EQ(regions[WORK_REGION].refs, 1);
        CHECK(regions[WORK_REGION].readers == 0);
    }
    CHECK_EQ(give_back(), E_OK);
    CHECK(!regions[WORK_REGION].sealed);
    for (uint32_t i = 0; i < WORK_PAGES * PAGE_BYTES; i++) CHECK_EQ(regions[WORK_REGION].base[i], 0);
}

/* Dead or not: until its memory is given back, the app's page tables lead there. */
CASE(what_an_app_runs_from_is_given_back_after_the_app) {
    staged();
    for (uint32_t started = 0; started < 2; started++) {
        uint64_t handle = spawned(started ? "probe" : "other");
        if (started) CHECK_EQ(steps(handle, SUP_RESUME), E_OK);
        CHECK_EQ(give_back(), E_STATE);
        CHECK_EQ(steps(handle, SUP_KILL), E_OK);
        CHECK_EQ(give_back(), E_STATE);
        CHECK_EQ(steps(handle, SUP_FREE), E_OK);
        CHECK_EQ(regions[WORK_REGION].refs, 1);
    }
    CHECK_EQ(give_back(), E_OK);
}

/* The spawner has it granted, spawns, drops it: the app alone keeps it, and after it nobody. */
CASE(an_app_keeps_the_region_that_its_spawner_has_dropped) {
    staged();
    struct process *spawner = proc(TWIN);
    uint32_t spawning = give(spawner, OBJ_SPAWN, RIGHT_USE, 0, 0), region = give(spawner, OBJ_REGION, TO_READ, WORK_REGION, 0);
    struct spawn_request r = {.stack_pages = 1, .share = 1};
    memcpy(user(spawner, VA_HEAP), &r, sizeof r);
    CHECK_EQ(sys(spawner, SYS_SPAWN, spawning, region, VA_HEAP, sizeof r), E_OK);
    uint64_t handle = reg(spawner, 1);
    CHECK_EQ(regions[WORK_REGION].refs, 3);
    CHECK_EQ(sys(spawner, SYS_CAP_DROP, region), E_OK);
    CHECK_EQ(give_back(), E_STATE);
    CHECK_EQ(sys(spawner, SYS_SUPERVISE, handle, SUP_KILL), E_OK);
    uint32_t status;
    do status = sys(spawner, SYS_SUPERVISE, handle, SUP_FREE); while (status == E_AGAIN);
    CHECK_EQ(status, E_OK);
    CHECK_EQ(give_back(), E_OK);
}

CASE(a_dead_spawners_apps_give_their_region_back) {
    staged();
    struct process *spawner = proc(TWIN);
    uint32_t spawning = give(spawner, OBJ_SPAWN, RIGHT_USE, 0, 0), region = give(spawner, OBJ_REGION, TO_READ, WORK_REGION, 0);
    struct spawn_request r = {.stack_pages = 1, .share = 1};
    memcpy(user(spawner, VA_HEAP), &r, sizeof r);
    CHECK_EQ(sys(spawner, SYS_SPAWN, spawning, region, VA_HEAP, sizeof r), E_OK);
    kill_process(TWIN);
    CHECK_EQ(give_back(), E_STATE); /* until the kernel has come to it */
    while (spawn_reap_step()) {}
    CHECK_EQ(give_back(), E_OK);
}

/* --- ends --- */

CASE(an_apps_end_is_told_to_its_spawner_by_its_number) {
    staged();
    uint64_t handles[LIMIT_APP_SLOTS];
    for (uint32_t i = 0; i < LIMIT_APP_SLOTS; i++) {
        handles[i] = spawned((const char[]){(char)('a' + i), 0});
        CHECK_EQ(steps(handles[i], SUP_RESUME), E_OK);
    }
    CHECK_EQ(receive(proc(MIDDLE), 0), BLOCKED);
    CHECK_EQ(sys(proc(APP), SYS_EXIT, 7), STOPPED);
    CHECK_EQ(outcome(proc(MIDDLE)), E_OK);
    CHECK_EQ(got_flags(proc(MIDDLE)), DELIVER_NOTIFIED);
    CHECK_EQ(got_badge(proc(MIDDLE)), 1ull << APP);
    CHECK_EQ(sys(proc(APP + 1), SYS_EXIT, 0), STOPPED);
    CHECK_EQ(sys(proc(APP + LIMIT_APP_SLOTS - 1), SYS_EXIT, 0), STOPPED); /* nobody waits: both bits stay */
    CHECK_EQ(receive(proc(MIDDLE), 0), E_OK);
    CHECK_EQ(got_badge(proc(MIDDLE)), 1ull << (APP + 1) | 1ull << (APP + LIMIT_APP_SLOTS - 1));
    CHECK_EQ(proc(ROOT)->bits, 0);
    _Static_assert(LIMIT_PROCESSES + LIMIT_APP_SLOTS <= 62, "a bit for each, in one small number of the interpreter");
}
