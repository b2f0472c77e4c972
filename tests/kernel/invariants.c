/*
 * What must hold between any two kernel entries, whatever the processes do: checked by host.c after every system call and event,
 * and so in every case and every step of the exploration. Reads the kernel's structures and changes nothing.
 */
#include "host.h"

static void check_table(const struct process *p) {
    bool seen[LIMIT_CAP_SLOTS] = {false};
    uint32_t unused = 0, slot = p->free_slot;
    for (uint32_t i = 0; i < LIMIT_CAP_SLOTS; i++) {
        unused += p->caps[i].type == OBJ_NONE;
        CHECK(p->caps[i].generation >= 1 && p->caps[i].generation <= 0xffffff);
    }
    CHECK_EQ(p->free_slots, unused);
    for (uint32_t i = 0; i < unused; i++) {
        CHECK(slot < LIMIT_CAP_SLOTS && !seen[slot] && p->caps[slot].type == OBJ_NONE);
        seen[slot] = true;
        slot = p->caps[slot].next_free;
    }
}

/* A reply names a caller that waits for exactly this one, or nobody. */
static uint32_t check_replies(const struct process *p) {
    uint32_t live = 0;
    for (uint32_t i = 0; i < LIMIT_CAP_SLOTS; i++) {
        const struct cap *cap = &p->caps[i];
        if (cap->type != OBJ_REPLY) continue;
        CHECK_EQ(cap->rights, 0);
        if (cap->object == NOBODY) continue;
        const struct process *caller = &processes[cap->object];
        CHECK(caller->state == STATE_CALLING && caller->queued_on == 0);
        CHECK_EQ(caller->server, p->index);
        CHECK_EQ(caller->reply_slot, i);
        live++;
    }
    return live;
}

static uint32_t check_queue(const struct endpoint *e) {
    const struct process *before = 0;
    uint32_t count = 0;
    for (const struct process *p = e->head; p; before = p, p = p->next, count++) {
        CHECK(p->state == STATE_CALLING && p->queued_on == e && !p->queued);
        CHECK(p->prev == before);
        CHECK(before == 0 || before->rank >= p->rank);
        CHECK(count < PROCESS_SLOTS);
    }
    CHECK(e->tail == before);
    const struct process *owner = &processes[e->owner];
    CHECK(count == 0 || (owner->state >= STATE_READY && owner->state <= STATE_WAITING));
    CHECK(count == 0 || owner->state != STATE_RECEIVING || owner->receives != e);
    return count;
}

/* Each with a deadline is in the list once, and the list is sorted. */
static void check_deadlines(void) {
    uint32_t count = 0, listed = 0;
    const struct process *head = 0;
    for (uint32_t i = 0; i < PROCESS_SLOTS; i++) {
        const struct process *p = &processes[i];
        if (p->deadline == 0) {
            CHECK(p->deadline_next == 0 && p->deadline_prev == 0);
            continue;
        }
        count++;
        if (p->deadline_prev) continue;
        CHECK(head == 0);
        head = p;
    }
    for (const struct process *p = head; p; p = p->deadline_next, listed++) {
        CHECK(listed < count);
        if (p->deadline_next == 0) continue;
        CHECK(p->deadline_next->deadline_prev == p && p->deadline_next->deadline >= p->deadline);
    }
    CHECK_EQ(listed, count);
}

static void check_calling(const struct process *p) {
    CHECK(p->deadline != 0);
    if (p->queued_on) CHECK_EQ(p->server, NOBODY);
    else CHECK(p->server != NOBODY && processes[p->server].caps[p->reply_slot].type == OBJ_REPLY);
    CHECK(p->free_slots >= p->call_word >> WORD_ACCEPT);
}

static void check_state(const struct process *p) {
    bool blocked = p->state == STATE_RECEIVING || p->state == STATE_CALLING || p->state == STATE_WAITING;
    CHECK(!blocked || p != current);
    CHECK_EQ(p->queued, p->state == STATE_READY && p != current && !p->throttled && p->console_of == NOBODY);
    CHECK(p->console_of == NOBODY || (!p->serves && p != current && processes[p->console_of].serves));
    CHECK(blocked || p->deadline == 0);
    if (p->state == STATE_CALLING) check_calling(p);
    else CHECK(p->queued_on == 0 && p->server == NOBODY);
    if (p->state == STATE_RECEIVING) CHECK(p->free_slots > p->call_word >> WORD_ACCEPT && p->receives->owner == p->index);
    if (p->state == STATE_RECEIVING || p->state == STATE_WAITING) CHECK_EQ(p->bits, 0);
    if (p->serving != NOBODY) CHECK_EQ(processes[p->serving].server, p->index);
    if (p->state == STATE_STOPPED) CHECK_EQ(p->free_slots, LIMIT_CAP_SLOTS);
}

/* Each rank's queue holds those who are queued, once, in one chain. */
static void check_ready(void) {
    uint32_t queued = 0, walked = 0;
    for (uint32_t i = 0; i < PROCESS_SLOTS; i++) {
        const struct process *head = &processes[i];
        queued += head->queued;
        if (!head->queued || head->prev) continue;
        for (const struct process *p = head; p; p = p->next) {
            CHECK(p->queued && p->rank == head->rank && walked++ < PROCESS_SLOTS);
            CHECK(p->next == 0 || p->next->prev == p);
        }
    }
    CHECK_EQ(walked, queued);
}

static void check_regions(void) {
    for (uint16_t i = 0; i < image.region_count; i++) {
        uint32_t holders = count_caps(OBJ_REGION, i);
        for (uint32_t a = APP; a < PROCESS_SLOTS; a++) holders += processes[a].state != STATE_EMPTY && processes[a].region == i;
        CHECK_EQ(regions[i].refs, holders);
        CHECK(!(regions[i].sealed && regions[i].writers));
    }
}

void check_invariants(void) {
    uint32_t live = 0, waiting = 0, calling = 0;
    for (uint32_t i = 0; i < PROCESS_SLOTS; i++) {
        const struct process *p = &processes[i];
        if (p->state == STATE_EMPTY) continue;
        check_table(p);
        check_state(p);
        live += check_replies(p);
        calling += p->state == STATE_CALLING;
    }
    for (uint32_t i = 0; i < image.endpoint_count; i++) waiting += check_queue(&endpoints[i]);
    CHECK_EQ(live + waiting, calling);
    check_deadlines();
    check_ready();
    check_regions();
    CHECK(current == 0 || (current->state == STATE_READY && host_satp == current->satp));
}
