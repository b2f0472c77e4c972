/*
 * Capabilities in messages: moved whole or not at all, kept by the sender at every point of failure, never twice and never lost;
 * and what a reply grants is made only on delivery.
 */
#include "host.h"

enum { ROOM = 4 };

static struct cap tables[SYSTEM_PROCESSES][LIMIT_CAP_SLOTS];

static void remember(void) {
    for (uint32_t i = 0; i < SYSTEM_PROCESSES; i++) memcpy(tables[i], proc(i)->caps, sizeof tables[i]);
}

static void check_unchanged(uint32_t index) { CHECK(memcmp(tables[index], proc(index)->caps, sizeof tables[index]) == 0); }

/* Four that may go and one that may not, as the message of a process. */
static void load_gifts(struct process *p, uint32_t *gifts) {
    gifts[0] = give(p, OBJ_ENDPOINT, RIGHT_CALL | RIGHT_GRANT, SERVER_ENDPOINT, 0xa0);
    gifts[1] = give(p, OBJ_REGION, RIGHT_MAP_R | RIGHT_GRANT, GIFT_REGION, 0);
    gifts[2] = give(p, OBJ_NOTIFICATION, RIGHT_CALL | RIGHT_GRANT, CLIENT, 0xa2);
    gifts[3] = give(p, OBJ_ENDPOINT, RIGHT_CALL | RIGHT_GRANT, MIDDLE_ENDPOINT, 0xa3);
    memcpy(caps_of(p), gifts, 4 * sizeof *gifts);
}

static void check_arrived(struct process *from, struct process *to, const uint32_t *gifts, uint32_t count) {
    for (uint32_t i = 0; i < 4; i++) CHECK((cap_at(from, gifts[i]) == 0) == (i < count));
    for (uint32_t i = 0; i < count; i++) {
        struct cap *cap = cap_at(to, caps_of(to)[i]);
        CHECK(cap != 0 && cap->rights & RIGHT_GRANT);
        if (i != 1) CHECK_EQ(cap->badge, 0xa0 + i);
    }
}

static void move_by_call(bool server_first, uint32_t count) {
    boot();
    struct process *from = proc(CLIENT), *to = proc(MIDDLE);
    uint32_t gifts[4], all;
    load_gifts(from, gifts);
    all = used_slots();
    if (server_first) CHECK_EQ(receive(to, ROOM), BLOCKED);
    CHECK_EQ(call(from, H_MIDDLE, .caps = count), BLOCKED);
    if (!server_first) CHECK_EQ(receive(to, ROOM), E_OK);
    CHECK_EQ(got_caps(to), count);
    CHECK_EQ(used_slots(), all + 1); /* the reply */
    check_arrived(from, to, gifts, count);
}

CASE(a_call_moves_one_to_a_waiting_server) { move_by_call(true, 1); }
CASE(a_call_moves_four_to_a_waiting_server) { move_by_call(true, 4); }
CASE(a_call_moves_one_when_the_server_comes) { move_by_call(false, 1); }
CASE(a_call_moves_four_when_the_server_comes) { move_by_call(false, 4); }

CASE(a_reply_moves_what_the_caller_accepts) {
    for (uint32_t count = 0; count <= 4; count++) {
        if (count == 0) boot();
        struct process *from = proc(MIDDLE), *to = proc(CLIENT);
        uint32_t gifts[4], all;
        CHECK_EQ(call(to, H_MIDDLE, .accept = count), BLOCKED);
        CHECK_EQ(receive(from, 0), E_OK);
        load_gifts(from, gifts);
        all = used_slots();
        CHECK_EQ(reply(from, got_reply(from), .caps = count), E_OK);
        CHECK_EQ(got_caps(to), count);
        CHECK_EQ(used_slots(), all - 1);
        check_arrived(from, to, gifts, count);
    }
}

/* Each fault in each place of a move of four: nothing changes at the sender and nothing arrives. */
static void spoil(struct process *p, uint32_t place, uint32_t how) {
    static const uint32_t bad[] = {0, ~0u, HANDLE_BOOT + LIMIT_CAP_SLOTS, HANDLE_BOOT + 255, H_CONSOLE | 0x200};
    uint32_t *handles = caps_of(p);
    if (how < 5) handles[place] = bad[how];
    if (how == 5) handles[place] = H_MIDDLE;                       /* no GRANT */
    if (how == 6) handles[place] = handles[(place + 1) % 4];       /* the same twice */
    if (how == 7) handles[place] = give(p, OBJ_REGION, RIGHT_MAP_R | RIGHT_MAP_W | RIGHT_USE, GIFT_REGION, 0);
}

