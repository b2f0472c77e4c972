/*
 * Apps: made from a sealed region, named by the kernel, with what their spawner gave and nothing more; and when they end, every
 * page, slot and authority comes back.
 */
#include "host.h"

enum { MASK = 0x123456789, PUBLISHER = 0x7071 };

static void sealed_region(void) {
    uint32_t status;
    boot();
    do status = sys(proc(MIDDLE), SYS_REGION_MAP, H_REGION, 1); while (status == E_AGAIN);
    CHECK_EQ(status, E_OK);
    memset(user(proc(MIDDLE), VA_REGION), 0x3c, PAGE_BYTES);
    CHECK_EQ(sys(proc(MIDDLE), SYS_REGION_SEAL, H_REGION), E_OK);
}

static struct spawn_request request(const char *name) {
    struct spawn_request r = {.mask = MASK, .publisher = PUBLISHER, .heap_pages = 3, .stack_pages = 2, .share = 100, .romfs_bytes = 6000,
                              .endpoint = H_GIFT, .name_bytes = (uint32_t)strlen(name)};
    memcpy(r.name, name, strlen(name));
    return r;
}

static uint32_t spawn(struct spawn_request r) {
    struct process *p = proc(MIDDLE);
    memcpy(user(p, VA_HEAP), &r, sizeof r);
    return sys(p, SYS_SPAWN, H_SPAWN, H_REGION, VA_HEAP, sizeof r);
}

static uint64_t spawned(const char *name) {
    CHECK_EQ(spawn(request(name)), E_OK);
    return reg(proc(MIDDLE), 1);
}

static uint32_t steps(uint64_t handle, uint64_t operation) {
    uint32_t status;
    do status = sys(proc(MIDDLE), SYS_SUPERVISE, handle, operation); while (status == E_AGAIN);
    return status;
}

CASE(an_app_is_what_its_spawner_asked_for) {
    sealed_region();
    uint64_t handle = spawned("app:probe");
    struct process *app = proc(APP);
    CHECK(app->state == STATE_SUSPENDED && app->kind == KIND_APP && app->rank == 0 && app->supervisor == MIDDLE);
    CHECK_EQ(steps(handle, SUP_RESUME), E_OK);
    check_frames();
    CHECK_EQ(user(app, VA_ROMFS)[0], 0x3c);
    CHECK(map_find(app, VA_ROMFS, IMAGE_W) == 0);
    CHECK_EQ(LIMIT_CAP_SLOTS - app->free_slots, 3);
    CHECK_EQ(receive(proc(SERVER), 0), BLOCKED);
    CHECK_EQ(call(app, HANDLE_BOOT + 2), BLOCKED);
    CHECK_EQ(got_flags(proc(SERVER)), DELIVER_MESSAGE | DELIVER_APP);
    CHECK_EQ(got_badge(proc(SERVER)), GIFT_BADGE + MIDDLE);
    CHECK_EQ(reg(proc(SERVER), 4), 0x667cc3250fcfa84c); /* FNV-1a-64 of "app:probe" */
    CHECK_EQ(reg(proc(SERVER), 5), APP | KIND_APP << 16);
    CHECK_EQ(word_of(proc(SERVER), IPC_SENDER_MASK), MASK);
    CHECK_EQ(word_of(proc(SERVER), IPC_SENDER_PUBLISHER), PUBLISHER);
}

CASE(an_app_can_not_pass_its_endpoint_on) {
    sealed_region();
    CHECK_EQ(steps(spawned("app:probe"), SUP_RESUME), E_OK);
    CHECK_EQ(cap_at(proc(APP), HANDLE_BOOT + 2)->rights, RIGHT_CALL);
    caps_of(proc(APP))[0] = HANDLE_BOOT + 2;
    CHECK_EQ(call(proc(APP), HANDLE_BOOT + 2, .caps = 1), E_BAD_RIGHT);
}

CASE(a_question_for_a_child_states_its_mask) {
    sealed_region();
    uint64_t handle = spawned("app:probe");
    CHECK_EQ(receive(proc(SERVER), 0), BLOCKED);
    CHECK_EQ(call(proc(MIDDLE), H_SERVER, .behalf = handle), BLOCKED);
    CHECK_EQ(word_of(proc(SERVER), IPC_SUBJECT), APP | (uint64_t)KIND_APP << 16);
    CHECK_EQ(word_of(proc(SERVER), IPC_SUBJECT_MASK), MASK);
    CHECK_EQ(word_of(proc(SERVER), IPC_SUBJECT_PUBLISHER), PUBLISHER);
}

