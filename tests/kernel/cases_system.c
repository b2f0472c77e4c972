/* The clock, and what the holder of the machine may ask and do: counts that are true, ends with the code that was asked for. */
#include "host.h"

static uint64_t usage(uint64_t what) {
    CHECK_EQ(sys(proc(ROOT), SYS_SYSTEM, H_SYSTEM, SYSTEM_USAGE, what), E_OK);
    return reg(proc(ROOT), 1);
}

CASE(time_is_told_with_ones_own_share_of_it) {
    boot();
    struct process *p = proc(CLIENT);
    CHECK_EQ(sys(p, SYS_TIME), E_OK);
    CHECK_EQ(reg(p, 1), host_time);
    uint64_t before = reg(p, 2);
    host_time += 250;
    CHECK_EQ(sys(p, SYS_TIME), E_OK);
    CHECK_EQ(reg(p, 1), host_time);
    CHECK_EQ(reg(p, 2), before + 250);
    CHECK_EQ(sys(proc(TWIN), SYS_TIME), E_OK);
    CHECK_EQ(reg(proc(TWIN), 2), proc(TWIN)->cpu_ticks);
}

CASE(counts_of_frames_and_slots_are_true) {
    boot();
    CHECK_EQ(usage(USAGE_FREE_FRAMES), frame_free_count());
    CHECK_EQ(usage(USAGE_USED_SLOTS), used_slots());
    uint32_t handle = give(proc(TWIN), OBJ_CONSOLE, RIGHT_USE, TWIN, 0);
    CHECK_EQ(usage(USAGE_USED_SLOTS), used_slots());
    CHECK_EQ(sys(proc(TWIN), SYS_CAP_DROP, handle), E_OK);
    CHECK_EQ(usage(USAGE_LOST_LINES), 0);
    host_uart_reads = false;
    for (uint32_t i = 0; i < LIMIT_CONSOLE_BYTES / 8; i++) console_say("x");
    CHECK(usage(USAGE_LOST_LINES) > 0);
    CHECK_EQ(usage(USAGE_LOST_LINES), console_lost_lines());
    CHECK_EQ(usage(USAGE_CONSOLE_BYTES), console_waiting_bytes());
    CHECK_EQ(usage(USAGE_IDLE_TICKS), sched_idle_ticks());
    CHECK_EQ(usage(USAGE_IDLE_INSTRUCTIONS), sched_idle_instructions());
    CHECK_EQ(sys(proc(ROOT), SYS_SYSTEM, H_SYSTEM, SYSTEM_USAGE, 0), E_BAD_ARGUMENT);
    CHECK_EQ(sys(proc(ROOT), SYS_SYSTEM, H_SYSTEM, SYSTEM_USAGE, 99), E_BAD_ARGUMENT);
}

CASE(the_system_ends_with_the_code_asked_for) {
    boot();
    static volatile uint64_t code; /* static: it has to live through a longjmp */
    for (code = 0; code < 256; code += 51) {
        CHECK_ENDS(sys(proc(ROOT), SYS_SYSTEM, H_SYSTEM, SYSTEM_SHUTDOWN, code | 0x100));
        CHECK(host_exit_code == code);
    }
    CHECK_ENDS(sys(proc(ROOT), SYS_SYSTEM, H_SYSTEM, SYSTEM_REBOOT));
    CHECK(strcmp(host_last_words, "reboot") == 0);
}

CASE(a_process_is_described_as_it_is) {
    boot();
    for (uint32_t i = 0; i < SYSTEM_PROCESSES; i++) {
        const struct process *p = proc(i);
        struct process_status status;
        proc(CLIENT)->cpu_ticks = 12345;
        CHECK_EQ(sys(proc(ROOT), SYS_SYSTEM, H_SYSTEM, SYSTEM_PROCESS, i, VA_HEAP), E_OK);
        memcpy(&status, user(proc(ROOT), VA_HEAP), sizeof status);
        CHECK(status.state == p->state && status.fault == FAULT_NONE && status.service_id == p->row->service_id);
        CHECK(status.incarnation == 1 && status.rank == p->row->rank && status.frames == p->frames);
        CHECK_EQ(status.slots, p->row->cap_count);
        CHECK(i != CLIENT || status.cpu_ticks == 12345);
        CHECK_EQ(p->frames, 1 + 1 + 2 + DATA_PAGES + p->row->kept_pages); /* IPC page, stack, heap, data; what is kept */
    }
}

static uint64_t delivered_to(uint32_t index) {
    struct process_status status;
    CHECK_EQ(sys(proc(ROOT), SYS_SYSTEM, H_SYSTEM, SYSTEM_PROCESS, index, VA_HEAP), E_OK);
    memcpy(&status, user(proc(ROOT), VA_HEAP), sizeof status);
    return status.messages;
}

