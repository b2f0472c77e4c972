/*
 * Synchronous calls and one-shot replies. Called by syscall.c. Every call has a deadline, a reply never blocks,
 * and a move of capabilities happens whole or not at all. Also compiled for the host (tests/kernel).
 */
#include "ipc.h"

#include "kernel.h"

static inline uint32_t accepts(const struct process *p) { return p->call_word >> WORD_ACCEPT & WORD_ACCEPT_MAX; }

/* Exactly `bytes`: what lies behind them in the sender's page is not the receiver's business. */
static inline void copy_message(uint8_t *to, const uint8_t *from, uint32_t bytes) {
    uint32_t i = 0;
    for (; i + 8 <= bytes; i += 8) *(uint64_t *)(to + i) = *(const uint64_t *)(from + i);
    for (; i < bytes; i++) to[i] = from[i];
}

static inline uint32_t *ipc_caps(struct process *p) { return (uint32_t *)(p->ipc + IPC_CAPS); }

/* --- capabilities in messages --- */

/* All handles named are the sender's, movable and different; nothing has moved yet. */
static status_t check_moves(struct process *p, uint32_t count) {
    const uint32_t *handles = ipc_caps(p);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = handles[i] & 0xff;
        if (slot >= LIMIT_CAP_SLOTS) return E_BAD_HANDLE;
        struct cap *cap;
        status_t status = cap_find(p, handles[i], p->caps[slot].type, RIGHT_GRANT, &cap);
        if (status != E_OK) return status;
        if (cap->rights & RIGHT_RECV) return E_BAD_RIGHT; /* whoever receives has the owner's rank */
        for (uint32_t j = 0; j < i; j++)
            if (handles[j] == handles[i]) return E_BAD_ARGUMENT;
    }
    return E_OK;
}

static void move_caps(struct process *to, struct process *from, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        struct cap *cap = &from->caps[ipc_caps(from)[i] & 0xff];
        struct cap moved = *cap;
        cap_clear(from, cap);
        ipc_caps(to)[i] = cap_put(to, &moved);
    }
}

/* What a reply grants, worked out before anything changes. */
static status_t derive_grants(struct process *p, uint32_t count, struct cap *made) {
    const struct grant *grants = (const struct grant *)(p->ipc + IPC_GRANTS);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = grants[i].handle & 0xff;
        if (slot >= LIMIT_CAP_SLOTS) return E_BAD_HANDLE;
        struct cap *cap;
        status_t status = cap_find(p, grants[i].handle, p->caps[slot].type, 0, &cap);
        if (status == E_OK) status = cap_derive(cap, grants[i].badge, grants[i].rights, &made[i]);
        if (status != E_OK) return status;
    }
    return E_OK;
}

/* --- call --- */

/* The process that a call is made on behalf of: the caller of a live reply, or a child not yet running. NOBODY if neither. */
static uint16_t subject_of(struct process *p) {
    struct cap *cap = &p->caps[p->behalf_slot];
    if (cap->type == OBJ_REPLY) return cap->object;
    if (cap->type == OBJ_SUPERVISE && processes[cap->object].state == STATE_SUSPENDED) return cap->object;
    return NOBODY;
}

static status_t set_behalf(struct process *p, uint64_t handle) {
    p->behalf_slot = NO_SLOT;
    if (handle == 0) return E_OK;
    uint64_t slot = handle & 0xff;
    if (slot >= LIMIT_CAP_SLOTS) return E_BAD_HANDLE;
    struct cap *cap;
    status_t status = cap_find(p, handle, p->caps[slot].type, 0, &cap);
    if (status != E_OK) return status;
    if (cap->type != OBJ_REPLY && cap->type != OBJ_SUPERVISE) return E_BAD_TYPE;
    p->behalf_slot = (uint8_t)slot;
    if (subject_of(p) != NOBODY) return E_OK;
    return cap->type == OBJ_REPLY ? E_CALLER_GONE : E_STATE;
}

static void state_app(struct process *to, const struct process *app, uint32_t mask_offset, uint32_t publisher_offset) {
    ipc_set(to, mask_offset, app->mask);
    ipc_set(to, publisher_offset, app->publisher);
}

