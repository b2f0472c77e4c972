/*
 * Memory regions: what was sealed stays as it is, what somebody still holds or runs from is not taken away, what is given back is
 * empty. The judge holds the region as well and looks, or tries to write.
 */
#include "app.h"
#include "attacker.h"
#include "client.h"
#include "effects.h"
#include "help.h"
#include "holder.h"

static uint64_t map(uint64_t region, bool write, void **address) {
    size_t bytes;
    uint64_t status;
    do status = nexus_region_map(region, write, address, &bytes);
    while (status == E_AGAIN);
    return status;
}

static uint64_t free_whole(uint64_t region) {
    uint64_t status;
    do status = nexus_region_free(region);
    while (status == E_AGAIN);
    return status;
}

static void give_all(uint32_t arg, bool right) {
    (void)arg, (void)right;
    give_region(0, RIGHT_MAP_R | RIGHT_MAP_W | RIGHT_GRANT);
}

static void measure_sealed(uint32_t arg, bool right) {
    (void)arg, (void)right;
    seen.measured = !can_write(judge_region(0));
}

/* --- sealing --- */

static void map_as_writer(uint32_t arg, bool right) {
    give_all(arg, right);
    void *address;
    size_t bytes;
    if (!right) (void)nexus_region_map(judge_region(0), true, &address, &bytes);
}

static uint64_t seal(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return nexus_region_seal(given[0]);
}

/* The judge's own mapping tells: it is still there, and what is written through it is seen. */
static void measure_foreign_writer(uint32_t arg, bool right) {
    if (right) {
        measure_sealed(arg, right);
        return;
    }
    *(volatile uint64_t *)VA_REGION = secret;
    (void)nexus_region_unmap(judge_region(0));
    seen.measured = region_value(judge_region(0)) != secret;
}

static uint64_t seal_twice(uint32_t arg, bool right) {
    (void)arg;
    uint64_t status = nexus_region_seal(given[0]);
    return right || status != E_OK ? status : nexus_region_seal(given[0]);
}

static int64_t sealed_by_right(uint32_t arg, bool right) {
    (void)arg;
    return right ? seen.measured : !seen.measured; /* sealed either way: the second seal changed nothing */
}

static void hide_secret(uint32_t arg, bool right) {
    fill_region(judge_region(0), secret);
    give_all(arg, right);
}

/* Once sealed it can be mapped to read, and never again to write. */
static uint64_t map_sealed(uint32_t arg, bool right) {
    (void)arg;
    void *address;
    if (nexus_region_seal(given[0]) != E_OK) return UNLIKE;
    uint64_t status = map(given[0], !right, &address);
    if (status == E_OK) done_data = *(volatile uint64_t *)address;
    if (status == E_OK && !right) *(volatile uint64_t *)address = told.token;
    return status;
}

/* --- mapping --- */

static uint64_t map_twice(uint32_t write, bool right) {
    void *address;
    uint64_t status = map(given[0], true, &address);
    return right || status != E_OK ? status : map(given[0], write, &address);
}

static int64_t nothing_more(uint32_t arg, bool right) {
    (void)arg;
    return right ? seen.done : 0;
}

static uint64_t map_badly(uint32_t how, bool right) {
    struct nexus_regs r;
    do r = nexus_ecall(SYS_REGION_MAP, given[0], right ? 1 : how == ~0u ? ~0ull : how, 0, 0, 0, 0);
    while (r.a0 == E_AGAIN);
    if (r.a0 == E_OK) *(volatile uint64_t *)r.a1 = told.token;
    return r.a0;
}

static void measure_token(uint32_t arg, bool right) {
    (void)arg, (void)right;
    seen.measured = region_value(judge_region(0)) == seen.token;
}

/* --- giving back: of the holder's own region, sealed before; the judge then gets it and sees whether it can be written --- */

static uint64_t end_with(uint64_t region, uint64_t status) {
    set_cap(0, region);
    return probe_with(judge_handle, 0, 1, 0) == E_OK ? status : UNLIKE;
}