static uint32_t status_of(uint32_t how) { return how < 5 ? E_BAD_HANDLE : how == 6 ? E_BAD_ARGUMENT : E_BAD_RIGHT; }

CASE(a_call_that_can_not_move_one_moves_none) {
    boot();
    struct process *from = proc(CLIENT), *to = proc(MIDDLE);
    uint32_t gifts[4];
    load_gifts(from, gifts);
    CHECK_EQ(receive(to, ROOM), BLOCKED);
    for (uint32_t how = 0; how < 8; how++)
        for (uint32_t place = 0; place < 4; place++) {
            memcpy(caps_of(from), gifts, sizeof gifts);
            spoil(from, place, how);
            remember();
            CHECK_EQ(call(from, H_MIDDLE, .caps = 4), status_of(how));
            check_unchanged(CLIENT);
            check_unchanged(MIDDLE);
            CHECK_EQ(to->state, STATE_RECEIVING);
        }
}

CASE(a_reply_that_can_not_move_one_moves_none) {
    boot();
    struct process *from = proc(MIDDLE), *to = proc(CLIENT);
    uint32_t gifts[4];
    CHECK_EQ(call(to, H_MIDDLE, .accept = 4), BLOCKED);
    CHECK_EQ(receive(from, 0), E_OK);
    load_gifts(from, gifts);
    uint64_t handle = got_reply(from);
    for (uint32_t how = 0; how < 8; how++)
        for (uint32_t place = 0; place < 4; place++) {
            memcpy(caps_of(from), gifts, sizeof gifts);
            spoil(from, place, how);
            if (how == 5) caps_of(from)[place] = H_CONSOLE;
            remember();
            CHECK_EQ(reply(from, handle, .caps = 4), status_of(how));
            check_unchanged(CLIENT);
            check_unchanged(MIDDLE);
            CHECK_EQ(to->state, STATE_CALLING);
        }
    memcpy(caps_of(from), gifts, sizeof gifts);
    CHECK_EQ(reply(from, handle, .caps = 4), E_OK);
    check_arrived(from, to, gifts, 4);
}

CASE(a_reply_capability_moves_nowhere) {
    boot();
    struct process *p = proc(MIDDLE);
    CHECK_EQ(call(proc(CLIENT), H_MIDDLE), BLOCKED);
    CHECK_EQ(receive(p, 0), E_OK);
    uint64_t handle = got_reply(p);
    caps_of(p)[0] = (uint32_t)handle;
    CHECK_EQ(call(p, H_SERVER, .caps = 1), E_BAD_RIGHT);
    CHECK_EQ(sys(p, SYS_CAP_MINT, handle, 0, RIGHT_CALL), E_BAD_TYPE);
    CHECK_EQ(reply(p, handle), E_OK);
}

CASE(the_right_to_receive_never_leaves_its_owner) {
    boot();
    struct process *p = proc(MIDDLE);
    caps_of(p)[0] = H_OWN;
    CHECK_EQ(receive(proc(SERVER), 1), BLOCKED);
    CHECK_EQ(call(p, H_SERVER, .caps = 1), E_BAD_RIGHT);
    CHECK_EQ(call(proc(CLIENT), H_MIDDLE, .accept = 1), BLOCKED);
    CHECK_EQ(receive(p, 0), E_OK);
    CHECK_EQ(reply(p, got_reply(p), .caps = 1), E_BAD_RIGHT);
    CHECK(cap_at(p, H_OWN) != 0);
}

CASE(a_server_gets_no_more_than_it_accepts) {
    for (uint32_t accept = 0; accept < 4; accept++) {
        if (accept == 0) boot();
        struct process *from = proc(CLIENT), *to = proc(MIDDLE);
        uint32_t gifts[4];
        load_gifts(from, gifts);
        CHECK_EQ(receive(to, accept), BLOCKED);
        remember();
        CHECK_EQ(call(from, H_MIDDLE, .caps = accept + 1), E_NO_SLOT);
        check_unchanged(CLIENT);
        check_unchanged(MIDDLE);
        CHECK_EQ(call(from, H_MIDDLE, .caps = accept), BLOCKED);
        CHECK_EQ(reply(to, got_reply(to)), E_OK);
    }
}