CASE(a_wrong_request_makes_nothing) {
    sealed_region();
    uint32_t frames = frame_free_count(), tables = map_tables_left(), slots = used_slots();
    static const char *const names[] = {"", "app:", "probe", "client", "App:probe", "app:Probe", "app:a b", "app:a_b", "app:a\xe9",
                                        "app:0123456789012345678901234567890123"};
    for (uint32_t i = 0; i < sizeof names / sizeof *names; i++) CHECK_EQ(spawn(request(names[i])), E_BAD_ARGUMENT);
    for (uint32_t fault = 0; fault < 12; fault++) {
        struct spawn_request r = request("app:probe");
        uint32_t expected = E_BAD_ARGUMENT;
        switch (fault) {
        case 0: r.heap_pages = 0; break;
        case 1: r.heap_pages = LIMIT_APP_HEAP_PAGES + 1; break;
        case 2: r.stack_pages = 0; break;
        case 3: r.stack_pages = LIMIT_APP_STACK_PAGES + 1; break;
        case 4: r.share = 0; break;
        case 5: r.share = LIMIT_APP_SHARE + 1; break;
        case 6: r.romfs_bytes = 0; break;
        case 7: r.romfs_bytes = WORK_PAGES * PAGE_BYTES + 1; break;
        case 8: r.romfs_offset = 8; break;
        case 9: r.romfs_offset = 0xfffff000; break;
        case 10: r.endpoint = H_SERVER; expected = E_BAD_RIGHT; break;
        case 11: r.endpoint = H_CONSOLE; expected = E_BAD_TYPE; break;
        }
        CHECK_EQ(spawn(r), expected);
    }
    CHECK(frames == frame_free_count() && tables == map_tables_left() && slots == used_slots());
    CHECK_EQ(proc(APP)->state, STATE_EMPTY);
}

CASE(a_request_of_another_size_or_place_makes_nothing) {
    sealed_region();
    struct spawn_request r = request("app:probe");
    struct process *p = proc(MIDDLE);
    memcpy(user(p, VA_HEAP), &r, sizeof r);
    CHECK_EQ(sys(p, SYS_SPAWN, H_SPAWN, H_REGION, VA_HEAP, sizeof r - 1), E_BAD_ARGUMENT);
    CHECK_EQ(sys(p, SYS_SPAWN, H_SPAWN, H_REGION, VA_HEAP, sizeof r + 1), E_BAD_ARGUMENT);
    CHECK_EQ(sys(p, SYS_SPAWN, H_SPAWN, H_REGION, VA_HEAP, 0), E_BAD_ARGUMENT);
    CHECK_EQ(sys(p, SYS_SPAWN, H_SPAWN, H_REGION, VA_HEAP + 8192 - 8, sizeof r), E_BAD_POINTER);
    CHECK_EQ(sys(p, SYS_SPAWN, H_SPAWN, H_REGION, 0, sizeof r), E_BAD_POINTER);
    CHECK_EQ(sys(p, SYS_SPAWN, H_SPAWN, H_GIFT, VA_HEAP, sizeof r), E_BAD_TYPE);
    CHECK_EQ(proc(APP)->state, STATE_EMPTY);
}

/* The most that each field may say; and the slot's next app is none the wiser. */
CASE(an_app_of_the_largest_kind_and_then_a_small_one) {
    sealed_region();
    struct spawn_request r = request("app:az09.-0123456789abcdefghijklmnop");
    r.heap_pages = LIMIT_APP_HEAP_PAGES;
    r.stack_pages = LIMIT_APP_STACK_PAGES;
    r.share = LIMIT_APP_SHARE;
    r.romfs_offset = PAGE_BYTES;
    r.romfs_bytes = (WORK_PAGES - 1) * PAGE_BYTES;
    regions[WORK_REGION].base[PAGE_BYTES] = 0x99;
    CHECK_EQ(r.name_bytes, 36);
    CHECK_EQ(spawn(r), E_OK);
    uint64_t handle = reg(proc(MIDDLE), 1);
    struct process *app = proc(APP);
    CHECK_EQ(steps(handle, SUP_RESUME), E_OK);
    CHECK_EQ(user(app, VA_ROMFS)[0], 0x99);
    CHECK(map_find(app, VA_ROMFS + (WORK_PAGES - 1) * PAGE_BYTES, IMAGE_R) == 0);
    CHECK(user(app, VA_HEAP + (LIMIT_APP_HEAP_PAGES - 1) * PAGE_BYTES) && user(app, VA_STACK_TOP - LIMIT_APP_STACK_PAGES * PAGE_BYTES));
    app->cpu_ticks = app->share_used = 77;
    CHECK_EQ(steps(handle, SUP_KILL), E_OK);
    CHECK_EQ(steps(handle, SUP_FREE), E_OK);
    r = request("app:s");
    r.heap_pages = r.stack_pages = r.share = 1;
    r.endpoint = 0;
    CHECK_EQ(spawn(r), E_OK);
    CHECK_EQ(steps(reg(proc(MIDDLE), 1), SUP_RESUME), E_OK);
    CHECK(app->cpu_ticks == 0 && app->share_used == 0 && app->fault == FAULT_NONE && app->incarnation == 1);
    CHECK_EQ(LIMIT_CAP_SLOTS - app->free_slots, 2);
    CHECK(map_find(app, VA_HEAP + PAGE_BYTES, IMAGE_R) == 0);
}

