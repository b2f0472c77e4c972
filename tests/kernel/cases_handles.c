/*
 * Handles and tables: whatever number a process makes up, only a live capability of its own is found, of the type and with the
 * right that the operation needs; and the free list stays whole.
 */
#include "host.h"

CASE(every_boot_capability_is_found_under_its_handle) {
    boot();
    for (uint32_t i = 0; i < SYSTEM_PROCESSES; i++)
        for (uint32_t n = 0; n < proc(i)->row->cap_count; n++) {
            const struct image_cap *row = &proc(i)->row->caps[n];
            struct cap *cap;
            CHECK_EQ(cap_find(proc(i), HANDLE_BOOT + n, row->type, row->rights, &cap), E_OK);
            CHECK_EQ(cap->badge, row->badge);
            CHECK_EQ(cap->object, row->object);
            CHECK_EQ(cap_handle(proc(i), cap), HANDLE_BOOT + n);
        }
}

CASE(no_other_number_is_a_handle) {
    boot();
    struct process *p = proc(CLIENT);
    for (uint64_t generation = 0; generation < 4; generation++)
        for (uint64_t slot = 0; slot < 256; slot++) {
            uint64_t handle = generation << HANDLE_SLOT_BITS | slot;
            bool live = generation == 1 && slot < p->row->cap_count;
            CHECK_EQ(sys(p, SYS_CAP_INFO, handle), live ? E_OK : E_BAD_HANDLE);
        }
    for (uint32_t bit = 32; bit < 64; bit++) CHECK_EQ(sys(p, SYS_CAP_INFO, H_CONSOLE | 1ull << bit), E_BAD_HANDLE);
    CHECK_EQ(sys(p, SYS_CAP_INFO, ~0ull), E_BAD_HANDLE);
}

/* What each system call needs of its first handle. */
static const struct need { uint32_t number; uint8_t type, rights; } needs[] = {
    {SYS_CALL, OBJ_ENDPOINT, RIGHT_CALL}, {SYS_RECV, OBJ_ENDPOINT, RIGHT_RECV}, {SYS_REPLY, OBJ_REPLY, 0},
    {SYS_REPLY_RECV, OBJ_REPLY, 0}, {SYS_NOTIFY, OBJ_NOTIFICATION, RIGHT_CALL}, {SYS_WAIT, OBJ_NOTIFICATION, RIGHT_USE},
    {SYS_CONSOLE_WRITE, OBJ_CONSOLE, RIGHT_USE}, {SYS_CAP_REVOKE, OBJ_ENDPOINT, RIGHT_RECV},
    {SYS_DEVICE_WRITE, OBJ_DEVICE, RIGHT_USE}, {SYS_QUEUE_SETUP, OBJ_QUEUE, RIGHT_USE}, {SYS_QUEUE_POST, OBJ_QUEUE, RIGHT_USE},
    {SYS_QUEUE_TAKE, OBJ_QUEUE, RIGHT_USE}, {SYS_IRQ_ACK, OBJ_IRQ, RIGHT_USE}, {SYS_REGION_MAP, OBJ_REGION, RIGHT_MAP_R},
    {SYS_REGION_UNMAP, OBJ_REGION, 0}, {SYS_REGION_SEAL, OBJ_REGION, RIGHT_MAP_W}, {SYS_REGION_FREE, OBJ_REGION, RIGHT_MAP_W},
    {SYS_SPAWN, OBJ_SPAWN, RIGHT_USE}, {SYS_SUPERVISE, OBJ_SUPERVISE, RIGHT_USE}, {SYS_SYSTEM, OBJ_SYSTEM, RIGHT_USE},
};
enum { NEEDS = sizeof needs / sizeof *needs };

CASE(every_call_refuses_a_dead_handle) {
    boot();
    struct process *p = proc(CLIENT);
    for (uint32_t i = 0; i < NEEDS; i++) {
        CHECK_EQ(sys(p, needs[i].number, 0), E_BAD_HANDLE);
        CHECK_EQ(sys(p, needs[i].number, HANDLE_BOOT + LIMIT_CAP_SLOTS), E_BAD_HANDLE);
        uint32_t handle = give(p, needs[i].type, 0xff, i % 2, 0);
        if (needs[i].type == OBJ_REPLY) cap_at(p, handle)->object = NOBODY, cap_at(p, handle)->rights = 0;
        CHECK_EQ(sys(p, SYS_CAP_DROP, handle), E_OK);
        CHECK_EQ(sys(p, needs[i].number, handle), E_BAD_HANDLE);
    }
}

CASE(every_call_refuses_another_type) {
    boot();
    struct process *p = proc(CLIENT);
    for (uint32_t i = 0; i < NEEDS; i++)
        for (uint8_t type = OBJ_ENDPOINT; type <= OBJ_SYSTEM; type++) {
            if (type == needs[i].type || type == OBJ_REPLY) continue;
            uint32_t handle = give(p, type, 0xff, 0, 0);
            CHECK_EQ(sys(p, needs[i].number, handle), E_BAD_TYPE);
            CHECK_EQ(sys(p, SYS_CAP_DROP, handle), E_OK);
        }
}

CASE(every_call_refuses_a_missing_right) {
    boot();
    struct process *p = proc(CLIENT);
    for (uint32_t i = 0; i < NEEDS; i++) {
        if (needs[i].rights == 0) continue;
        uint32_t handle = give(p, needs[i].type, (uint8_t)~needs[i].rights, 0, 0);
        CHECK_EQ(sys(p, needs[i].number, handle), E_BAD_RIGHT);
    }
}

