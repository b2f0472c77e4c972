/*
 * Death and restart: who waited is told at once, what was held is gone, nothing of the old life is in the new one, and a client is
 * told once that its server has restarted.
 */
#include "host.h"

CASE(a_dead_server_is_told_at_once_to_all_who_wait) {
    boot();
    CHECK_EQ(call(proc(CLIENT), H_SERVER), BLOCKED);
    CHECK_EQ(receive(proc(SERVER), 0), E_OK);
    CHECK_EQ(call(proc(TWIN), H_SERVER), BLOCKED);
    CHECK_EQ(receive(proc(SERVER), 0), E_OK);
    CHECK_EQ(call(proc(LOW), H_SERVER), BLOCKED);
    kill_process(SERVER);
    for (uint32_t i = CLIENT; i <= LOW; i++) CHECK_EQ(outcome(proc(i)), E_PEER_DIED);
    CHECK_EQ(call(proc(MIDDLE), H_SERVER), E_PEER_DIED);
    CHECK_EQ(count_caps(OBJ_REPLY, CLIENT) + count_caps(OBJ_REPLY, TWIN), 0);
}

CASE(a_server_not_yet_started_counts_as_dead) {
    boot_cold();
    CHECK_EQ(call(proc(ROOT), H_SERVER), E_PEER_DIED);
    CHECK_EQ(sys(proc(ROOT), SYS_SUPERVISE, H_SUPERVISE_CLIENT + SERVER - CLIENT, SUP_RESUME), E_AGAIN);
    CHECK_EQ(proc(SERVER)->state, STATE_LOADING);
    CHECK_EQ(call(proc(ROOT), H_SERVER), E_PEER_DIED);
    resume(SERVER);
    CHECK_EQ(call(proc(ROOT), H_SERVER), BLOCKED); /* its first life is no restart */
}

CASE(a_restart_is_told_once_for_each_capability) {
    boot();
    for (uint32_t turn = 0; turn < 3; turn++) {
        restart(SERVER);
        for (uint32_t i = CLIENT; i <= MIDDLE; i++) {
            CHECK_EQ(call(proc(i), H_SERVER, .within = 5), E_RESTARTED);
            CHECK_EQ(call(proc(i), H_GIFT, .within = 5), E_RESTARTED);
            CHECK_EQ(call(proc(i), H_SERVER, .within = 5), BLOCKED);
            tick(5);
        }
    }
}

CASE(two_restarts_are_told_as_one) {
    boot();
    restart(SERVER);
    restart(SERVER);
    CHECK_EQ(call(proc(CLIENT), H_SERVER), E_RESTARTED);
    CHECK_EQ(call(proc(CLIENT), H_SERVER), BLOCKED);
}

CASE(a_refused_call_does_not_use_the_news_up) {
    boot();
    restart(SERVER);
    CHECK_EQ(call(proc(CLIENT), H_SERVER, .bytes = 600), E_BAD_ARGUMENT);
    CHECK_EQ(sys(proc(CLIENT), SYS_CALL, H_SERVER, 0, host_time), E_DEADLINE);
    CHECK_EQ(call(proc(CLIENT), H_SERVER), E_RESTARTED);
}

CASE(the_news_moves_with_the_capability) {
    boot();
    restart(SERVER);
    CHECK_EQ(call(proc(CLIENT), H_GIFT), E_RESTARTED);
    caps_of(proc(CLIENT))[0] = H_GIFT;
    CHECK_EQ(receive(proc(MIDDLE), 1), BLOCKED);
    CHECK_EQ(call(proc(CLIENT), H_MIDDLE, .caps = 1), BLOCKED);
    CHECK_EQ(call(proc(MIDDLE), caps_of(proc(MIDDLE))[0]), BLOCKED); /* it has heard already */
    caps_of(proc(TWIN))[0] = H_GIFT;
}

CASE(what_a_restarted_server_mints_is_new) {
    boot();
    restart(MIDDLE);
    CHECK_EQ(sys(proc(MIDDLE), SYS_CAP_MINT, H_OWN, 9, RIGHT_CALL | RIGHT_GRANT), E_OK);
    caps_of(proc(MIDDLE))[0] = (uint32_t)reg(proc(MIDDLE), 1);
    CHECK_EQ(call(proc(CLIENT), H_MIDDLE), E_RESTARTED);
    CHECK_EQ(call(proc(CLIENT), H_MIDDLE, .accept = 1), BLOCKED);
    CHECK_EQ(receive(proc(MIDDLE), 0), E_OK);
    CHECK_EQ(reply(proc(MIDDLE), got_reply(proc(MIDDLE)), .caps = 1), E_OK);
    CHECK_EQ(call(proc(CLIENT), caps_of(proc(CLIENT))[0]), BLOCKED);
}

CASE(a_client_that_restarts_has_nothing_to_hear) {
    boot();
    restart(SERVER);
    restart(CLIENT);
    CHECK_EQ(call(proc(CLIENT), H_SERVER), BLOCKED);
}

