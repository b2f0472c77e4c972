/*
 * Apps: made from a sealed region, named by the kernel, with what their spawner gave and nothing more; and when they end, every
 * page, slot and authority comes back.
 */
#include "bundle.h"

CASE(an_app_has_what_its_spawner_gave_and_no_more) {
    staged();
    CHECK_EQ(steps(spawned("probe"), SUP_RESUME), E_OK);
    struct process *app = proc(APP);
    CHECK_EQ(LIMIT_CAP_SLOTS - app->free_slots, 3);
    CHECK_EQ(reg(app, 7), 2 * PAGE_BYTES);
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
    staged();
    CHECK_EQ(steps(spawned("probe"), SUP_RESUME), E_OK);
    CHECK_EQ(cap_at(proc(APP), HANDLE_BOOT + 2)->rights, RIGHT_CALL);
    caps_of(proc(APP))[0] = HANDLE_BOOT + 2;
    CHECK_EQ(call(proc(APP), HANDLE_BOOT + 2, .caps = 1), E_BAD_RIGHT);
}

CASE(a_question_for_a_child_states_its_mask) {
    staged();
    uint64_t handle = spawned("probe");
    CHECK_EQ(receive(proc(SERVER), 0), BLOCKED);
    CHECK_EQ(call(proc(MIDDLE), H_SERVER, .behalf = handle), BLOCKED);
    CHECK_EQ(word_of(proc(SERVER), IPC_SUBJECT), APP | (uint64_t)KIND_APP << 16);
    CHECK_EQ(word_of(proc(SERVER), IPC_SUBJECT_MASK), MASK);
    CHECK_EQ(word_of(proc(SERVER), IPC_SUBJECT_PUBLISHER), PUBLISHER);
}

CASE(a_wrong_request_makes_nothing) {
    staged();
    uint32_t frames = frame_free_count(), tables = map_tables_left(), slots = used_slots();
    for (uint32_t fault = 0; fault < 7; fault++) {
        struct spawn_request r = good_request();
        uint32_t expected = E_BAD_ARGUMENT;
        switch (fault) {
        case 0: r.stack_pages = 0; break;
        case 1: r.stack_pages = LIMIT_APP_STACK_PAGES + 1; break;
        case 2: r.share = 0; break;
        case 3: r.share = LIMIT_APP_SHARE + 1; break;
        case 4: r.unused = 1; break;
        case 5: r.endpoint = H_SERVER; expected = E_BAD_RIGHT; break;
        case 6: r.endpoint = H_CONSOLE; expected = E_BAD_TYPE; break;
        }
        CHECK_EQ(spawn(r), expected);
    }
    CHECK(frames == frame_free_count() && tables == map_tables_left() && slots == used_slots());
    CHECK_EQ(proc(APP)->state, STATE_EMPTY);
}

CASE(a_request_of_another_size_or_place_makes_nothing) {
    staged();
    struct spawn_request r = good_request();
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
    uint8_t *page = staged();
    struct spawn_request r = {.stack_pages = LIMIT_APP_STACK_PAGES, .share = LIMIT_APP_SHARE, .endpoint = H_GIFT};
    put_name(page, "az09.-0123456789abcdefghijklmnop");
    put(page, BUNDLE_AT_HEAP_PAGES, LIMIT_APP_HEAP_PAGES, 2);
    put(page, BUNDLE_AT_CONTENTS_BYTES, (WORK_PAGES - 1) * PAGE_BYTES, 4);
    page[(WORK_PAGES - 1) * PAGE_BYTES] = 0x99;
    CHECK_EQ(spawn(r), E_OK);
    uint64_t handle = reg(proc(MIDDLE), 1);
    struct process *app = proc(APP);
    CHECK_EQ(steps(handle, SUP_RESUME), E_OK);
    CHECK_EQ(user(app, VA_ROMFS + (WORK_PAGES - 2) * PAGE_BYTES)[0], 0x99);
    CHECK(map_find(app, VA_ROMFS + (WORK_PAGES - 1) * PAGE_BYTES, IMAGE_R) == 0);
    CHECK(user(app, VA_HEAP + (LIMIT_APP_HEAP_PAGES - 1) * PAGE_BYTES) && user(app, VA_STACK_TOP - LIMIT_APP_STACK_PAGES * PAGE_BYTES));
    app->cpu_ticks = app->share_used = 77;
    CHECK_EQ(steps(handle, SUP_KILL), E_OK);
    CHECK_EQ(steps(handle, SUP_FREE), E_OK);
    good_manifest(page, "s");
    put(page, BUNDLE_AT_HEAP_PAGES, 1, 2);
    r = (struct spawn_request){.stack_pages = 1, .share = 1};
    CHECK_EQ(spawn(r), E_OK);
    CHECK_EQ(steps(reg(proc(MIDDLE), 1), SUP_RESUME), E_OK);
    CHECK(app->cpu_ticks == 0 && app->share_used == 0 && app->fault == FAULT_NONE && app->incarnation == 1);
    CHECK_EQ(LIMIT_CAP_SLOTS - app->free_slots, 2);
    CHECK(map_find(app, VA_HEAP + PAGE_BYTES, IMAGE_R) == 0);
}