CASE(an_unknown_call_stops_its_caller) {
    boot();
    static const uint64_t numbers[] = {0, 14, 23, 31, 1000, ~0ull, 1ull << 32 | SYS_TIME};
    for (uint32_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        CHECK_EQ(sys(proc(CLIENT), numbers[i], H_CONSOLE), STOPPED);
        CHECK_EQ(proc(CLIENT)->fault, FAULT_SYSCALL);
        CHECK_EQ(proc(CLIENT)->fault_value, numbers[i]);
        restart(CLIENT);
    }
}

CASE(a_freed_slot_gets_a_new_handle) {
    boot();
    struct process *p = proc(CLIENT);
    uint32_t before = give(p, OBJ_CONSOLE, RIGHT_USE, CLIENT, 0);
    for (uint32_t i = 0; i < 1000; i++) {
        CHECK_EQ(sys(p, SYS_CAP_DROP, before), E_OK);
        CHECK_EQ(sys(p, SYS_CAP_DROP, before), E_BAD_HANDLE);
        uint32_t after = give(p, OBJ_CONSOLE, RIGHT_USE, CLIENT, 0);
        CHECK_EQ(after & 0xff, before & 0xff);
        CHECK(after != before);
        CHECK(cap_at(p, before) == 0);
        before = after;
    }
}

CASE(a_generation_wraps_past_zero) {
    boot();
    struct process *p = proc(CLIENT);
    uint32_t handle = give(p, OBJ_CONSOLE, RIGHT_USE, CLIENT, 0), slot = handle & 0xff;
    p->caps[slot].generation = 0xffffff;
    CHECK_EQ(sys(p, SYS_CAP_INFO, 0xffffff00u | slot), E_OK);
    CHECK_EQ(sys(p, SYS_CAP_DROP, 0xffffff00u | slot), E_OK);
    CHECK_EQ(p->caps[slot].generation, 1);
    CHECK_EQ(give(p, OBJ_CONSOLE, RIGHT_USE, CLIENT, 0), 1u << HANDLE_SLOT_BITS | slot);
    CHECK_EQ(sys(p, SYS_CAP_INFO, 1ull << 32 | slot), E_BAD_HANDLE); /* generation 2^24, as if it had not wrapped */
}

CASE(the_free_list_stays_whole) {
    boot();
    struct process *p = proc(CLIENT);
    uint32_t handles[LIMIT_CAP_SLOTS], count = 0, random = 12345;
    for (uint32_t i = 0; i < 20000; i++) {
        random = random * 1664525 + 1013904223;
        if (count && (random >> 30 == 0 || p->free_slots == 0)) {
            uint32_t which = (random >> 8) % count;
            cap_clear(p, cap_at(p, handles[which]));
            handles[which] = handles[--count];
        } else {
            handles[count++] = give(p, OBJ_CONSOLE, RIGHT_USE, CLIENT, i);
        }
        check_invariants();
        for (uint32_t k = 0; k < count; k++) CHECK(cap_at(p, handles[k]) != 0);
    }
}

CASE(a_full_table_takes_nothing) {
    boot();
    struct process *p = proc(MIDDLE);
    leave_free(p, 1);
    CHECK_EQ(sys(p, SYS_CAP_MINT, H_OWN, 5, RIGHT_CALL), E_OK);
    uint64_t last = reg(p, 1);
    struct cap before[LIMIT_CAP_SLOTS];
    memcpy(before, p->caps, sizeof before);
    CHECK_EQ(sys(p, SYS_CAP_MINT, H_OWN, 5, RIGHT_CALL), E_NO_SLOT);
    CHECK(memcmp(before, p->caps, sizeof before) == 0);
    CHECK_EQ(sys(p, SYS_CAP_DROP, last), E_OK);
    CHECK_EQ(sys(p, SYS_CAP_MINT, H_OWN, 5, RIGHT_CALL), E_OK);
}

CASE(putting_into_a_full_table_is_a_bug_of_the_kernel) {
    boot();
    struct cap cap = {.type = OBJ_CONSOLE, .rights = RIGHT_USE};
    leave_free(proc(CLIENT), 0);
    CHECK_ENDS(cap_put(proc(CLIENT), &cap));
    CHECK(strstr(host_last_words, "cap.c") != 0);
}

CASE(dropping_all_leaves_nothing_behind) {
    boot();
    struct process *p = proc(CLIENT);
    uint32_t refs = regions[GIFT_REGION].refs;
    leave_free(p, 3);
    cap_drop_all(p);
    CHECK_EQ(p->free_slots, LIMIT_CAP_SLOTS);
    CHECK_EQ(regions[GIFT_REGION].refs, refs - 1);
    for (uint32_t slot = 0; slot < LIMIT_CAP_SLOTS; slot++) CHECK(cap_at(p, HANDLE_BOOT + slot) == 0);
}

CASE(info_tells_type_rights_and_badge) {
    boot();
    CHECK_EQ(sys(proc(TWIN), SYS_CAP_INFO, H_GIFT), E_OK);
    CHECK_EQ(reg(proc(TWIN), 1), OBJ_ENDPOINT | (RIGHT_CALL | RIGHT_GRANT) << 8);
    CHECK_EQ(reg(proc(TWIN), 2), GIFT_BADGE + TWIN);
}