CASE(calls_count_when_they_are_delivered_and_over_all_lives) {
    boot();
    struct process *server = proc(SERVER);
    CHECK_EQ(receive(server, 0), BLOCKED);
    CHECK_EQ(call(proc(CLIENT), H_SERVER), BLOCKED); /* at once */
    CHECK_EQ(delivered_to(SERVER), 1);
    CHECK_EQ(call(proc(TWIN), H_SERVER), BLOCKED); /* waits */
    CHECK_EQ(call(proc(LOW), H_SERVER, .within = 5), BLOCKED); /* waits in vain */
    tick(5);
    notify_signal(server, 1);
    CHECK_EQ(delivered_to(SERVER), 1);
    CHECK_EQ(receive(server, 0), E_OK);
    CHECK_EQ(got_flags(server), DELIVER_NOTIFIED);
    CHECK_EQ(delivered_to(SERVER), 1);
    CHECK_EQ(receive(server, 0), E_OK);
    CHECK_EQ(delivered_to(SERVER), 2);
    restart(SERVER);
    CHECK_EQ(delivered_to(SERVER), 2);
    CHECK_EQ(delivered_to(CLIENT), 0);
}

static uint32_t look(uint64_t index, uint64_t slot) { return sys(proc(ROOT), SYS_SYSTEM, H_SYSTEM, SYSTEM_CAPABILITY, index | slot << 8); }

CASE(each_slot_of_a_table_is_described_as_it_is) {
    boot();
    for (uint32_t i = 0; i < SYSTEM_PROCESSES; i++)
        for (uint32_t slot = 0; slot < LIMIT_CAP_SLOTS; slot++) {
            CHECK_EQ(look(i, slot), E_OK);
            const struct cap *cap = &proc(i)->caps[slot];
            CHECK_EQ(reg(proc(ROOT), 1), cap->type | cap->rights << 8 | (uint64_t)cap->object << 16);
            CHECK_EQ(reg(proc(ROOT), 2), cap->badge);
        }
}

CASE(a_slot_that_was_freed_tells_nothing_of_what_was_in_it) {
    boot();
    uint32_t handle = give(proc(CLIENT), OBJ_ENDPOINT, RIGHT_CALL, SERVER_ENDPOINT, 0x123456789abcdef0);
    CHECK_EQ(look(CLIENT, handle & 0xff), E_OK);
    CHECK_EQ(reg(proc(ROOT), 2), 0x123456789abcdef0);
    CHECK_EQ(sys(proc(CLIENT), SYS_CAP_DROP, handle), E_OK);
    CHECK_EQ(look(CLIENT, handle & 0xff), E_OK);
    CHECK_EQ(reg(proc(ROOT), 1), OBJ_NONE);
    CHECK_EQ(reg(proc(ROOT), 2), 0);
    kill_process(TWIN);
    for (uint32_t slot = 0; slot < LIMIT_CAP_SLOTS; slot++) {
        CHECK_EQ(look(TWIN, slot), E_OK);
        CHECK_EQ(reg(proc(ROOT), 1), OBJ_NONE);
        CHECK_EQ(reg(proc(ROOT), 2), 0);
    }
}

CASE(a_table_is_nobodys_who_does_not_hold_the_machine) {
    boot();
    const uint64_t beyond[] = {LIMIT_CAP_SLOTS, 0xff, 1ull << 32, 1ull << 48, (1ull << 56) - 1};
    for (uint32_t i = 0; i < sizeof beyond / sizeof *beyond; i++) CHECK_EQ(look(CLIENT, beyond[i]), E_BAD_ARGUMENT);
    for (uint64_t index = SYSTEM_PROCESSES; index <= 0xff; index++) CHECK_EQ(look(index, 0), E_BAD_ARGUMENT); /* none, or no such slot */
    for (uint32_t slot = 0; slot < LIMIT_CAP_SLOTS; slot++) {
        uint64_t handle = HANDLE_BOOT + slot;
        uint32_t expected = cap_at(proc(CLIENT), handle) ? E_BAD_TYPE : E_BAD_HANDLE;
        CHECK_EQ(sys(proc(CLIENT), SYS_SYSTEM, handle, SYSTEM_CAPABILITY, SERVER), expected);
    }
    uint32_t without = give(proc(CLIENT), OBJ_SYSTEM, RIGHT_CALL, 0, 0);
    CHECK_EQ(sys(proc(CLIENT), SYS_SYSTEM, without, SYSTEM_CAPABILITY, SERVER), E_BAD_RIGHT);
}

CASE(a_fault_is_described_to_the_supervisor) {
    boot();
    struct process_status status;
    proc(CLIENT)->frame.x[REG_PC] = 0x10040;
    process_stop(proc(CLIENT), FAULT_MEMORY, 0xdead0);
    CHECK_EQ(sys(proc(ROOT), SYS_SUPERVISE, H_SUPERVISE_CLIENT, SUP_STATUS, VA_HEAP, sizeof status), E_OK);
    memcpy(&status, user(proc(ROOT), VA_HEAP), sizeof status);
    CHECK(status.state == STATE_STOPPED && status.fault == FAULT_MEMORY && status.value == 0xdead0 && status.pc == 0x10040);
    console_drain();
    CHECK(strstr(host_uart, "kernel: fault label=client cause=memory value=00000000000dead0 pc=0000000000010040\n") != 0);
    restart(CLIENT);
    CHECK_EQ(sys(proc(ROOT), SYS_SUPERVISE, H_SUPERVISE_CLIENT, SUP_STATUS, VA_HEAP, sizeof status), E_OK);
    memcpy(&status, user(proc(ROOT), VA_HEAP), sizeof status);
    CHECK(status.state == STATE_READY && status.fault == FAULT_NONE && status.value == 0 && status.pc == 0 && status.incarnation == 2);
}
