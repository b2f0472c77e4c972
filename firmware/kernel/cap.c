/*
 * Capability tables: find, put, clear, derive, revoke. Called by every system call that takes a handle. Rights only shrink,
 * a freed slot's generation moves on, and no function here allocates beyond the fixed table. Also compiled for the host.
 */
#include "kernel.h"

enum { GENERATION_MASK = 0xffffff, SLOT_BITS = 8 };
_Static_assert(LIMIT_CAP_SLOTS <= 1 << SLOT_BITS, "a handle holds the slot in 8 bits");

void cap_init(struct process *p) {
    for (uint32_t i = 0; i < LIMIT_CAP_SLOTS; i++) {
        p->caps[i].type = OBJ_NONE;
        p->caps[i].generation = 1;
        p->caps[i].next_free = i + 1;
    }
    p->free_slot = 0;
    p->free_slots = LIMIT_CAP_SLOTS;
}

status_t cap_find(struct process *p, uint64_t handle, uint8_t type, uint8_t right, struct cap **found) {
    uint64_t slot = handle & ((1 << SLOT_BITS) - 1);
    if (slot >= LIMIT_CAP_SLOTS) return E_BAD_HANDLE;
    struct cap *cap = &p->caps[slot];
    if (cap->generation != handle >> SLOT_BITS || cap->type == OBJ_NONE) return E_BAD_HANDLE;
    if (cap->type != type) return E_BAD_TYPE;
    if ((cap->rights & right) != right) return E_BAD_RIGHT;
    *found = cap;
    return E_OK;
}

uint32_t cap_handle(const struct process *p, const struct cap *cap) {
    return cap->generation << SLOT_BITS | (uint32_t)(cap - p->caps);
}

/* Into a free slot, which the caller has made sure of; gives the handle. */
uint32_t cap_put(struct process *p, const struct cap *value) {
    ASSERT(p->free_slots > 0);
    struct cap *cap = &p->caps[p->free_slot];
    p->free_slot = (uint8_t)cap->next_free;
    p->free_slots--;
    cap->type = value->type;
    cap->rights = value->rights;
    cap->object = value->object;
    cap->badge = value->badge;
    cap->seen = value->seen;
    if (cap->type == OBJ_REGION) region_ref(cap->object, 1);
    return cap_handle(p, cap);
}

void cap_clear(struct process *p, struct cap *cap) {
    if (cap->type == OBJ_REGION) region_ref(cap->object, -1);
    cap->type = OBJ_NONE;
    cap->generation = (cap->generation + 1) & GENERATION_MASK;
    if (cap->generation == 0) cap->generation = 1;
    cap->next_free = p->free_slot;
    p->free_slot = (uint8_t)(cap - p->caps);
    p->free_slots++;
}

void cap_drop_all(struct process *p) {
    for (uint32_t i = 0; i < LIMIT_CAP_SLOTS; i++)
        if (p->caps[i].type != OBJ_NONE) cap_clear(p, &p->caps[i]);
}

/*
 * A copy with fewer rights. A badge is given once: only a capability without one can make a badged one. RECV never leaves
 * the owner. Needs RECV (an endpoint's owner), USE (a notification's) or GRANT.
 */
status_t cap_derive(const struct cap *from, uint64_t badge, uint32_t rights, struct cap *made) {
    bool owner = from->type == OBJ_ENDPOINT ? from->rights & RIGHT_RECV
                                            : from->type == OBJ_NOTIFICATION && from->rights & RIGHT_USE;
    if (!owner && !(from->rights & RIGHT_GRANT)) return E_BAD_RIGHT;
    uint32_t allowed = owner ? RIGHT_CALL | RIGHT_GRANT : from->rights;
    if (rights == 0 || rights & ~allowed) return E_BAD_RIGHT;
    if (badge != from->badge && from->badge != 0) return E_BAD_RIGHT;
    *made = *from;
    made->rights = (uint8_t)rights;
    made->badge = badge;
    if (owner) made->seen = from->type == OBJ_ENDPOINT ? processes[endpoints[from->object].owner].incarnation : processes[from->object].life;
    return E_OK;
}

/* Every capability to the endpoint with this badge dies, wherever it went; the owner's own stays. */
uint32_t cap_revoke_badge(uint16_t endpoint, uint64_t badge) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < PROCESS_SLOTS; i++) {
        struct process *p = &processes[i];
        if (p->free_slots == LIMIT_CAP_SLOTS || p->state == STATE_EMPTY) continue;
        for (struct cap *cap = p->caps; cap < &p->caps[LIMIT_CAP_SLOTS]; cap++) {
            if (cap->type != OBJ_ENDPOINT || cap->object != endpoint) continue;
            if (cap->badge != badge || cap->rights & RIGHT_RECV) continue;
            cap_clear(p, cap);
            count++;
        }
    }
    return count;
}