CASE(an_apps_lines_bear_its_name) {
    sealed_region();
    CHECK_EQ(steps(spawned("app:a-much-longer-name"), SUP_RESUME), E_OK);
    restart(MIDDLE);
    while (spawn_reap_step()) {}
    CHECK_EQ(steps(spawned("app:probe"), SUP_RESUME), E_OK);
    memcpy(user(proc(APP), VA_HEAP), "hello", 5);
    CHECK_EQ(sys(proc(APP), SYS_CONSOLE_WRITE, HANDLE_BOOT, VA_HEAP, 5), E_OK);
    CHECK_EQ(sys(proc(APP), SYS_EXIT, 3), STOPPED);
    console_drain();
    CHECK(strstr(host_uart, "\napp:probe: hello\nkernel: fault label=app:probe cause=exit") != 0);
}

CASE(what_a_freed_app_could_not_say_is_told_all_the_same) {
    sealed_region();
    uint64_t handle = spawned("app:probe");
    CHECK_EQ(steps(handle, SUP_RESUME), E_OK);
    host_uart_reads = false;
    memset(user(proc(APP), VA_HEAP), 'x', 200);
    while (sys(proc(APP), SYS_CONSOLE_WRITE, HANDLE_BOOT, VA_HEAP, 200) == E_OK) {}
    CHECK_EQ(steps(handle, SUP_KILL), E_OK);
    CHECK_EQ(steps(handle, SUP_FREE), E_OK);
    spawned("app:other");
    host_uart_reads = true;
    console_drain();
    CHECK(strstr(host_uart, "kernel: console lost label=kernel lines=1\n") != 0);
    CHECK_EQ(proc(APP)->console_used, 0);
}

CASE(an_app_reads_as_one_of_the_lowest_rank) {
    sealed_region();
    CHECK_EQ(steps(spawned("app:probe"), SUP_RESUME), E_OK);
    uint32_t down = give(proc(APP), OBJ_ENDPOINT, RIGHT_CALL, MIDDLE_ENDPOINT, 0);
    CHECK_EQ(call(proc(APP), down, .within = 5), BLOCKED);
    struct process_status status;
    CHECK_EQ(sys(proc(ROOT), SYS_SYSTEM, H_SYSTEM, SYSTEM_PROCESS, APP, VA_HEAP), E_OK);
    memcpy(&status, user(proc(ROOT), VA_HEAP), sizeof status);
    CHECK(status.rank == 0 && status.state == STATE_CALLING && status.slots == 4 && status.service_id == proc(APP)->service_id);
}

CASE(an_unsealed_region_starts_nothing) {
    boot();
    CHECK_EQ(spawn(request("app:probe")), E_SEALED);
}

CASE(a_region_half_emptied_starts_nothing) {
    sealed_region();
    regions[WORK_REGION].wiping = true;
    CHECK_EQ(spawn(request("app:probe")), E_SEALED);
}

CASE(an_app_is_not_given_what_was_revoked_before_it_started) {
    sealed_region();
    uint64_t handle = spawned("app:probe");
    CHECK_EQ(sys(proc(SERVER), SYS_CAP_REVOKE, H_SERVER_OWN, GIFT_BADGE + MIDDLE), E_OK);
    CHECK_EQ(reg(proc(SERVER), 1), 2); /* the spawner's own and the app's to be */
    CHECK_EQ(steps(handle, SUP_RESUME), E_OK);
    CHECK(cap_at(proc(APP), HANDLE_BOOT + 2) == 0);
    CHECK_EQ(sys(proc(SERVER), SYS_CAP_REVOKE, H_SERVER_OWN, GIFT_BADGE + MIDDLE), E_OK);
    CHECK_EQ(reg(proc(SERVER), 1), 0);
    CHECK_EQ(count_caps(OBJ_ENDPOINT, SERVER_ENDPOINT), 1 + SYSTEM_PROCESSES - 1 + 3); /* RECV, plain ones, others' gifts */
}