static void measure_handed(uint32_t arg, bool right) {
    (void)arg, (void)right;
    seen.measured = seen.kept_count == 1 && can_write(seen.kept[0]);
}

static uint64_t free_running(uint32_t arg, bool right) {
    (void)arg;
    uint64_t region = app_region();
    if (!right && spawn_simple(CAP_SPAWN, region) != E_OK) return UNLIKE;
    return end_with(region, free_whole(region));
}

/* A copy goes to the client, which keeps it, or keeps only the mapping, or (twin) neither. */
static uint64_t free_shared(uint32_t arg, bool right) {
    (void)arg, (void)right;
    const struct nexus_answer answer = {.bytes = sizeof(uint64_t), .grants = 1};
    struct nexus_delivery d;
    uint64_t region = app_region();
    if (nexus_recv(CAP_ENDPOINT, 0, deadline_in(PATIENCE), &d) != E_OK) return UNLIKE;
    *NEXUS_GRANTS = (struct grant){(uint32_t)region, RIGHT_MAP_R, 0};
    if (nexus_reply(d.reply, &answer) != E_OK) return UNLIKE;
    pause_for(4 * MS);
    return end_with(region, free_whole(region));
}

/* Given to read: the app in it may be run, all else is its owner's to do. */
static void give_sealed(uint32_t arg, bool right) {
    (void)arg, (void)right;
    if (state_app(judge_region(0), "proof")) (void)nexus_region_seal(judge_region(0));
    give_region(0, RIGHT_MAP_R);
}

static uint64_t free_given(uint32_t arg, bool right) {
    (void)arg;
    return free_whole(right ? CAP_REGION_0 : given[0]);
}

static int64_t still_stated(uint32_t arg, bool right) {
    (void)arg;
    return right ? (int64_t)seen.done : seen.measured ? 0 : -1;
}

static void measure_magic(uint32_t arg, bool right) {
    (void)arg, (void)right;
    uint64_t magic;
    memcpy(&magic, BUNDLE_MAGIC, sizeof magic);
    seen.measured = region_value(judge_region(0)) == magic && !can_write(judge_region(0));
}

/* Its own app is over, but not yet given back; in the twin it is. */
static uint64_t end_app(uint64_t region, bool give_back) {
    struct spawn_request request = app_request();
    uint64_t app;
    if (nexus_spawn(CAP_SPAWN, region, &request, &app) != E_OK || nexus_supervise(app, SUP_KILL, 0) != E_OK) return UNLIKE;
    while (give_back && nexus_supervise(app, SUP_FREE, 0) == E_AGAIN) {}
    return E_OK;
}

static uint64_t free_after_app(uint32_t arg, bool right) {
    (void)arg;
    uint64_t region = app_region();
    return end_app(region, right) == E_OK ? end_with(region, free_whole(region)) : UNLIKE;
}

/* Of a region that was only given to read, and is dropped again: the judge, whose it is, then gives it back. */
static uint64_t run_given(uint32_t arg, bool right) {
    (void)arg;
    return end_app(given[0], right) == E_OK ? nexus_cap_drop(given[0]) : UNLIKE;
}

static void measure_owner_frees(uint32_t arg, bool right) {
    (void)arg, (void)right;
    uint64_t status = judge_frees(0);
    seen.measured = status == E_OK ? 1 : status == E_STATE ? 0 : -1;
}

enum { KEEPS, KEEPS_MAPPING, KEEPS_UNTIL_ITS_END };

