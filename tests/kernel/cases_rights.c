/* Rights only shrink, badges are given once, RECV stays with the owner; revoking finds every copy and nothing else. */
#include "host.h"

/* The rule of KERNEL.md "Objects and capabilities", said a second time. */
static bool may_derive(const struct cap *from, uint64_t badge, uint32_t rights) {
    bool own_endpoint = from->type == OBJ_ENDPOINT && from->rights & RIGHT_RECV;
    bool own_notification = from->type == OBJ_NOTIFICATION && from->rights & RIGHT_USE;
    if (rights == 0 || (badge != from->badge && from->badge != 0)) return false;
    if (own_endpoint || own_notification) return (rights & (RIGHT_CALL | RIGHT_GRANT)) == rights;
    return from->rights & RIGHT_GRANT && (rights & from->rights) == rights;
}

CASE(deriving_follows_the_rule_for_every_combination) {
    boot();
    static const uint8_t types[] = {OBJ_ENDPOINT, OBJ_NOTIFICATION, OBJ_REGION, OBJ_CONSOLE, OBJ_REPLY, OBJ_SUPERVISE};
    uint32_t allowed = 0;
    for (uint32_t t = 0; t < sizeof types; t++)
        for (uint32_t rights = 0; rights < 64; rights++)
            for (uint32_t wanted = 0; wanted < 256; wanted++)
                for (uint32_t badges = 0; badges < 9; badges++) {
                    struct cap from = {.type = types[t], .rights = (uint8_t)rights, .badge = badges / 3}, made;
                    bool may = may_derive(&from, badges % 3, wanted);
                    CHECK_EQ(cap_derive(&from, badges % 3, wanted, &made), may ? E_OK : E_BAD_RIGHT);
                    if (!may) continue;
                    allowed++;
                    CHECK(made.type == from.type && made.object == from.object && made.rights == wanted && made.badge == badges % 3);
                    CHECK((made.rights & RIGHT_RECV) == 0 || !(types[t] == OBJ_ENDPOINT && rights & RIGHT_RECV));
                }
    CHECK(allowed > 1000);
}

CASE(only_endpoints_and_notifications_are_minted) {
    boot();
    struct process *p = proc(MIDDLE);
    CHECK_EQ(sys(p, SYS_CAP_MINT, H_REGION, 0, RIGHT_MAP_R), E_BAD_TYPE);
    CHECK_EQ(sys(p, SYS_CAP_MINT, H_CONSOLE, 0, RIGHT_USE), E_BAD_TYPE);
    CHECK_EQ(sys(p, SYS_CAP_MINT, H_SPAWN, 0, RIGHT_USE), E_BAD_TYPE);
    CHECK_EQ(sys(p, SYS_CAP_MINT, H_OWN, 7, RIGHT_CALL | 0x100), E_BAD_ARGUMENT);
    CHECK_EQ(sys(p, SYS_CAP_MINT, H_OWN, 7, RIGHT_RECV), E_BAD_RIGHT);
    CHECK_EQ(sys(p, SYS_CAP_MINT, H_SERVER, 7, RIGHT_CALL), E_BAD_RIGHT); /* no GRANT */
    CHECK_EQ(sys(p, SYS_CAP_MINT, H_GIFT, 7, RIGHT_CALL), E_BAD_RIGHT);   /* has a badge */
    CHECK_EQ(sys(p, SYS_CAP_MINT, H_GIFT, GIFT_BADGE + MIDDLE, RIGHT_CALL | RIGHT_RECV), E_BAD_RIGHT);
    CHECK_EQ(sys(p, SYS_CAP_MINT, H_GIFT, GIFT_BADGE + MIDDLE, RIGHT_CALL), E_OK);
    CHECK_EQ(sys(p, SYS_CAP_MINT, H_OWN, 7, RIGHT_CALL | RIGHT_GRANT), E_OK);
}

CASE(an_owner_does_not_revoke_its_own) {
    boot();
    struct process *p = proc(SERVER);
    CHECK_EQ(sys(p, SYS_CAP_REVOKE, H_SERVER_OWN, 0), E_OK);
    CHECK_EQ(reg(p, 1), 0);
    CHECK_EQ(sys(p, SYS_CAP_INFO, H_SERVER_OWN), E_OK);
}

CASE(revoking_kills_every_copy_of_one_badge_and_nothing_else) {
    boot();
    uint32_t handles[SYSTEM_PROCESSES], all = used_slots();
    struct process *p = proc(MIDDLE);
    for (uint32_t i = 0; i < SYSTEM_PROCESSES; i++) {
        handles[i] = give(proc(i), OBJ_ENDPOINT, RIGHT_CALL, MIDDLE_ENDPOINT, 0x99);
        give(proc(i), OBJ_ENDPOINT, RIGHT_CALL | RIGHT_GRANT, MIDDLE_ENDPOINT, 0x99);
        give(proc(i), OBJ_ENDPOINT, RIGHT_CALL, SERVER_ENDPOINT, 0x99);
        give(proc(i), OBJ_ENDPOINT, RIGHT_CALL, MIDDLE_ENDPOINT, 0x9a);
        give(proc(i), OBJ_NOTIFICATION, RIGHT_CALL, MIDDLE_ENDPOINT, 0x99);
    }
    CHECK_EQ(sys(p, SYS_CAP_REVOKE, H_OWN, 0x99), E_OK);
    CHECK_EQ(reg(p, 1), 2 * SYSTEM_PROCESSES);
    CHECK_EQ(used_slots(), all + 3 * SYSTEM_PROCESSES);
    for (uint32_t i = 0; i < SYSTEM_PROCESSES; i++) CHECK(cap_at(proc(i), handles[i]) == 0);
    CHECK_EQ(call(proc(CLIENT), handles[CLIENT]), E_BAD_HANDLE);
    CHECK_EQ(sys(p, SYS_CAP_REVOKE, H_OWN, 0x99), E_OK);
    CHECK_EQ(reg(p, 1), 0);
}

CASE(revoking_reaches_a_full_table_and_an_app_slot) {
    boot();
    leave_free(proc(TWIN), 1);
    uint32_t handle = give(proc(TWIN), OBJ_ENDPOINT, RIGHT_CALL, MIDDLE_ENDPOINT, 0x99);
    CHECK_EQ(sys(proc(MIDDLE), SYS_CAP_REVOKE, H_OWN, 0x99), E_OK);
    CHECK_EQ(reg(proc(MIDDLE), 1), 1);
    CHECK(cap_at(proc(TWIN), handle) == 0);
    CHECK_EQ(proc(TWIN)->free_slots, 1);
}

CASE(a_revoked_capability_leaves_no_way_to_call) {
    boot();
    struct process *server = proc(SERVER);
    CHECK_EQ(receive(server, 0), BLOCKED);
    CHECK_EQ(sys(proc(CLIENT), SYS_CAP_INFO, H_SERVER), E_OK);
    CHECK_EQ(call(proc(CLIENT), H_SERVER), BLOCKED);
    uint64_t handle = got_reply(server);
    CHECK_EQ(sys(server, SYS_CAP_REVOKE, H_SERVER_OWN, 2 * BADGE_STEP + CLIENT), E_OK);
    CHECK_EQ(reply(server, handle), E_OK); /* the call that was under way is answered */
    CHECK_EQ(outcome(proc(CLIENT)), E_OK);
    CHECK_EQ(call(proc(CLIENT), H_SERVER), E_BAD_HANDLE);
    CHECK_EQ(call(proc(TWIN), H_SERVER), BLOCKED);
}