CASE(revoking_takes_a_running_apps_endpoint_once) {
    sealed_region();
    CHECK_EQ(steps(spawned("app:probe"), SUP_RESUME), E_OK);
    spawned("app:later");
    CHECK_EQ(sys(proc(SERVER), SYS_CAP_REVOKE, H_SERVER_OWN, GIFT_BADGE + MIDDLE), E_OK);
    CHECK_EQ(reg(proc(SERVER), 1), 3); /* the spawner's, the running app's, the later one's */
    CHECK(cap_at(proc(APP), HANDLE_BOOT + 2) == 0);
    CHECK_EQ(sys(proc(SERVER), SYS_CAP_REVOKE, H_SERVER_OWN, 0x123), E_OK);
    CHECK_EQ(reg(proc(SERVER), 1), 0);
}

CASE(what_a_dead_spawner_left_makes_room_for_the_next) {
    sealed_region();
    for (uint32_t i = 0; i < LIMIT_APP_SLOTS; i++) {
        char name[] = "app:0";
        name[4] = (char)('0' + i);
        spawned(name);
    }
    restart(MIDDLE);
    uint32_t status;
    do status = spawn(request("app:0")); while (status == E_AGAIN);
    CHECK_EQ(status, E_OK);
    CHECK_EQ(proc(APP)->state, STATE_SUSPENDED);
    check_frames();
}

CASE(one_name_is_one_app) {
    sealed_region();
    uint64_t handle = spawned("app:probe");
    CHECK_EQ(spawn(request("app:probe")), E_EXISTS);
    CHECK_EQ(steps(handle, SUP_KILL), E_OK);
    CHECK_EQ(spawn(request("app:probe")), E_EXISTS); /* until all of it is gone */
    CHECK_EQ(steps(handle, SUP_FREE), E_OK);
    CHECK_EQ(spawn(request("app:probe")), E_OK);
}

CASE(an_id_that_a_service_has_is_taken) {
    sealed_region();
    proc(CLIENT)->service_id = 0x667cc3250fcfa84c;
    CHECK_EQ(spawn(request("app:probe")), E_EXISTS);
}

CASE(there_are_so_many_slots_and_no_more) {
    sealed_region();
    uint64_t handles[LIMIT_APP_SLOTS];
    uint32_t frames = frame_free_count(), tables = map_tables_left();
    for (uint32_t turn = 0; turn < 3; turn++) {
        for (uint32_t i = 0; i < LIMIT_APP_SLOTS; i++) {
            char name[] = "app:0";
            name[4] = (char)('0' + i);
            handles[i] = spawned(name);
        }
        CHECK_EQ(spawn(request("app:more")), E_FULL);
        for (uint32_t i = 0; i < LIMIT_APP_SLOTS; i++) {
            if (i % 2) CHECK_EQ(steps(handles[i], SUP_RESUME), E_OK);
            CHECK_EQ(steps(handles[i], SUP_FREE), E_STATE);
            CHECK_EQ(steps(handles[i], SUP_KILL), E_OK);
            CHECK_EQ(steps(handles[i], SUP_FREE), E_OK);
        }
        CHECK(frames == frame_free_count() && tables == map_tables_left());
    }
}

CASE(without_a_free_slot_or_page_nothing_is_made) {
    sealed_region();
    uint32_t filler = leave_free(proc(MIDDLE), 0), refs = regions[WORK_REGION].refs;
    CHECK_EQ(spawn(request("app:probe")), E_NO_SLOT);
    CHECK_EQ(sys(proc(MIDDLE), SYS_CAP_DROP, filler), E_OK);
    while (frame_free_count() > 6) CHECK(frame_take(FRAME_KERNEL, 0xff) != 0);
    uint32_t tables = map_tables_left();
    CHECK_EQ(spawn(request("app:probe")), E_FULL);
    CHECK(frame_free_count() == 6 && map_tables_left() == tables && regions[WORK_REGION].refs == refs);
}

