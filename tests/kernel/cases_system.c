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