CASE(an_apps_lines_bear_its_name) {
    staged();
    CHECK_EQ(steps(spawned("a-much-longer-name"), SUP_RESUME), E_OK);
    restart(MIDDLE);
    while (spawn_reap_step()) {}
    CHECK_EQ(steps(spawned("probe"), SUP_RESUME), E_OK);
    memcpy(user(proc(APP), VA_HEAP), "hello", 5);
    CHECK_EQ(sys(proc(APP), SYS_CONSOLE_WRITE, HANDLE_BOOT, VA_HEAP, 5), E_OK);
    CHECK_EQ(sys(proc(APP), SYS_EXIT, 3), STOPPED);
    console_drain();
    CHECK(strstr(host_uart, "\napp:probe: hello\nkernel: fault label=app:probe cause=exit") != 0);
}

CASE(what_a_freed_app_could_not_say_is_told_all_the_same) {
    staged();
    uint64_t handle = spawned("probe");
    CHECK_EQ(steps(handle, SUP_RESUME), E_OK);
    host_uart_reads = false;
    memset(user(proc(APP), VA_HEAP), 'x', 200);
    while (sys(proc(APP), SYS_CONSOLE_WRITE, HANDLE_BOOT, VA_HEAP, 200) == E_OK) {}
    CHECK_EQ(steps(handle, SUP_KILL), E_OK);
    CHECK_EQ(steps(handle, SUP_FREE), E_OK);
    spawned("other");
    host_uart_reads = true;
    console_drain();
    CHECK(strstr(host_uart, "kernel: console lost label=kernel lines=1\n") != 0);
    CHECK_EQ(proc(APP)->console_used, 0);
}

CASE(an_app_reads_as_one_of_the_lowest_rank) {
    staged();
    CHECK_EQ(steps(spawned("probe"), SUP_RESUME), E_OK);
    uint32_t down = give(proc(APP), OBJ_ENDPOINT, RIGHT_CALL, MIDDLE_ENDPOINT, 0);
    CHECK_EQ(call(proc(APP), down, .within = 5), BLOCKED);
    struct process_status status;
    CHECK_EQ(sys(proc(ROOT), SYS_SYSTEM, H_SYSTEM, SYSTEM_PROCESS, APP, VA_HEAP), E_OK);
    memcpy(&status, user(proc(ROOT), VA_HEAP), sizeof status);
    CHECK(status.rank == 0 && status.state == STATE_CALLING && status.slots == 4 && status.service_id == proc(APP)->service_id);
}

CASE(an_app_over_its_share_waits_though_nobody_else_wants_the_time) {
    staged();
    CHECK_EQ(steps(spawned("probe"), SUP_RESUME), E_OK);
    for (uint32_t i = 0; i < SYSTEM_PROCESSES; i++)
        while (outcome(proc(i)) != BLOCKED) sys(proc(i), SYS_WAIT, H_NOTE);
    sched_run();
    CHECK(current == proc(APP));
    proc(APP)->share_used = LIMIT_SHARE_PERIOD_TICKS;
    uint64_t idle = sched_idle_ticks();
    tick(LIMIT_SLICE_TICKS);
    sched_run();
    CHECK(current == proc(APP) && sched_idle_ticks() > idle); /* in the next period */
}