CASE(a_waiting_call_with_too_many_is_sent_away_and_the_next_is_served) {
    boot();
    struct process *from = proc(CLIENT), *to = proc(MIDDLE);
    uint32_t gifts[4];
    load_gifts(from, gifts);
    CHECK_EQ(call(from, H_MIDDLE, .caps = 3), BLOCKED);
    CHECK_EQ(call(proc(TWIN), H_MIDDLE), BLOCKED);
    remember();
    CHECK_EQ(receive(to, 2), E_OK);
    CHECK_EQ(outcome(from), E_NO_SLOT);
    CHECK_EQ(got_sender(to), TWIN);
    check_unchanged(CLIENT);
}

CASE(a_caller_gets_no_more_than_it_accepts) {
    boot();
    struct process *from = proc(MIDDLE), *to = proc(CLIENT);
    uint32_t gifts[4];
    CHECK_EQ(call(to, H_MIDDLE, .accept = 2), BLOCKED);
    CHECK_EQ(receive(from, 0), E_OK);
    load_gifts(from, gifts);
    grants_of(from)[0] = grants_of(from)[1] = (struct grant){H_OWN, RIGHT_CALL, 1};
    uint64_t handle = got_reply(from);
    remember();
    CHECK_EQ(reply(from, handle, .caps = 3), E_NO_SLOT);
    CHECK_EQ(reply(from, handle, .caps = 2, .grants = 1), E_NO_SLOT);
    CHECK_EQ(reply(from, handle, .caps = 1, .grants = 2), E_NO_SLOT);
    check_unchanged(CLIENT);
    check_unchanged(MIDDLE);
    CHECK_EQ(reply(from, handle, .caps = 1, .grants = 1), E_OK);
    CHECK_EQ(got_caps(to), 2);
}

CASE(room_is_reserved_before_anything_is_sent) {
    boot();
    uint32_t filler = leave_free(proc(MIDDLE), 3);
    CHECK_EQ(receive(proc(MIDDLE), 3), E_NO_SLOT); /* one is for the reply */
    CHECK_EQ(receive(proc(MIDDLE), 2), BLOCKED);
    leave_free(proc(CLIENT), 2);
    CHECK_EQ(call(proc(CLIENT), H_MIDDLE, .accept = 3), E_NO_SLOT);
    CHECK_EQ(call(proc(CLIENT), H_MIDDLE, .accept = 2), BLOCKED);
    struct process *from = proc(MIDDLE);
    cap_clear(from, cap_at(from, filler));
    cap_clear(from, cap_at(from, filler + 1));
    caps_of(from)[0] = give(from, OBJ_REGION, RIGHT_MAP_R | RIGHT_GRANT, GIFT_REGION, 0);
    caps_of(from)[1] = give(from, OBJ_REGION, RIGHT_MAP_R | RIGHT_GRANT, GIFT_REGION, 0);
    CHECK_EQ(reply(from, got_reply(from), .caps = 2), E_OK);
    CHECK_EQ(proc(CLIENT)->free_slots, 0);
}

CASE(no_table_is_too_small_for_a_refusal) {
    boot();
    leave_free(proc(MIDDLE), 0);
    CHECK_EQ(receive(proc(MIDDLE), 0), E_NO_SLOT);
    CHECK_EQ(receive(proc(MIDDLE), IPC_MAX_CAPS + 1), E_BAD_ARGUMENT);
}

/* --- grants --- */