CASE(a_dead_caller_leaves_the_queue_and_its_server) {
    boot();
    struct process *server = proc(SERVER);
    CHECK_EQ(call(proc(CLIENT), H_SERVER), BLOCKED);
    CHECK_EQ(receive(server, 0), E_OK);
    uint64_t handle = got_reply(server);
    CHECK_EQ(call(proc(TWIN), H_SERVER), BLOCKED);
    CHECK_EQ(call(proc(LOW), H_SERVER), BLOCKED);
    kill_process(CLIENT);
    kill_process(TWIN);
    CHECK_EQ(reply(server, handle), E_CALLER_GONE);
    CHECK_EQ(receive(server, 0), E_OK);
    CHECK_EQ(got_sender(server), LOW);
}

CASE(a_dead_process_holds_nothing) {
    boot();
    for (uint32_t i = CLIENT; i < SYSTEM_PROCESSES; i++) {
        leave_free(proc(i), 2);
        kill_process(i);
        CHECK_EQ(proc(i)->free_slots, LIMIT_CAP_SLOTS);
        CHECK_EQ(sys(proc(ROOT), SYS_SUPERVISE, H_SUPERVISE_CLIENT + i - CLIENT, SUP_KILL), E_STATE);
    }
}

CASE(a_restart_brings_exactly_the_boot_capabilities) {
    boot();
    for (uint32_t i = CLIENT; i < SYSTEM_PROCESSES; i++) {
        uint32_t extra = give(proc(i), OBJ_CONSOLE, RIGHT_USE, 0, 1);
        restart(i);
        CHECK_EQ(LIMIT_CAP_SLOTS - proc(i)->free_slots, proc(i)->row->cap_count);
        CHECK(cap_at(proc(i), extra) == 0);
        for (uint32_t n = 0; n < proc(i)->row->cap_count; n++) CHECK(cap_at(proc(i), HANDLE_BOOT + n) != 0);
    }
}

CASE(a_restart_zeroes_and_reloads_all_but_what_is_kept) {
    boot();
    struct process *p = proc(MIDDLE);
    static const uint64_t areas[] = {VA_HEAP, VA_HEAP + 4096, VA_STACK_TOP - 4096, VA_IPC, VA_KEPT, VA_IMAGE + 0x2000, VA_IMAGE + 0x3000, VA_IMAGE + 0x4000};
    for (uint32_t i = 0; i < sizeof areas / sizeof *areas; i++) memset(user(p, areas[i]), 0xd5, PAGE_BYTES);
    uint32_t frames = frame_free_count();
    restart(MIDDLE);
    for (uint32_t i = 0; i < sizeof areas / sizeof *areas; i++)
        for (uint32_t at = 0; at < PAGE_BYTES; at++) {
            uint8_t expected = 0;
            if (areas[i] == VA_KEPT) expected = 0xd5;
            if (areas[i] == VA_IPC && at == IPC_BRING_UP) expected = 1;
            uint64_t in_data = areas[i] + at - (VA_IMAGE + 0x2000);
            if (in_data < DATA_BYTES) expected = (uint8_t)((DATA_AT + in_data) * 7 + 1);
            CHECK_EQ(user(p, areas[i])[at], expected);
        }
    CHECK_EQ(frame_free_count(), frames);
    CHECK_EQ(p->incarnation, 2);
    CHECK_EQ(reg(p, 5), 2);
}

CASE(the_kept_area_is_zero_in_the_first_life) {
    boot();
    for (uint32_t at = 0; at < PAGE_BYTES; at++) CHECK_EQ(user(proc(MIDDLE), VA_KEPT)[at], 0);
}

CASE(a_new_life_starts_with_clean_registers) {
    boot();
    for (uint32_t i = 1; i < 32; i++) proc(CLIENT)->frame.x[i] = 0xdeadbeef;
    restart(CLIENT);
    for (uint32_t i = 1; i < 32; i++) CHECK(proc(CLIENT)->frame.x[i] != 0xdeadbeef);
    CHECK_EQ(proc(CLIENT)->frame.x[REG_PC], VA_IMAGE);
    CHECK_EQ(proc(CLIENT)->frame.x[REG_SP], VA_STACK_TOP);
}

CASE(a_process_is_told_where_its_memory_is) {
    boot();
    const struct process *p = proc(MIDDLE);
    const uint64_t expected[] = {VA_ROMFS, 5000, VA_HEAP, 2 * PAGE_BYTES, H_CONSOLE, 1, 1, PAGE_BYTES};
    for (uint32_t i = 0; i < 8; i++) CHECK_EQ(reg(p, i), expected[i]);
}