/* Message, capabilities, reply capability and what the kernel states of the sender. The server has room: its recv saw to it. */
static void deliver(struct process *server, struct process *caller) {
    uint32_t length = caller->call_word & WORD_LENGTH_MASK;
    uint32_t count = caller->call_word >> WORD_CAPS & WORD_COUNT_MAX;
    uint64_t flags = DELIVER_MESSAGE;
    copy_message(server->ipc, caller->ipc, length);
    if (count) move_caps(server, caller, count);
    if (caller->kind == KIND_APP) {
        state_app(server, caller, IPC_SENDER_MASK, IPC_SENDER_PUBLISHER);
        flags |= DELIVER_APP;
    }
    if (caller->behalf_slot != NO_SLOT) {
        const struct process *subject = &processes[subject_of(caller)];
        ipc_set(server, IPC_SUBJECT_ID, subject->service_id);
        ipc_set(server, IPC_SUBJECT, subject->index | (uint64_t)subject->kind << 16);
        state_app(server, subject, IPC_SUBJECT_MASK, IPC_SUBJECT_PUBLISHER);
        flags |= DELIVER_BEHALF;
    }
    struct cap reply = {.type = OBJ_REPLY, .object = caller->index};
    uint32_t handle = cap_put(server, &reply);
    caller->reply_slot = (uint8_t)(handle & 0xff);
    caller->server = server->index;
    caller->queued_on = 0;
    server->serving = caller->index;
    server->payer = caller->payer;
    server->since_recv = 0;
    server->messages++;
    uint64_t *x = server->frame.x;
    x[REG_A1] = length | count << WORD_CAPS | flags << 24;
    x[REG_A2] = handle;
    x[REG_A3] = caller->call_badge;
    x[REG_A4] = caller->service_id;
    x[REG_A5] = caller->index | (uint64_t)caller->kind << 16;
}

/* Highest rank first, then first come. */
static void enqueue(struct endpoint *e, struct process *p) {
    struct process *before = e->tail;
    while (before && before->rank < p->rank) before = before->prev;
    p->prev = before;
    p->next = before ? before->next : e->head;
    if (p->next) p->next->prev = p; else e->tail = p;
    if (before) before->next = p; else e->head = p;
    p->queued_on = e;
}

static void dequeue(struct process *p) {
    struct endpoint *e = p->queued_on;
    if (p->prev) p->prev->next = p->next; else e->head = p->next;
    if (p->next) p->next->prev = p->prev; else e->tail = p->prev;
    p->next = p->prev = 0;
    p->queued_on = 0;
}

/* All that can be wrong with a call besides its time; nothing has changed yet. */
static status_t check_call(struct process *p, const struct process *server, uint64_t word, uint64_t behalf) {
    uint32_t count = word >> WORD_CAPS & WORD_COUNT_MAX;
    if (word & ~WORD_CALL_BITS || (word & WORD_LENGTH_MASK) > IPC_DATA_BYTES || count > IPC_MAX_CAPS ||
        (word >> WORD_ACCEPT) > IPC_MAX_CAPS) return E_BAD_ARGUMENT;
    if (server->rank <= p->rank) return E_RANK;
    if (p->free_slots < word >> WORD_ACCEPT) return E_NO_SLOT;
    status_t status = set_behalf(p, behalf);
    if (status == E_OK && count) status = check_moves(p, count);
    return status;
}

/* A process that serves nobody on this path: told of a death at once, of a restart once. */
static status_t check_server(struct cap *cap, const struct process *server) {
    if (!running(server)) return E_PEER_DIED;
    if (cap->seen != server->incarnation) {
        cap->seen = server->incarnation;
        return E_RESTARTED;
    }
    return E_OK;
}

