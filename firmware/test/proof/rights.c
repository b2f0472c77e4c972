/*
 * Handles that are right, with rights that are not: each case lacks one right that its twin holds. Also rights that somebody
 * tries to gain: wider copies, other badges, RECV away from the owner.
 */
#include "app.h"
#include "attacker.h"
#include "client.h"
#include "effects.h"
#include "help.h"
#include "holder.h"

enum { BADGE = 0x7700, OTHER_BADGE = 0x7701 };

static uint64_t map(uint64_t region, bool write, void **address) {
    size_t bytes;
    uint64_t status;
    do status = nexus_region_map(region, write, address, &bytes);
    while (status == E_AGAIN);
    return status;
}

/* --- endpoints and notifications --- */

static void give_call(uint32_t arg, bool right) {
    (void)arg;
    give_endpoint(right ? RIGHT_CALL | RIGHT_GRANT : RIGHT_GRANT, BADGE);
}

static uint64_t call_gift(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return probe_with(given[0], 0, 0, 0);
}

static uint64_t recv_on(uint32_t arg, bool right) {
    (void)arg;
    const struct nexus_answer answer = {.bytes = sizeof(uint64_t)};
    struct nexus_delivery d;
    uint64_t status = nexus_recv(right ? CAP_ENDPOINT : mint(BADGE, RIGHT_CALL | RIGHT_GRANT), 0, deadline_in(PATIENCE), &d);
    if (status != E_OK) return status;
    *(volatile uint64_t *)NEXUS_BUFFER = told.token;
    return nexus_reply(d.reply, &answer);
}

static uint64_t help_attacker(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return help_call(CAP_ATTACKER);
}

/* Rights asked for in a copy of the own endpoint. */
static uint64_t mint_rights(uint32_t rights, bool right) {
    uint64_t handle;
    return nexus_cap_mint(CAP_ENDPOINT, BADGE, right ? RIGHT_CALL : rights, &handle);
}

static void give_plain(uint32_t arg, bool right) {
    (void)arg;
    give_endpoint(right ? RIGHT_CALL | RIGHT_GRANT : RIGHT_CALL, BADGE);
}

static uint64_t mint_gift(uint32_t arg, bool right) {
    (void)arg, (void)right;
    uint64_t handle;
    return nexus_cap_mint(given[0], BADGE, RIGHT_CALL, &handle);
}

static void give_badged(uint32_t arg, bool right) {
    (void)arg;
    give_endpoint(RIGHT_CALL | RIGHT_GRANT, right ? OTHER_BADGE : BADGE);
}

/* A badge of another holder's, taken by copying one's own capability: the facet of a READY question, say. */
static uint64_t rebadge(uint32_t arg, bool right) {
    (void)arg, (void)right;
    uint64_t handle;
    return nexus_cap_mint(given[0], OTHER_BADGE, RIGHT_CALL, &handle);
}

static uint64_t revoke_with(uint32_t arg, bool right) {
    (void)arg;
    uint64_t count;
    set_cap(0, mint(BADGE, RIGHT_CALL | RIGHT_GRANT));
    if (probe_with(judge_handle, 0, 1, 0) != E_OK) return UNLIKE;
    return nexus_cap_revoke(right ? CAP_ENDPOINT : mint(OTHER_BADGE, RIGHT_CALL | RIGHT_GRANT), BADGE, &count);
}

static void measure_death(uint32_t arg, bool right) {
    (void)arg, (void)right;
    seen.measured = seen.kept_count == 1 && is_dead(seen.kept[0]);
}

/* The judge's notification, moved on without the right to set its bits. */
static void give_bit(uint32_t arg, bool right) {
    (void)arg, (void)right;
    give_notification(NOTICE_BIT);
}

/* A copy that can be passed on and nothing else; the twin's can be used too. */
static uint64_t notify_copy(uint32_t arg, bool right) {
    (void)arg;
    uint64_t copy;
    uint64_t status = nexus_cap_mint(given[0], NOTICE_BIT, right ? RIGHT_CALL | RIGHT_GRANT : RIGHT_GRANT, &copy);
    return status == E_OK ? nexus_notify(copy) : UNLIKE;
}

static uint64_t wait_on(uint32_t arg, bool right) {
    (void)arg;
    uint64_t copy, again, bits;
    if (nexus_cap_mint(CAP_NOTIFICATION, 1, RIGHT_CALL | RIGHT_GRANT, &copy) != E_OK) return UNLIKE;
    if (nexus_cap_mint(CAP_NOTIFICATION, 1, RIGHT_CALL, &again) != E_OK) return UNLIKE;
    set_cap(0, copy);
    if (probe_with(judge_handle, 0, 1, 0) != E_OK) return UNLIKE;
    return nexus_wait(right ? CAP_NOTIFICATION : again, deadline_in(PATIENCE), &bits);
}

/* --- moving on --- */