CASE(a_death_is_told_once) {
    boot();
    struct process *root = proc(ROOT);
    CHECK_EQ(sys(proc(CLIENT), SYS_EXIT, 0), STOPPED);
    CHECK_EQ(sys(root, SYS_WAIT, H_NOTE), E_OK);
    process_stop(proc(CLIENT), FAULT_KILLED, 1);
    CHECK_EQ(proc(CLIENT)->fault, FAULT_EXIT);
    restart(CLIENT);
    CHECK_EQ(root->bits, 0);
    restart(CLIENT);
    CHECK_EQ(root->bits, 1 << CLIENT); /* this one ran */
    console_drain();
    CHECK(strstr(host_uart, "cause=exit") == 0); /* an end without an error is no fault */
    CHECK(strstr(host_uart, "kernel: fault label=client cause=killed") != 0);
}

CASE(a_load_that_was_cut_off_begins_anew) {
    boot();
    memset(user(proc(CLIENT), VA_IPC), 0xd5, PAGE_BYTES);
    memset(user(proc(CLIENT), VA_IMAGE + 0x2000), 0xd5, PAGE_BYTES);
    CHECK_EQ(sys(proc(ROOT), SYS_SUPERVISE, H_SUPERVISE_CLIENT, SUP_RESTART), E_AGAIN);
    memset(user(proc(CLIENT), VA_IMAGE + 0x2000), 0xd5, PAGE_BYTES);
    kill_process(CLIENT);
    restart(CLIENT);
    CHECK_EQ(*user(proc(CLIENT), VA_IMAGE + 0x2000), (uint8_t)(DATA_AT * 7 + 1));
    CHECK_EQ(proc(CLIENT)->incarnation, 2);
}

CASE(signals_of_the_old_life_do_not_reach_the_new) {
    boot();
    notify_signal(proc(CLIENT), 4);
    kill_process(CLIENT);
    notify_signal(proc(CLIENT), 8);
    restart(CLIENT);
    CHECK_EQ(sys(proc(CLIENT), SYS_WAIT, H_NOTE, host_time + 10), BLOCKED);
}

CASE(the_supervisor_is_told_which_child_died) {
    boot();
    struct process *root = proc(ROOT);
    CHECK_EQ(sys(proc(CLIENT), SYS_EXIT, 7), STOPPED);
    CHECK_EQ(sys(proc(SERVER), SYS_EXIT, 0), STOPPED);
    CHECK_EQ(sys(root, SYS_WAIT, H_NOTE), E_OK);
    CHECK_EQ(reg(root, 1), 1 << CLIENT | 1 << SERVER);
    struct process_status status;
    CHECK_EQ(sys(root, SYS_SUPERVISE, H_SUPERVISE_CLIENT, SUP_STATUS, VA_HEAP, sizeof status), E_OK);
    memcpy(&status, user(root, VA_HEAP), sizeof status);
    CHECK(status.state == STATE_STOPPED && status.fault == FAULT_EXIT && status.value == 7 && status.slots == 0);
}

CASE(a_quiet_process_tells_no_details) {
    boot();
    struct process *root = proc(ROOT);
    struct process_status status;
    proc(TWIN)->frame.x[REG_PC] = 0x12345678;
    process_stop(proc(TWIN), FAULT_MEMORY, 0xabcdef);
    CHECK_EQ(sys(root, SYS_SUPERVISE, H_SUPERVISE_CLIENT + 1, SUP_STATUS, VA_HEAP, sizeof status), E_OK);
    memcpy(&status, user(root, VA_HEAP), sizeof status);
    CHECK(status.fault == FAULT_MEMORY && status.value == 0 && status.pc == 0);
    console_drain();
    CHECK(strstr(host_uart, "kernel: fault label=twin cause=memory\n") != 0);
    CHECK(strstr(host_uart, "abcdef") == 0 && strstr(host_uart, "12345678") == 0);
}

CASE(a_stopped_process_leaves_no_register_with_the_kernel) {
    boot();
    const struct trap_frame none = {0};
    memset(&proc(TWIN)->frame, 0xa5, sizeof none);
    process_stop(proc(TWIN), FAULT_MEMORY, 0);
    CHECK(memcmp(&proc(TWIN)->frame, &none, sizeof none) == 0);
}

CASE(the_death_of_the_root_ends_the_system) {
    boot();
    CHECK_ENDS(sys(proc(ROOT), SYS_EXIT, 0));
    CHECK_EQ(host_exit_code, EXIT_INIT_DIED);
}

CASE(the_latch_closes_once_and_is_stated_to_each_new_life) {
    boot();
    CHECK_EQ(proc(CLIENT)->frame.x[REG_A6], 1);
    CHECK_EQ(sys(proc(ROOT), SYS_SYSTEM, H_SYSTEM, SYSTEM_CLOSE_BRING_UP), E_OK);
    CHECK_EQ(sys(proc(ROOT), SYS_SYSTEM, H_SYSTEM, SYSTEM_CLOSE_BRING_UP), E_STATE);
    restart(CLIENT);
    CHECK_EQ(proc(CLIENT)->frame.x[REG_A6], 0);
}