static uint64_t help_share(uint32_t what, bool right) {
    void *address;
    uint64_t word = 0, status;
    do {
        status = nexus_call(CAP_HOLDER, nexus_word(0, 0, 1), deadline_in(PATIENCE), 0, &word);
        if (status == E_PEER_DIED) pause_for(MS);
    } while (status == E_PEER_DIED || status == E_RESTARTED);
    if (status != E_OK || nexus_caps(word) != 1) return UNLIKE;
    uint64_t copy = cap_at(0);
    if (what == KEEPS_UNTIL_ITS_END) {
        if (map(copy, false, &address) != E_OK) return UNLIKE;
        if (!right) pause_for(15 * MS);
        return E_OK;
    }
    if (what == KEEPS_MAPPING && !right && map(copy, false, &address) != E_OK) return UNLIKE;
    if (what == KEEPS_MAPPING || right) (void)nexus_cap_drop(copy);
    pause_for(15 * MS);
    return E_OK;
}

/* --- running from it --- */

static uint64_t spawn_unsealed(uint32_t arg, bool right) {
    (void)arg;
    uint64_t region = app_region();
    if (!right && (free_whole(region) != E_OK || state_app(region, "proof") == 0)) return UNLIKE;
    return spawn_simple(CAP_SPAWN, region);
}

/* Half of it is zeroes already: no longer what was sealed, and not yet empty. */
static uint64_t spawn_half_wiped(uint32_t arg, bool right) {
    (void)arg;
    uint64_t region = app_region();
    if (!right && nexus_region_free(region) != E_AGAIN) return UNLIKE;
    return spawn_simple(CAP_SPAWN, region);
}

static const struct proof_case cases[] = {
    {.name = "region.seal_foreign_writer", .attack = seal, .arrange = map_as_writer, .at_done = measure_foreign_writer, .effect = was_measured},
    {.name = "region.seal_twice", .attack = seal_twice, .arrange = give_all, .at_done = measure_sealed, .effect = sealed_by_right},
    {.name = "region.map_sealed", .attack = map_sealed, .arrange = hide_secret, .effect = data_is_secret},
    {.name = "region.map_twice_write", .attack = map_twice, .arg = 1, .arrange = give_all, .effect = nothing_more},
    {.name = "region.map_twice_read", .attack = map_twice, .arg = 0, .arrange = give_all, .effect = nothing_more},
    {.name = "region.map_how_2", .attack = map_badly, .arg = 2, .arrange = give_all, .at_done = measure_token, .effect = was_measured},
    {.name = "region.map_how_all", .attack = map_badly, .arg = ~0u, .arrange = give_all, .at_done = measure_token, .effect = was_measured},
    {.name = "region.free_running", .attack = free_running, .who = WHO_HOLDER, .at_done = measure_handed, .effect = was_measured},
    {.name = "region.free_held", .attack = free_shared, .arg = KEEPS, .who = WHO_HOLDER, .helper = WHO_CLIENT, .help = help_share,
     .at_done = measure_handed, .effect = was_measured},
    {.name = "region.free_mapped", .attack = free_shared, .arg = KEEPS_MAPPING, .who = WHO_HOLDER, .helper = WHO_CLIENT, .help = help_share,
     .at_done = measure_handed, .effect = was_measured},
    {.name = "region.free_holder_lives", .attack = free_shared, .arg = KEEPS_UNTIL_ITS_END, .who = WHO_HOLDER, .helper = WHO_CLIENT,
     .help = help_share, .at_done = measure_handed, .effect = was_measured},
    {.name = "region.free_by_holder", .attack = free_given, .who = WHO_HOLDER, .arrange = give_sealed, .at_done = measure_magic,
     .effect = still_stated},
    {.name = "region.free_after_app", .attack = free_after_app, .who = WHO_HOLDER, .at_done = measure_handed, .effect = was_measured},
    {.name = "region.owner_frees", .attack = run_given, .who = WHO_HOLDER, .arrange = give_sealed, .at_done = measure_owner_frees,
     .effect = was_measured},
    {.name = "region.spawn_unsealed", .attack = spawn_unsealed, .who = WHO_HOLDER, .at_done = measure_apps, .effect = was_measured},
    {.name = "region.spawn_half_wiped", .attack = spawn_half_wiped, .who = WHO_HOLDER, .at_done = measure_apps, .effect = was_measured},
};
const struct proof_group region_group = {cases, COUNT(cases)};