CASE(an_unsealed_region_starts_nothing) {
    staged();
    regions[WORK_REGION].sealed = false;
    CHECK_EQ(spawn(good_request()), E_SEALED);
}

CASE(a_region_that_nobody_has_mapped_starts_nothing) {
    boot();
    good_manifest(regions[WORK_REGION].base, "probe"); /* where zeroes have to be */
    CHECK_EQ(spawn(good_request()), E_SEALED);
}

CASE(a_region_half_emptied_starts_nothing) {
    staged();
    regions[WORK_REGION].wiping = true;
    CHECK_EQ(spawn(good_request()), E_SEALED);
}

CASE(an_app_is_not_given_what_was_revoked_before_it_started) {
    staged();
    uint64_t handle = spawned("probe");
    CHECK_EQ(sys(proc(SERVER), SYS_CAP_REVOKE, H_SERVER_OWN, GIFT_BADGE + MIDDLE), E_OK);
    CHECK_EQ(reg(proc(SERVER), 1), 2); /* the spawner's own and the app's to be */
    CHECK_EQ(steps(handle, SUP_RESUME), E_OK);
    CHECK(cap_at(proc(APP), HANDLE_BOOT + 2) == 0);
    CHECK_EQ(sys(proc(SERVER), SYS_CAP_REVOKE, H_SERVER_OWN, GIFT_BADGE + MIDDLE), E_OK);
    CHECK_EQ(reg(proc(SERVER), 1), 0);
    CHECK_EQ(count_caps(OBJ_ENDPOINT, SERVER_ENDPOINT), 1 + SYSTEM_PROCESSES - 1 + 3); /* RECV, plain ones, others' gifts */
}

CASE(revoking_takes_a_running_apps_endpoint_once) {
    staged();
    CHECK_EQ(steps(spawned("probe"), SUP_RESUME), E_OK);
    spawned("later");
    CHECK_EQ(sys(proc(SERVER), SYS_CAP_REVOKE, H_SERVER_OWN, GIFT_BADGE + MIDDLE), E_OK);
    CHECK_EQ(reg(proc(SERVER), 1), 3); /* the spawner's, the running app's, the later one's */
    CHECK(cap_at(proc(APP), HANDLE_BOOT + 2) == 0);
    CHECK_EQ(sys(proc(SERVER), SYS_CAP_REVOKE, H_SERVER_OWN, 0x123), E_OK);
    CHECK_EQ(reg(proc(SERVER), 1), 0);
}

CASE(what_a_dead_spawner_left_makes_room_for_the_next) {
    staged();
    for (uint32_t i = 0; i < LIMIT_APP_SLOTS; i++) {
        spawned((const char[]){(char)('0' + i), 0});
    }
    restart(MIDDLE);
    uint32_t status;
    good_manifest(regions[WORK_REGION].base, "0");
    do status = spawn(good_request()); while (status == E_AGAIN);
    CHECK_EQ(status, E_OK);
    CHECK_EQ(proc(APP)->state, STATE_SUSPENDED);
    check_frames();
}

CASE(one_name_is_one_app) {
    staged();
    uint64_t handle = spawned("probe");
    CHECK_EQ(spawn(good_request()), E_EXISTS);
    CHECK_EQ(steps(handle, SUP_KILL), E_OK);
    CHECK_EQ(spawn(good_request()), E_EXISTS); /* until all of it is gone */
    CHECK_EQ(steps(handle, SUP_FREE), E_OK);
    CHECK_EQ(spawn(good_request()), E_OK);
}

CASE(an_id_that_a_service_has_is_taken) {
    staged();
    proc(CLIENT)->service_id = 0x667cc3250fcfa84c;
    CHECK_EQ(spawn(good_request()), E_EXISTS);
}

