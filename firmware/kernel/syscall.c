/*
 * System call numbers to functions, and the few calls that fit in a line. Called by trap.c. An unknown number is a fault
 * of the process, not an error: no correct program makes one.
 */
#include "kernel.h"

static status_t sys_recv(struct process *p) {
    uint64_t accept = p->frame.x[REG_A1] >> 24;
    if (p->frame.x[REG_A1] & 0xffffff || accept > IPC_MAX_CAPS) return E_BAD_ARGUMENT;
    return ipc_recv(p, p->frame.x[REG_A0], (uint32_t)accept, p->frame.x[REG_A2]);
}

static status_t sys_exit(struct process *p) {
    process_stop(p, FAULT_EXIT, p->frame.x[REG_A0]);
    return E_OK;
}

static status_t sys_time(struct process *p) {
    uint64_t now = arch_time();
    sched_account(now);
    p->frame.x[REG_A1] = now;
    p->frame.x[REG_A2] = p->cpu_ticks;
    return E_OK;
}

static status_t sys_console_write(struct process *p) {
    struct cap *cap;
    char text[LIMIT_WRITE_BYTES];
    uint64_t bytes = p->frame.x[REG_A2];
    status_t status = cap_find(p, p->frame.x[REG_A0], OBJ_CONSOLE, RIGHT_USE, &cap);
    if (status != E_OK) return status;
    if (bytes > sizeof text) return E_BAD_ARGUMENT;
    status = copy_in(p, text, (user_ptr){p->frame.x[REG_A1]}, bytes);
    return status == E_OK ? console_write(p, text, (uint32_t)bytes) : status;
}

/* Any type: the caller asks about a handle of its own. */
static status_t find_any(struct process *p, uint64_t handle, struct cap **cap) {
    uint64_t slot = handle & 0xff;
    if (slot >= LIMIT_CAP_SLOTS) return E_BAD_HANDLE;
    return cap_find(p, handle, p->caps[slot].type, 0, cap);
}

static status_t sys_cap_drop(struct process *p) {
    struct cap *cap;
    status_t status = find_any(p, p->frame.x[REG_A0], &cap);
    if (status != E_OK) return status;
    if (cap->type == OBJ_REPLY && cap->object != NOBODY) {
        struct process *caller = &processes[cap->object];
        ipc_cancel(caller, E_PEER_DIED); /* nobody can answer it any more */
    }
    cap_clear(p, cap);
    return E_OK;
}

static status_t sys_cap_mint(struct process *p) {
    struct cap *from, made;
    status_t status = find_any(p, p->frame.x[REG_A0], &from);
    if (status != E_OK) return status;
    if (from->type != OBJ_ENDPOINT && from->type != OBJ_NOTIFICATION) return E_BAD_TYPE;
    if (p->frame.x[REG_A2] > 0xff) return E_BAD_ARGUMENT;
    status = cap_derive(from, p->frame.x[REG_A1], (uint32_t)p->frame.x[REG_A2], &made);
    if (status != E_OK) return status;
    if (p->free_slots == 0) return E_NO_SLOT;
    p->frame.x[REG_A1] = cap_put(p, &made);
    return E_OK;
}

static status_t sys_cap_revoke(struct process *p) {
    struct cap *cap;
    status_t status = cap_find(p, p->frame.x[REG_A0], OBJ_ENDPOINT, RIGHT_RECV, &cap);
    if (status != E_OK) return status;
    uint64_t badge = p->frame.x[REG_A1];
    p->frame.x[REG_A1] = cap_revoke_badge(cap->object, badge) + spawn_revoke(cap->object, badge);
    ipc_revoke(cap->object, badge);
    return E_OK;
}

static status_t sys_cap_info(struct process *p) {
    struct cap *cap;
    status_t status = find_any(p, p->frame.x[REG_A0], &cap);
    if (status != E_OK) return status;
    p->frame.x[REG_A1] = cap->type | (uint64_t)cap->rights << 8;
    p->frame.x[REG_A2] = cap->badge;
    return E_OK;
}

static status_t (*const calls[])(struct process *) = {
    [SYS_CALL] = ipc_call,
    [SYS_RECV] = sys_recv,
    [SYS_REPLY] = ipc_reply,
    [SYS_REPLY_RECV] = ipc_reply_recv,
    [SYS_NOTIFY] = notify_send,
    [SYS_WAIT] = notify_wait,
    [SYS_EXIT] = sys_exit,
    [SYS_TIME] = sys_time,
    [SYS_CONSOLE_WRITE] = sys_console_write,
    [SYS_CAP_DROP] = sys_cap_drop,
    [SYS_CAP_MINT] = sys_cap_mint,
    [SYS_CAP_REVOKE] = sys_cap_revoke,
    [SYS_CAP_INFO] = sys_cap_info,
    [SYS_DEVICE_WRITE] = device_write,
    [SYS_QUEUE_SETUP] = queue_setup,
    [SYS_QUEUE_POST] = queue_post,
    [SYS_QUEUE_TAKE] = queue_take,
    [SYS_IRQ_ACK] = irq_ack,
    [SYS_REGION_MAP] = region_map,
    [SYS_REGION_UNMAP] = region_unmap,
    [SYS_REGION_SEAL] = region_seal,
    [SYS_REGION_FREE] = region_free,
    [SYS_SPAWN] = spawn_app,
    [SYS_SUPERVISE] = supervise,
    [SYS_SYSTEM] = system_control,
};

void syscall_enter(struct process *p) {
    uint64_t number = p->frame.x[REG_A7];
    if (number >= sizeof calls / sizeof *calls || calls[number] == 0) {
        process_stop(p, FAULT_SYSCALL, number);
        return;
    }
    uint32_t incarnation = p->incarnation;
    status_t status = calls[number](p);
    if (p->incarnation == incarnation) p->frame.x[REG_A0] = status;
}