/* Each capability that the attacker has without GRANT, one after the other; the twin's has it. */
static uint64_t move_all(uint32_t arg, bool right) {
    (void)arg;
    uint64_t status = E_AGAIN, badge;
    uint32_t type, rights;
    if (right) {
        set_cap(0, mint(BADGE, RIGHT_CALL | RIGHT_GRANT));
        return probe_with(judge_handle, 0, 1, 0);
    }
    for (uint64_t handle = HANDLE_BOOT; handle < HANDLE_BOOT + LIMIT_CAP_SLOTS; handle++) {
        if (nexus_cap_info(handle, &type, &rights, &badge) != E_OK || rights & RIGHT_GRANT) continue;
        set_cap(0, handle);
        status = one_of(status, probe_with(judge_handle, 0, 1, 0));
    }
    return status;
}

/* The right to receive stays with the owner: whoever else had it would answer from another rank. */
static uint64_t move_recv(uint32_t arg, bool right) {
    (void)arg;
    set_cap(0, right ? mint(BADGE, RIGHT_CALL | RIGHT_GRANT) : CAP_ENDPOINT);
    return probe_with(judge_handle, 0, 1, 0);
}

static int64_t judge_got(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return seen.kept_count;
}

/* --- granting in a reply; the client says how many came --- */

enum { GRANT_FOREIGN, GRANT_RECV, GRANT_REBADGED, GRANT_REGION };

static void give_for_grants(uint32_t arg, bool right) {
    if (arg == GRANT_REBADGED) give_badged(arg, right);
    if (arg == GRANT_REGION) give_region(0, right ? RIGHT_MAP_R | RIGHT_MAP_W | RIGHT_GRANT : RIGHT_MAP_R | RIGHT_GRANT);
}

static uint64_t grant(uint32_t arg, bool right) {
    struct grant wanted[] = {
        [GRANT_FOREIGN] = {(uint32_t)(right ? CAP_ENDPOINT : CAP_VICTIM), RIGHT_CALL, right ? BADGE : 0},
        [GRANT_RECV] = {CAP_ENDPOINT, right ? RIGHT_CALL : RIGHT_CALL | RIGHT_RECV, BADGE},
        [GRANT_REBADGED] = {(uint32_t)given[0], RIGHT_CALL, OTHER_BADGE},
        [GRANT_REGION] = {(uint32_t)given[0], RIGHT_MAP_W, 0},
    };
    struct nexus_answer answer = {.bytes = sizeof(uint64_t), .grants = 1};
    struct nexus_delivery d;
    if (nexus_recv(CAP_ENDPOINT, 0, deadline_in(PATIENCE), &d) != E_OK) return UNLIKE;
    *NEXUS_GRANTS = wanted[arg];
    *(volatile uint64_t *)NEXUS_BUFFER = told.token;
    uint64_t status = nexus_reply(d.reply, &answer);
    answer.grants = 0;
    if (status != E_OK) (void)nexus_reply(d.reply, &answer);
    return status;
}

/* Succeeds if a capability came with the answer. */
static uint64_t help_accept(uint32_t arg, bool right) {
    (void)arg, (void)right;
    uint64_t word = 0, status;
    do {
        status = nexus_call(CAP_ATTACKER, nexus_word(0, 0, 1), deadline_in(PATIENCE), 0, &word);
        if (status == E_PEER_DIED) pause_for(MS);
    } while (status == E_PEER_DIED || status == E_RESTARTED);
    return status == E_OK && nexus_caps(word) == 1 ? E_OK : E_STATE;
}

/* --- regions --- */

static void give_half(uint32_t rights, bool right) { give_region(0, right ? RIGHT_MAP_R | RIGHT_MAP_W : rights); }

static uint64_t map_to_write(uint32_t arg, bool right) {
    (void)arg, (void)right;
    void *address;
    uint64_t status = map(given[0], true, &address);
    if (status == E_OK) *(volatile uint64_t *)address = told.token;
    return status;
}

static void measure_token(uint32_t arg, bool right) {
    (void)arg, (void)right;
    seen.measured = region_value(judge_region(0)) == seen.token;
}

static void hide_secret(uint32_t rights, bool right) {
    fill_region(judge_region(0), secret);
    give_half(rights, right);
}

static uint64_t map_to_read(uint32_t arg, bool right) {
    (void)arg, (void)right;
    void *address;
    uint64_t status = map(given[0], false, &address);
    if (status == E_OK) done_data = *(volatile uint64_t *)address;
    return status;
}

static uint64_t seal_gift(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return nexus_region_seal(given[0]);
}

static void measure_sealed(uint32_t arg, bool right) {
    (void)arg, (void)right;
    seen.measured = !can_write(judge_region(0));
}