CASE(a_reply_grants_new_capabilities) {
    boot();
    struct process *from = proc(MIDDLE), *to = proc(CLIENT);
    CHECK_EQ(call(to, H_MIDDLE, .accept = 4), BLOCKED);
    CHECK_EQ(receive(from, 0), E_OK);
    grants_of(from)[0] = (struct grant){H_OWN, RIGHT_CALL, 0x1234};
    grants_of(from)[1] = (struct grant){H_REGION, RIGHT_MAP_R, 0};
    grants_of(from)[2] = (struct grant){H_GIFT, RIGHT_CALL, GIFT_BADGE + MIDDLE};
    grants_of(from)[3] = (struct grant){H_NOTE, RIGHT_CALL, 8};
    uint32_t mine = from->free_slots;
    CHECK_EQ(reply(from, got_reply(from), .grants = 4), E_OK);
    CHECK_EQ(from->free_slots, mine + 1);
    CHECK_EQ(got_caps(to), 4);
    static const struct cap expected[] = {
        {.type = OBJ_ENDPOINT, .rights = RIGHT_CALL, .object = MIDDLE_ENDPOINT, .badge = 0x1234},
        {.type = OBJ_REGION, .rights = RIGHT_MAP_R, .object = WORK_REGION},
        {.type = OBJ_ENDPOINT, .rights = RIGHT_CALL, .object = SERVER_ENDPOINT, .badge = GIFT_BADGE + MIDDLE},
        {.type = OBJ_NOTIFICATION, .rights = RIGHT_CALL, .object = MIDDLE, .badge = 8},
    };
    for (uint32_t i = 0; i < 4; i++) {
        const struct cap *got = cap_at(to, caps_of(to)[i]);
        CHECK(got && got->type == expected[i].type && got->rights == expected[i].rights);
        CHECK(got->object == expected[i].object && got->badge == expected[i].badge);
    }
    CHECK_EQ(call(to, caps_of(to)[0]), BLOCKED);
    CHECK_EQ(receive(from, 0), E_OK);
    CHECK_EQ(got_badge(from), 0x1234);
}

CASE(a_grant_that_fails_anywhere_grants_nothing) {
    static const struct { struct grant grant; uint32_t status; } faults[] = {
        {{0, RIGHT_CALL, 0}, E_BAD_HANDLE},
        {{HANDLE_BOOT + 200, RIGHT_CALL, 0}, E_BAD_HANDLE},
        {{HANDLE_BOOT + LIMIT_CAP_SLOTS, RIGHT_CALL, 0}, E_BAD_HANDLE},
        {{H_OWN | 0x200, RIGHT_CALL, 0}, E_BAD_HANDLE},
        {{H_OWN, RIGHT_RECV | RIGHT_CALL, 0}, E_BAD_RIGHT},
        {{H_OWN, 0, 0}, E_BAD_RIGHT},
        {{H_OWN, 0x100 | RIGHT_CALL, 0}, E_BAD_RIGHT},
        {{H_SERVER, RIGHT_CALL, 2 * BADGE_STEP + MIDDLE}, E_BAD_RIGHT},
        {{H_GIFT, RIGHT_CALL, 1}, E_BAD_RIGHT},
        {{H_SPAWN, RIGHT_USE, 0}, E_BAD_RIGHT},
        {{H_CONSOLE, RIGHT_USE, 0}, E_BAD_RIGHT},
        {{H_REGION, RIGHT_MAP_R | RIGHT_USE, 0}, E_BAD_RIGHT},
    };
    boot();
    struct process *from = proc(MIDDLE), *to = proc(CLIENT);
    CHECK_EQ(call(to, H_MIDDLE, .accept = 4), BLOCKED);
    CHECK_EQ(receive(from, 0), E_OK);
    uint32_t gifts[4];
    load_gifts(from, gifts);
    uint64_t handle = got_reply(from);
    remember();
    for (uint32_t n = 0; n < sizeof faults / sizeof *faults; n++)
        for (uint32_t place = 0; place < 3; place++) {
            for (uint32_t i = 0; i < 3; i++) grants_of(from)[i] = (struct grant){H_OWN, RIGHT_CALL, 5};
            grants_of(from)[place] = faults[n].grant;
            CHECK_EQ(reply(from, handle, .caps = 1, .grants = 3), faults[n].status);
            check_unchanged(CLIENT);
            check_unchanged(MIDDLE);
        }
    CHECK_EQ(reply(from, handle, .caps = 0, .grants = 5), E_BAD_ARGUMENT);
    CHECK_EQ(reply(from, handle, .caps = 5), E_BAD_ARGUMENT);
}

/* --- while a call waits --- */

CASE(a_capability_revoked_on_the_way_does_not_arrive) {
    boot();
    struct process *from = proc(CLIENT), *to = proc(MIDDLE);
    uint32_t gifts[4];
    load_gifts(from, gifts);
    CHECK_EQ(call(from, H_MIDDLE, .caps = 3), BLOCKED);
    CHECK_EQ(sys(proc(SERVER), SYS_CAP_REVOKE, H_SERVER_OWN, 0xa0), E_OK);
    CHECK_EQ(reg(proc(SERVER), 1), 1);
    remember();
    CHECK_EQ(receive(to, ROOM), BLOCKED);
    CHECK_EQ(outcome(from), E_BAD_HANDLE);
    check_unchanged(CLIENT);
    check_unchanged(MIDDLE);
}
