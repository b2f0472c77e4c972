/*
 * The authority over other processes (supervise) and over the machine (system). Called by syscall.c; who holds these
 * capabilities is the recipe's choice, so nothing here asks for a name.
 */
#include "kernel.h"

static bool bring_up_open = true;

bool system_bring_up_open(void) { return bring_up_open; }

static status_t give_status(struct process *p, const struct process *target, uint64_t address, uint64_t size) {
    struct process_status status;
    if (size != sizeof status) return E_BAD_ARGUMENT;
    process_status_of(target, &status);
    return copy_out(p, (user_ptr){address}, &status, sizeof status);
}

static status_t load(struct process *child) {
    status_t status = process_load_step(child);
    if (status == E_OK) sched_ready(child);
    return status;
}

static status_t restart(struct process *child) {
    if (child->state != STATE_LOADING) process_stop(child, FAULT_KILLED, 0);
    return load(child);
}

status_t supervise(struct process *p) {
    struct cap *cap;
    status_t status = cap_find(p, p->frame.x[REG_A0], OBJ_SUPERVISE, RIGHT_USE, &cap);
    if (status != E_OK) return status;
    struct process *child = &processes[cap->object];
    if (child == p) return E_STATE;
    switch (p->frame.x[REG_A1]) {
    case SUP_STATUS: return give_status(p, child, p->frame.x[REG_A2], p->frame.x[REG_A3]);
    case SUP_RESUME: return child->state == STATE_SUSPENDED || child->state == STATE_LOADING ? load(child) : E_STATE;
    case SUP_KILL:
        if (child->state == STATE_STOPPED) return E_STATE;
        process_stop(child, FAULT_KILLED, 0);
        return E_OK;
    case SUP_RESTART: return child->kind == KIND_APP ? E_STATE : restart(child);
    case SUP_FREE:
        status = spawn_free(child);
        if (status == E_OK) cap_clear(p, cap);
        return status;
    default: return E_BAD_ARGUMENT;
    }
}

static status_t usage(struct process *p, uint64_t what) {
    uint64_t count = 0;
    switch (what) {
    case USAGE_FREE_FRAMES: count = frame_free_count(); break;
    case USAGE_USED_SLOTS:
        for (uint32_t i = 0; i < PROCESS_SLOTS; i++)
            if (processes[i].state != STATE_EMPTY) count += LIMIT_CAP_SLOTS - processes[i].free_slots;
        break;
    case USAGE_LOST_LINES: count = console_lost_lines(); break;
    case USAGE_IDLE_TICKS: count = sched_idle_ticks(); break;
    case USAGE_MAX_PATH: count = trap_longest_path(); break;
    case USAGE_IDLE_INSTRUCTIONS: count = sched_idle_instructions(); break;
    case USAGE_CONSOLE_BYTES: count = console_waiting_bytes(); break;
    default: return E_BAD_ARGUMENT;
    }
    p->frame.x[REG_A1] = count;
    return E_OK;
}

/* One slot of anybody's table: what its holder could learn by cap_info, and which object it is. A free one still knows what was in it. */
static status_t give_capability(struct process *p, uint64_t which) {
    uint64_t index = which & 0xff, slot = which >> 8;
    if (index >= PROCESS_SLOTS || processes[index].state == STATE_EMPTY || slot >= LIMIT_CAP_SLOTS) return E_BAD_ARGUMENT;
    const struct cap *cap = &processes[index].caps[slot];
    bool used = cap->type != OBJ_NONE;
    p->frame.x[REG_A1] = used ? cap->type | (uint64_t)cap->rights << 8 | (uint64_t)cap->object << 16 : OBJ_NONE;
    p->frame.x[REG_A2] = used ? cap->badge : 0;
    return E_OK;
}

/* Whoever runs finds it in its IPC page; the others are told at their start, and a stopped one's page may be somebody else's by now. */
static void tell_closed(void) {
    for (uint32_t i = 0; i < PROCESS_SLOTS; i++) {
        const struct process *p = &processes[i];
        if (p->state >= STATE_READY && p->state <= STATE_WAITING) *(uint64_t *)(p->ipc + IPC_BRING_UP) = 0;
    }
}

static status_t close_bring_up(void) {
    if (!bring_up_open) return E_STATE;
    bring_up_open = false;
    if (launch_flags() & FLAG_COUNT)
        console_say("bring-up closed instructions=%lx idle=%lx", arch_instructions(), sched_idle_instructions());
    tell_closed();
    return E_OK;
}

status_t system_control(struct process *p) {
    struct cap *cap;
    status_t status = cap_find(p, p->frame.x[REG_A0], OBJ_SYSTEM, RIGHT_USE, &cap);
    if (status != E_OK) return status;
    uint64_t a = p->frame.x[REG_A2];
    switch (p->frame.x[REG_A1]) {
    case SYSTEM_SHUTDOWN: finish(a & 0xff);
    case SYSTEM_REBOOT: finish_reboot();
    case SYSTEM_CLOSE_BRING_UP: return close_bring_up();
    case SYSTEM_PHASE: p->frame.x[REG_A1] = launch_phase(); return E_OK;
    case SYSTEM_FLAGS: p->frame.x[REG_A1] = launch_flags(); return E_OK;
    case SYSTEM_USAGE: return usage(p, a);
    case SYSTEM_PROCESS:
        if (a >= PROCESS_SLOTS || processes[a].state == STATE_EMPTY) return E_BAD_ARGUMENT;
        return give_status(p, &processes[a], p->frame.x[REG_A3], sizeof(struct process_status));
    case SYSTEM_CAPABILITY: return give_capability(p, a);
    default: return E_BAD_ARGUMENT;
    }
}