CASE(a_freed_app_leaves_its_pages_zeroed) {
    sealed_region();
    uint64_t handle = spawned("app:probe");
    CHECK_EQ(steps(handle, SUP_RESUME), E_OK);
    uint8_t *pages[] = {user(proc(APP), VA_HEAP), user(proc(APP), VA_STACK_TOP - 4096), user(proc(APP), VA_IMAGE + 0x2000), proc(APP)->ipc};
    for (uint32_t i = 0; i < 4; i++) memset(pages[i], 0xd5, PAGE_BYTES);
    CHECK_EQ(steps(handle, SUP_KILL), E_OK);
    CHECK_EQ(steps(handle, SUP_FREE), E_OK);
    for (uint32_t i = 0; i < 4; i++) {
        CHECK_EQ(frame_of((uint64_t)pages[i])->type, FRAME_FREE);
        for (uint32_t at = 0; at < PAGE_BYTES; at++) CHECK_EQ(pages[i][at], 0);
    }
    CHECK_EQ(sys(proc(MIDDLE), SYS_SUPERVISE, handle, SUP_KILL), E_BAD_HANDLE);
}

CASE(when_its_spawner_dies_an_app_dies_and_its_memory_comes_back) {
    sealed_region();
    uint32_t frames = frame_free_count(), tables = map_tables_left();
    CHECK_EQ(steps(spawned("app:one"), SUP_RESUME), E_OK);
    spawned("app:two");
    CHECK_EQ(call(proc(APP), HANDLE_BOOT + 2), BLOCKED);
    kill_process(MIDDLE);
    CHECK(proc(APP)->state == STATE_STOPPED && proc(APP)->fault == FAULT_KILLED && proc(APP + 1)->state == STATE_STOPPED);
    while (spawn_reap_step()) check_invariants();
    CHECK(proc(APP)->state == STATE_EMPTY && proc(APP + 1)->state == STATE_EMPTY);
    CHECK(frames == frame_free_count() && tables == map_tables_left());
    CHECK_EQ(regions[WORK_REGION].refs, 0);
    CHECK_EQ(receive(proc(SERVER), 0), BLOCKED);
}

CASE(a_new_app_is_not_reached_by_what_was_given_to_the_old) {
    sealed_region();
    uint64_t handle = spawned("app:one");
    CHECK_EQ(steps(handle, SUP_RESUME), E_OK);
    CHECK_EQ(sys(proc(APP), SYS_CAP_MINT, HANDLE_BOOT + 1, 4, RIGHT_CALL | RIGHT_GRANT), E_OK);
    caps_of(proc(APP))[0] = (uint32_t)reg(proc(APP), 1);
    CHECK_EQ(receive(proc(SERVER), 1), BLOCKED);
    CHECK_EQ(call(proc(APP), HANDLE_BOOT + 2, .caps = 1), BLOCKED);
    uint32_t held = caps_of(proc(SERVER))[0];
    CHECK_EQ(sys(proc(SERVER), SYS_NOTIFY, held), E_OK);
    CHECK_EQ(steps(handle, SUP_KILL), E_OK);
    CHECK_EQ(steps(handle, SUP_FREE), E_OK);
    CHECK_EQ(steps(spawned("app:two"), SUP_RESUME), E_OK);
    CHECK_EQ(proc(APP)->bits, 0);
    CHECK_EQ(sys(proc(SERVER), SYS_NOTIFY, held), E_PEER_DIED);
    CHECK_EQ(proc(APP)->bits, 0);
}

CASE(only_its_own_kind_can_be_freed_or_restarted) {
    sealed_region();
    uint64_t handle = spawned("app:probe");
    CHECK_EQ(steps(handle, SUP_RESUME), E_OK);
    CHECK_EQ(steps(handle, SUP_RESTART), E_STATE);
    CHECK_EQ(steps(handle, 99), E_BAD_ARGUMENT);
    kill_process(CLIENT);
    CHECK_EQ(sys(proc(ROOT), SYS_SUPERVISE, H_SUPERVISE_CLIENT, SUP_FREE), E_STATE);
    CHECK_EQ(sys(proc(ROOT), SYS_SUPERVISE, H_SUPERVISE_CLIENT, SUP_RESUME), E_STATE);
    uint32_t self = give(proc(ROOT), OBJ_SUPERVISE, RIGHT_USE, ROOT, 0);
    CHECK_EQ(sys(proc(ROOT), SYS_SUPERVISE, self, SUP_KILL), E_STATE);
}
