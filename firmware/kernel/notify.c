/*
 * Notifications: a word of bits for each process, set by whoever may signal it, taken by itself in a wait or a receive. Called by
 * syscall.c, ipc.c, irq.c and process.c. Signalling never blocks and never fails for want of room. Also compiled for the host (tests/kernel).
 */
#include "ipc.h"

#define FOR_EVER UINT64_MAX

/* Also where p itself can see, between two instructions, that something waits for it. Only of one that runs. */
static void keep_bits(struct process *p, uint64_t bits) {
    p->bits = bits;
    ipc_set(p, IPC_PENDING, bits);
}

static void take_bits(struct process *p, uint32_t into) {
    p->frame.x[into] = p->bits;
    keep_bits(p, 0);
}

void notify_deliver(struct process *p) {
    p->frame.x[REG_A1] = (uint64_t)DELIVER_NOTIFIED << 24;
    take_bits(p, REG_A3);
}

void notify_signal(struct process *p, uint64_t bits) {
    if (!running(p)) return; /* a life begins without any, and the page of one that has ended may be somebody else's by now */
    keep_bits(p, p->bits | bits);
    if (p->state == STATE_RECEIVING) {
        notify_deliver(p);
        sched_wake(p, E_OK);
    } else if (p->state == STATE_WAITING) {
        take_bits(p, REG_A1);
        sched_wake(p, E_OK);
    }
}

status_t notify_send(struct process *p) {
    struct cap *cap;
    status_t status = cap_find(p, p->frame.x[REG_A0], OBJ_NOTIFICATION, RIGHT_CALL, &cap);
    if (status != E_OK) return status;
    struct process *target = &processes[cap->object];
    if (cap->seen != target->life) return E_PEER_DIED; /* another app has its slot now */
    notify_signal(target, cap->badge);
    return E_OK;
}

status_t notify_wait(struct process *p) {
    struct cap *cap;
    uint64_t deadline = p->frame.x[REG_A1];
    status_t status = cap_find(p, p->frame.x[REG_A0], OBJ_NOTIFICATION, RIGHT_USE, &cap);
    if (status != E_OK) return status;
    if (p->bits) {
        take_bits(p, REG_A1);
        return E_OK;
    }
    uint64_t now = arch_time();
    deadline = capped_deadline(p, deadline ? deadline : FOR_EVER);
    if (deadline != FOR_EVER) {
        if (deadline <= now) return E_DEADLINE;
        sched_deadline_set(p, deadline);
    }
    sched_account(now);
    p->state = STATE_WAITING;
    current = 0;
    return E_OK;
}