status_t ipc_call(struct process *p) {
    uint64_t word = p->frame.x[REG_A1];
    struct cap *cap;
    status_t status = cap_find(p, p->frame.x[REG_A0], OBJ_ENDPOINT, RIGHT_CALL, &cap);
    if (status != E_OK) return status;
    struct endpoint *e = &endpoints[cap->object];
    struct process *server = &processes[e->owner];
    status = check_call(p, server, word, p->frame.x[REG_A3]);
    if (status != E_OK) return status;
    uint64_t now = arch_time();
    uint64_t deadline = capped_deadline(p, p->frame.x[REG_A2]);
    if (deadline <= now) return E_DEADLINE;
    status = check_server(cap, server);
    if (status != E_OK) return status;
    bool direct = server->state == STATE_RECEIVING && server->receives == e;
    if (direct && (word >> WORD_CAPS & WORD_COUNT_MAX) > accepts(server)) return E_NO_SLOT;

    p->call_word = (uint32_t)word;
    p->call_badge = cap->badge;
    p->state = STATE_CALLING;
    sched_deadline_set(p, deadline);
    sched_account(now);
    if (direct) {
        deliver(server, p);
        server->frame.x[REG_A0] = E_OK;
        sched_deadline_clear(server);
        sched_switch_to(server);
    } else {
        enqueue(e, p);
        current = 0;
    }
    return E_OK;
}

/* --- recv --- */

/* What stops a call that has waited: too many capabilities, one that was revoked meanwhile, a subject that has gone. */
static status_t check_waiting(struct process *caller, uint32_t accept) {
    uint32_t count = caller->call_word >> WORD_CAPS & WORD_COUNT_MAX;
    if (count > accept) return E_NO_SLOT;
    if (caller->behalf_slot != NO_SLOT && subject_of(caller) == NOBODY) return E_CALLER_GONE;
    return count ? check_moves(caller, count) : E_OK;
}

/* The first waiting caller that can be served; those before it are told why not. */
static struct process *next_caller(struct endpoint *e, uint32_t accept) {
    while (e->head) {
        struct process *caller = e->head;
        dequeue(caller);
        status_t status = check_waiting(caller, accept);
        if (status == E_OK) return caller;
        sched_wake(caller, status);
    }
    return 0;
}

status_t ipc_recv(struct process *p, uint64_t handle, uint32_t accept, uint64_t deadline) {
    struct cap *cap;
    status_t status = cap_find(p, handle, OBJ_ENDPOINT, RIGHT_RECV, &cap);
    if (status != E_OK) return status;
    if (accept > IPC_MAX_CAPS) return E_BAD_ARGUMENT;
    if (p->free_slots < accept + 1) return E_NO_SLOT;
    struct endpoint *e = &endpoints[cap->object];
    uint64_t now = arch_time();
    sched_account(now);
    p->serving = NOBODY; /* whose answer is put off no longer bounds what p does, nor pays for it */
    p->payer = p->index;
    if (p->bits) {
        notify_deliver(p);
        return E_OK;
    }
    struct process *caller = e->head ? next_caller(e, accept) : 0;
    if (caller) {
        deliver(p, caller);
        return E_OK;
    }
    if (deadline) {
        if (deadline <= now) return E_DEADLINE;
        sched_deadline_set(p, deadline);
    }
    p->received_at = now;
    p->call_word = accept << WORD_ACCEPT;
    p->receives = e;
    p->state = STATE_RECEIVING;
    current = 0;
    return E_OK;
}

/* --- reply --- */

/* Where a reply's DMA payload lies; 0 bytes: none. */
static status_t find_payload(struct process *p, uint32_t length, uint8_t **from, uint32_t *bytes) {
    *bytes = 0;
    if (p->frame.x[REG_A4] == 0) return E_OK;
    uint64_t offset = p->frame.x[REG_A5] & 0xffffffff, count = p->frame.x[REG_A5] >> 32;
    struct cap *cap;
    status_t status = cap_find(p, p->frame.x[REG_A4], OBJ_DMA, RIGHT_USE, &cap);
    if (status != E_OK) return status;
    const struct device *d = &devices[cap->object];
    if (count == 0 || count > IPC_DATA_BYTES - length || offset + count > d->dma_bytes) return E_BAD_ARGUMENT;
    *from = d->dma + offset;
    *bytes = (uint32_t)count;
    return E_OK;
}