/* A region of somebody else's, or the holder's own: empty afterwards? The holder's comes to the judge. */
static uint64_t free_region(uint32_t arg, bool right) {
    (void)arg;
    void *address;
    uint64_t status, region = right ? CAP_REGION_0 : given[0];
    if (map(region, true, &address) == E_OK) *(volatile uint64_t *)address = told.token;
    do status = nexus_region_free(region);
    while (status == E_AGAIN);
    (void)nexus_region_unmap(region);
    if (!right) return status;
    set_cap(0, region);
    return probe_with(judge_handle, 0, 1, 0) == E_OK ? status : UNLIKE;
}

static void measure_emptied(uint32_t arg, bool right) {
    (void)arg;
    seen.measured = region_value(right ? seen.kept[0] : judge_region(0)) == 0;
}

static uint64_t spawn_unread(uint32_t arg, bool right) {
    (void)arg, (void)right;
    if (state_app(given[0], "proof") == 0 || nexus_region_seal(given[0]) != E_OK) return UNLIKE;
    return spawn_simple(CAP_SPAWN, given[0]);
}

/* An app is to get an endpoint that its spawner may use but not pass on. */
static uint64_t spawn_passing(uint32_t arg, bool right) {
    (void)arg, (void)right;
    struct spawn_request request = app_request();
    uint64_t handle;
    request.endpoint = (uint32_t)given[0];
    return nexus_spawn(CAP_SPAWN, app_region(), &request, &handle);
}

static const struct proof_case cases[] = {
    {.name = "right.call", .attack = call_gift, .arrange = give_call, .effect = probes_made},
    {.name = "right.recv", .attack = recv_on, .helper = WHO_CLIENT, .help = help_attacker, .effect = helper_succeeded},
    {.name = "right.mint", .attack = mint_gift, .arrange = give_plain, .at_done = measure_slots, .effect = was_measured},
    {.name = "right.mint_call", .attack = mint_gift, .arrange = give_call, .at_done = measure_slots, .effect = was_measured},
    {.name = "right.mint_recv", .attack = mint_rights, .arg = RIGHT_CALL | RIGHT_RECV, .at_done = measure_slots, .effect = was_measured},
    {.name = "right.mint_map", .attack = mint_rights, .arg = RIGHT_CALL | RIGHT_MAP_R, .at_done = measure_slots, .effect = was_measured},
    {.name = "right.mint_none", .attack = mint_rights, .arg = 0, .at_done = measure_slots, .effect = was_measured},
    {.name = "right.mint_unknown", .attack = mint_rights, .arg = 0x100 | RIGHT_CALL, .at_done = measure_slots, .effect = was_measured},
    {.name = "right.rebadge", .attack = rebadge, .arrange = give_badged, .at_done = measure_slots, .effect = was_measured},
    {.name = "right.revoke", .attack = revoke_with, .at_done = measure_death, .effect = was_measured},
    {.name = "right.notify", .attack = notify_copy, .arrange = give_bit, .effect = bit_arrived},
    {.name = "right.wait", .attack = wait_on, .poll = wake_when_waiting, .effect = was_measured},
    {.name = "right.move", .attack = move_all, .effect = judge_got},
    {.name = "right.move_recv", .attack = move_recv, .effect = judge_got},
    {.name = "right.grant_foreign", .attack = grant, .arg = GRANT_FOREIGN, .helper = WHO_CLIENT, .help = help_accept, .effect = helper_succeeded},
    {.name = "right.grant_recv", .attack = grant, .arg = GRANT_RECV, .helper = WHO_CLIENT, .help = help_accept, .effect = helper_succeeded},
    {.name = "right.grant_rebadged", .attack = grant, .arg = GRANT_REBADGED, .arrange = give_for_grants, .helper = WHO_CLIENT, .help = help_accept,
     .effect = helper_succeeded},
    {.name = "right.grant_wider", .attack = grant, .arg = GRANT_REGION, .arrange = give_for_grants, .helper = WHO_CLIENT, .help = help_accept,
     .effect = helper_succeeded},
    {.name = "right.map_write", .attack = map_to_write, .arg = RIGHT_MAP_R, .arrange = give_half, .at_done = measure_token, .effect = was_measured},
    {.name = "right.map_read", .attack = map_to_read, .arg = RIGHT_MAP_W, .arrange = hide_secret, .effect = data_is_secret},
    {.name = "right.seal", .attack = seal_gift, .arg = RIGHT_MAP_R, .arrange = give_half, .at_done = measure_sealed, .effect = was_measured},
    {.name = "right.free_foreign", .attack = free_region, .arg = RIGHT_MAP_R | RIGHT_MAP_W, .twin_who = WHO_HOLDER, .arrange = give_half,
     .at_done = measure_emptied, .effect = was_measured},
    {.name = "right.spawn_region", .attack = spawn_unread, .arg = RIGHT_MAP_W, .who = WHO_HOLDER, .arrange = give_half, .at_done = measure_apps,
     .effect = was_measured},
    {.name = "right.spawn_endpoint", .attack = spawn_passing, .who = WHO_HOLDER, .arrange = give_plain, .at_done = measure_apps,
     .effect = was_measured},
};
const struct proof_group right_group = {cases, COUNT(cases)};