CASE(there_are_so_many_slots_and_no_more) {
    staged();
    uint64_t handles[LIMIT_APP_SLOTS];
    uint32_t frames = frame_free_count(), tables = map_tables_left();
    for (uint32_t turn = 0; turn < 3; turn++) {
        for (uint32_t i = 0; i < LIMIT_APP_SLOTS; i++) {
            handles[i] = spawned((const char[]){(char)('0' + i), 0});
        }
        good_manifest(regions[WORK_REGION].base, "more");
        CHECK_EQ(spawn(good_request()), E_FULL);
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
    staged();
    uint32_t filler = leave_free(proc(MIDDLE), 0), refs = regions[WORK_REGION].refs;
    CHECK_EQ(spawn(good_request()), E_NO_SLOT);
    CHECK_EQ(sys(proc(MIDDLE), SYS_CAP_DROP, filler), E_OK);
    while (frame_free_count() > 6) CHECK(frame_take(FRAME_KERNEL, 0xff) != 0);
    uint32_t tables = map_tables_left();
    CHECK_EQ(spawn(good_request()), E_FULL);
    CHECK(frame_free_count() == 6 && map_tables_left() == tables && regions[WORK_REGION].refs == refs);
}

CASE(a_freed_app_leaves_its_pages_zeroed) {
    staged();
    uint64_t handle = spawned("probe");
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
    staged();
    uint32_t frames = frame_free_count(), tables = map_tables_left();
    CHECK_EQ(steps(spawned("one"), SUP_RESUME), E_OK);
    spawned("two");
    CHECK_EQ(call(proc(APP), HANDLE_BOOT + 2), BLOCKED);
    kill_process(MIDDLE);
    CHECK(proc(APP)->state == STATE_STOPPED && proc(APP)->fault == FAULT_KILLED && proc(APP + 1)->state == STATE_STOPPED);
    while (spawn_reap_step()) check_invariants();
    console_drain();
    CHECK(strstr(host_uart, "fault label=app:one cause=killed") != 0 && strstr(host_uart, "fault label=app:two cause=killed") != 0);
    CHECK(proc(APP)->state == STATE_EMPTY && proc(APP + 1)->state == STATE_EMPTY);
    CHECK(frames == frame_free_count() && tables == map_tables_left());
    CHECK_EQ(regions[WORK_REGION].refs, 0);
    CHECK_EQ(receive(proc(SERVER), 0), BLOCKED);
}

CASE(a_new_app_is_not_reached_by_what_was_given_to_the_old) {
    staged();
    uint64_t handle = spawned("one");
    CHECK_EQ(steps(handle, SUP_RESUME), E_OK);
    CHECK_EQ(sys(proc(APP), SYS_CAP_MINT, HANDLE_BOOT + 1, 4, RIGHT_CALL | RIGHT_GRANT), E_OK);
    caps_of(proc(APP))[0] = (uint32_t)reg(proc(APP), 1);
    CHECK_EQ(receive(proc(SERVER), 1), BLOCKED);
    CHECK_EQ(call(proc(APP), HANDLE_BOOT + 2, .caps = 1), BLOCKED);
    uint32_t held = caps_of(proc(SERVER))[0];
    CHECK_EQ(sys(proc(SERVER), SYS_NOTIFY, held), E_OK);
    CHECK_EQ(steps(handle, SUP_KILL), E_OK);
    CHECK_EQ(steps(handle, SUP_FREE), E_OK);
    CHECK_EQ(steps(spawned("two"), SUP_RESUME), E_OK);
    CHECK_EQ(proc(APP)->bits, 0);
    CHECK_EQ(sys(proc(SERVER), SYS_NOTIFY, held), E_PEER_DIED);
    CHECK_EQ(proc(APP)->bits, 0);
}

CASE(only_its_own_kind_can_be_freed_or_restarted) {
    staged();
    uint64_t handle = spawned("probe");
    CHECK_EQ(steps(handle, SUP_RESUME), E_OK);
    CHECK_EQ(steps(handle, SUP_RESTART), E_STATE);
    CHECK_EQ(steps(handle, 99), E_BAD_ARGUMENT);
    kill_process(CLIENT);
    CHECK_EQ(sys(proc(ROOT), SYS_SUPERVISE, H_SUPERVISE_CLIENT, SUP_FREE), E_STATE);
    CHECK_EQ(sys(proc(ROOT), SYS_SUPERVISE, H_SUPERVISE_CLIENT, SUP_RESUME), E_STATE);
    uint32_t self = give(proc(ROOT), OBJ_SUPERVISE, RIGHT_USE, ROOT, 0);
    CHECK_EQ(sys(proc(ROOT), SYS_SUPERVISE, self, SUP_KILL), E_STATE);
}

/* What is left of dead apps goes in idle time, a step at a time: who is woken meanwhile does not wait for the rest. */
CASE(giving_memory_back_keeps_nobody_waiting) {
    staged();
    spawned("probe");
    kill_process(MIDDLE);
    for (uint32_t i = ROOT; i < SYSTEM_PROCESSES; i++)
        while (i != MIDDLE && sys(proc(i), SYS_WAIT, H_NOTE, i == CLIENT ? host_time + 5 : 0) != BLOCKED) {}
    host_time += 10;
    sched_run();
    CHECK(current == proc(CLIENT));
    CHECK_EQ(proc(APP)->state, STATE_STOPPED);
    CHECK_EQ(sys(proc(CLIENT), SYS_WAIT, H_NOTE, host_time + 5), BLOCKED);
    sched_run(); /* nobody else is there: all of it, then sleep */
    CHECK_EQ(proc(APP)->state, STATE_EMPTY);
    CHECK(current == proc(CLIENT));
}

CASE(a_new_app_does_not_pay_for_what_an_old_one_in_its_slot_asked) {
    staged();
    uint64_t handle = spawned("probe");
    CHECK_EQ(steps(handle, SUP_RESUME), E_OK);
    struct process *server = proc(SERVER);
    CHECK_EQ(call(proc(APP), HANDLE_BOOT + 2), BLOCKED);
    CHECK_EQ(receive(server, 0), E_OK);
    CHECK_EQ(server->payer, APP);
    CHECK_EQ(sys(proc(MIDDLE), SYS_SUPERVISE, handle, SUP_KILL), E_OK);
    CHECK_EQ(server->payer, SERVER);
}

/* An app of a share of 20 % asks for what takes a server almost three periods, again and again; nobody else runs. */
CASE(a_share_holds_for_what_servers_do_longer_than_a_period) {
    staged();
    struct spawn_request request = good_request();
    request.share = 200;
    struct process *server = proc(SERVER), *app = proc(APP);
    CHECK_EQ(spawn(request), E_OK);
    CHECK_EQ(steps(reg(proc(MIDDLE), 1), SUP_RESUME), E_OK);
    for (uint32_t i = 0; i < SYSTEM_PROCESSES; i++)
        while (i != SERVER && outcome(proc(i)) != BLOCKED) sys(proc(i), SYS_WAIT, H_NOTE);
    CHECK_EQ(receive(server, 0), BLOCKED);
    tick(LIMIT_SLICE_TICKS);
    sched_run();
    uint64_t begun = host_time, used = server->cpu_ticks + app->cpu_ticks;
    for (uint32_t i = 0; i < 20; i++) {
        CHECK(current == app);
        CHECK_EQ(call(app, HANDLE_BOOT + 2, .within = 100000000), BLOCKED);
        for (uint32_t slice = 0; slice < 295; slice++) {
            tick(LIMIT_SLICE_TICKS);
            sched_run();
            CHECK(current == server);
        }
        CHECK_EQ(reply(server, cap_handle(server, &server->caps[app->reply_slot])), E_OK);
        CHECK_EQ(receive(server, 0), BLOCKED);
        sched_run(); /* idle until the app may go on */
    }
    uint64_t got = server->cpu_ticks + app->cpu_ticks - used;
    CHECK(got * 1000 <= (host_time - begun) * 220);
}
