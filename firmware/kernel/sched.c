/*
 * Who runs: fixed priority by rank, round robin among equals, CPU shares, deadlines, idle. Called by ipc.c, process.c and
 * trap.c. The running process is in no queue; current == 0 means that sched_run has to choose.
 */
#include "kernel.h"

struct process *current;

static struct process *ready_head[LIMIT_PROCESSES], *ready_tail[LIMIT_PROCESSES]; /* by rank */
static uint64_t ready_ranks;              /* bit per rank with someone ready */
_Static_assert(LIMIT_PROCESSES <= 32, "high_bit looks at 32 ranks");
static struct process *deadline_head;     /* earliest first */
static uint64_t last;                     /* when CPU time was last charged */
static uint64_t timer_at;                 /* what mtimecmp holds */
static uint64_t period_end;               /* of the CPU shares */
static uint64_t idle_ticks, idle_instructions;

static void timer_set(uint64_t at) {
    timer_at = at;
    *(volatile uint64_t *)CLINT_MTIMECMP = at;
}

void sched_init(void) {
    last = arch_time();
    period_end = last + LIMIT_SHARE_PERIOD_TICKS;
    timer_set(last + LIMIT_SLICE_TICKS);
}

/* --- ready queues --- */

static void put_tail(struct process *p) {
    p->next = 0;
    p->prev = ready_tail[p->rank];
    if (p->prev) p->prev->next = p; else ready_head[p->rank] = p;
    ready_tail[p->rank] = p;
    ready_ranks |= 1ull << p->rank;
    p->queued = true;
}

static void put_head(struct process *p) {
    p->prev = 0;
    p->next = ready_head[p->rank];
    if (p->next) p->next->prev = p; else ready_tail[p->rank] = p;
    ready_head[p->rank] = p;
    ready_ranks |= 1ull << p->rank;
    p->queued = true;
}

static void take(struct process *p) {
    if (p->prev) p->prev->next = p->next; else ready_head[p->rank] = p->next;
    if (p->next) p->next->prev = p->prev; else ready_tail[p->rank] = p->prev;
    if (ready_head[p->rank] == 0) ready_ranks &= ~(1ull << p->rank);
    p->next = p->prev = 0;
    p->queued = false;
}

/* A process with a share that has used it up waits for the next period, whoever wakes it. */
static bool over_share(struct process *p) {
    if (p->row->share == 0) return false;
    p->throttled = p->share_used * 1000 >= (uint64_t)p->row->share * LIMIT_SHARE_PERIOD_TICKS;
    return p->throttled;
}

static bool stalled(const struct process *p) { return p->console_of != NOBODY; }

void sched_ready(struct process *p) {
    p->state = STATE_READY;
    if (!over_share(p) && !stalled(p)) put_tail(p);
}

/*
 * What this server writes for p comes faster than the host reads it, so p does not run for a while: lines wait for the host that way, and
 * nobody else does. Never for long, and never one that others wait for: a host that has stopped reading must not stop the system.
 */
void sched_stall(struct process *p, uint16_t writer) {
    if (p == current || p->serves) return;
    if (p->queued) take(p);
    p->console_of = writer;
    p->stalled_until = arch_time() + LIMIT_CONSOLE_STALL;
}

static void go_on(struct process *p) {
    p->console_of = NOBODY;
    if (p->state == STATE_READY && !over_share(p)) put_tail(p);
}

/* The host has read most of what this server had written. */
void sched_caught_up(uint16_t writer) {
    for (uint32_t i = 0; i < PROCESS_SLOTS; i++)
        if (processes[i].state != STATE_EMPTY && processes[i].console_of == writer) go_on(&processes[i]);
}

/* Out of everything that could run it or wake it; the caller sets the new state. */
void sched_remove(struct process *p) {
    if (p->queued) take(p);
    sched_deadline_clear(p);
    p->throttled = false;
    p->console_of = NOBODY;
    if (p == current) {
        sched_account(arch_time());
        current = 0;
    }
}

/* A blocked process goes on with this result. */
void sched_wake(struct process *p, status_t result) {
    if (p->state == STATE_RECEIVING) { /* as much of its budget comes back as others could have used of the processor */
        uint64_t slept = arch_time() - p->received_at;
        p->since_recv = slept < p->since_recv ? p->since_recv - slept : 0;
    }
    p->frame.x[REG_A0] = result;
    sched_deadline_clear(p);
    sched_ready(p);
}

/* --- CPU time --- */

/* Charges the time since the last call to who ran, and to the share of whom it ran for. */
void sched_account(uint64_t now) {
    uint64_t spent = now - last;
    last = now;
    if (current == 0) {
        idle_ticks += spent;
        return;
    }
    current->cpu_ticks += spent;
    current->since_recv += spent;
    processes[current->payer].share_used += spent;
}

/* Straight to a server that was just given a call: it ranks above the caller, so above all that are ready. */
void sched_switch_to(struct process *p) {
    p->state = STATE_READY;
    p->throttled = false; /* its caller pays */
    current = p;
    map_switch(p->satp);
}

uint64_t sched_idle_ticks(void) { return idle_ticks; }
uint64_t sched_idle_instructions(void) { return idle_instructions; }

/* --- deadlines --- */