static status_t answer(struct process *p, uint64_t word) {
    struct cap *cap;
    status_t status = cap_find(p, p->frame.x[REG_A0], OBJ_REPLY, 0, &cap);
    if (status != E_OK) return status;
    if (cap->object == NOBODY) {
        cap_clear(p, cap);
        return E_CALLER_GONE;
    }
    uint32_t length = word & WORD_LENGTH_MASK, count = word >> WORD_CAPS & WORD_COUNT_MAX;
    uint32_t grants = word >> WORD_GRANTS & WORD_COUNT_MAX;
    if (length > IPC_DATA_BYTES || count > IPC_MAX_CAPS || grants > IPC_MAX_CAPS || word >> 32) return E_BAD_ARGUMENT;
    struct process *caller = &processes[cap->object];
    if (count + grants > accepts(caller)) return E_NO_SLOT;
    struct cap granted[IPC_MAX_CAPS];
    uint8_t *payload = 0;
    uint32_t payload_bytes;
    status = find_payload(p, length, &payload, &payload_bytes);
    if (status == E_OK && count) status = check_moves(p, count);
    if (status == E_OK && grants) status = derive_grants(p, grants, granted);
    if (status != E_OK) return status;

    copy_message(caller->ipc, p->ipc, length);
    if (count) move_caps(caller, p, count);
    for (uint32_t i = 0; i < grants; i++) ipc_caps(caller)[count + i] = cap_put(caller, &granted[i]);
    for (uint32_t i = 0; i < payload_bytes; i++) {
        caller->ipc[length + i] = payload[i];
        payload[i] = 0; /* no copy stays with the driver */
    }
    caller->frame.x[REG_A1] = (length + payload_bytes) | (uint64_t)(count + grants) << WORD_CAPS;
    cap_clear(p, cap);
    if (p->serving == caller->index) p->serving = NOBODY;
    caller->server = NOBODY;
    sched_wake(caller, E_OK);
    return E_OK;
}

status_t ipc_reply(struct process *p) { return answer(p, p->frame.x[REG_A1]); }

status_t ipc_reply_recv(struct process *p) {
    uint64_t word = p->frame.x[REG_A1];
    status_t status = answer(p, word);
    if (status != E_OK) return status;
    return ipc_recv(p, p->frame.x[REG_A2], (uint32_t)(word >> WORD_ACCEPT & WORD_ACCEPT_MAX), p->frame.x[REG_A3]);
}

/* --- ends: deadline, death --- */

/* A call leaves the place where it waits: an endpoint's queue, or a server's reply slot, which then names NOBODY. */
static void withdraw(struct process *p) {
    if (p->queued_on) {
        dequeue(p);
    } else if (p->server != NOBODY) {
        struct process *server = &processes[p->server];
        server->caps[p->reply_slot].object = NOBODY;
        if (server->serving == p->index) server->serving = NOBODY;
        p->server = NOBODY;
    }
}

/* Ends whatever p waits for, with this status. */
void ipc_cancel(struct process *p, status_t why) {
    if (p->state == STATE_CALLING) withdraw(p);
    sched_wake(p, why);
}

/* Capabilities with this badge have died: calls made with them that nobody has received yet were never made. */
void ipc_revoke(uint16_t endpoint, uint64_t badge) {
    struct process *next;
    for (struct process *p = endpoints[endpoint].head; p; p = next) {
        next = p->next;
        if (p->call_badge == badge) ipc_cancel(p, E_BAD_HANDLE);
    }
}

/* p has stopped: whoever waits for an answer of it is told, and its own call is withdrawn. */
void ipc_peer_stopped(struct process *p) {
    if (p->state == STATE_CALLING) withdraw(p);
    for (uint32_t i = 0; i < image.endpoint_count; i++) {
        struct endpoint *e = &endpoints[i];
        while (e->owner == p->index && e->head) ipc_cancel(e->head, E_PEER_DIED);
    }
    for (uint32_t i = 0; i < LIMIT_CAP_SLOTS; i++) {
        struct cap *cap = &p->caps[i];
        if (cap->type == OBJ_REPLY && cap->object != NOBODY) ipc_cancel(&processes[cap->object], E_PEER_DIED);
    }
    p->serving = NOBODY;
    p->bits = 0;
}