void sched_deadline_set(struct process *p, uint64_t deadline) {
    struct process *before = 0, *after = deadline_head;
    while (after && after->deadline <= deadline) {
        before = after;
        after = after->deadline_next;
    }
    p->deadline = deadline;
    p->deadline_prev = before;
    p->deadline_next = after;
    if (before) before->deadline_next = p; else deadline_head = p;
    if (after) after->deadline_prev = p;
    if (deadline < timer_at) timer_set(deadline);
}

void sched_deadline_clear(struct process *p) {
    if (p->deadline == 0) return;
    if (p->deadline_prev) p->deadline_prev->deadline_next = p->deadline_next; else deadline_head = p->deadline_next;
    if (p->deadline_next) p->deadline_next->deadline_prev = p->deadline_prev;
    p->deadline_next = p->deadline_prev = 0;
    p->deadline = 0;
}

/* --- the timer --- */

/* More CPU time since its last recv than its row allows. One that has received again in the meantime is no longer in question. */
static bool beyond_budget(const struct process *p) {
    if (p->state != STATE_READY && p->state != STATE_CALLING && p->state != STATE_WAITING) return false;
    return p->row->request_budget && p->since_recv > p->row->request_budget;
}

/* An app waits for what servers have done for it beyond its share, also longer than a period. Others may have had that as spare time. */
static void settle_share(struct process *p) {
    uint64_t due = p->state != STATE_EMPTY && p->kind == KIND_APP ? (uint64_t)p->row->share * LIMIT_SHARE_PERIOD_TICKS / 1000 : UINT64_MAX;
    p->share_used = p->share_used > due ? p->share_used - due : 0;
}

/* Budgets are looked at here too, for a server that sleeps whenever its slice ends and so is never the one that a tick finds. */
static void new_period(uint64_t now) {
    period_end = now + LIMIT_SHARE_PERIOD_TICKS;
    for (uint32_t i = 0; i < PROCESS_SLOTS; i++) {
        struct process *p = &processes[i];
        if (beyond_budget(p)) process_stop(p, FAULT_HUNG, p->since_recv);
        settle_share(p);
        if (stalled(p) && now >= p->stalled_until) {
            go_on(p);
        } else if (p->throttled && !over_share(p)) {
            if (p->state == STATE_READY && p != current && !stalled(p)) put_tail(p);
        }
    }
}

/* The running process after its slice: hung, out of its share, or behind an equal. */
static void end_slice(struct process *p) {
    if (beyond_budget(p)) {
        process_stop(p, FAULT_HUNG, p->since_recv);
        return;
    }
    if (over_share(p)) {
        current = 0;
    } else if (ready_ranks >> p->rank & 1) {
        put_tail(p);
        current = 0;
    }
}

/* The next moment at which the kernel has something to do by itself. */
static uint64_t next_event(uint64_t now) {
    uint64_t at = current || ready_ranks ? now + LIMIT_SLICE_TICKS : period_end;
    return deadline_head && deadline_head->deadline < at ? deadline_head->deadline : at;
}

void sched_timer(void) {
    uint64_t now = arch_time();
    sched_account(now);
    if (now >= period_end) new_period(now);
    while (deadline_head && deadline_head->deadline <= now) ipc_cancel(deadline_head, E_DEADLINE);
    if (current) end_slice(current);
    timer_set(next_event(now));
}

/* --- choosing --- */

/* With nobody ready the kernel stays inside one entry; what is pending is looked at as if each turn were one of its own. */
static void look_around(uint64_t slept) {
    trap_slept(slept);
    irq_handle();
    sched_timer();
}

/* Until an interrupt comes. Idle time is charged to nobody; under icount it counts as instructions. */
static void idle(void) {
    uint64_t before = arch_instructions();
    timer_set(next_event(arch_time()));
    arch_wait();
    uint64_t slept = arch_instructions() - before;
    idle_instructions += slept;
    look_around(slept);
}

/* Of the recipe's processes the next that has used up its share, for time that nobody else wants. An app's share is a cap. */
static struct process *spare(void) {
    static uint32_t last_one;
    for (uint32_t i = 1; i <= image.process_count; i++) {
        struct process *p = &processes[(last_one + i) % image.process_count];
        if (!p->throttled || p->state != STATE_READY || stalled(p)) continue;
        last_one = p->index;
        return p;
    }
    return 0;
}

/* It stays, unless somebody is ready above it, or at all if it has used up its share. */
static bool stays(const struct process *p) { return p->throttled ? ready_ranks == 0 : (ready_ranks >> p->rank) <= 1; }

/* Makes the highest-ranked ready process the current one. */
void sched_run(void) {
    if (current) {
        if (stays(current)) return;
        sched_account(arch_time());
        if (!current->throttled) put_head(current);
        current = 0;
    }
    struct process *p = 0;
    while (ready_ranks == 0) {
        if (spawn_reap_step()) look_around(0); /* one step each: whoever is woken meanwhile does not wait for the rest */
        else if ((p = spare()) != 0) break;
        else idle();
    }
    if (p == 0) {
        p = ready_head[high_bit((uint32_t)ready_ranks)];
        take(p);
    }
    uint64_t now = arch_time();
    sched_account(now);
    if (timer_at > now + LIMIT_SLICE_TICKS) timer_set(now + LIMIT_SLICE_TICKS); /* it was set for a sleep that does not come */
    current = p;
    map_switch(p->satp);
}
