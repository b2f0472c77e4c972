/*
 * Apps: what a spawner can ask for, who an app is to others, and what is left of it. The kernel's list of processes says what was
 * spawned; the judge, called by the app, sees what the kernel states of it.
 */
#include "app.h"
#include "effects.h"
#include "help.h"
#include "holder.h"

enum { MASK = 0x5a, PUBLISHER = 0x1234567 };

/* --- names --- */

struct name {
    const char *text;
    uint32_t bytes; /* as stated; ~0u: as long as it is */
};
static const struct name names[] = {
    {"app:", ~0u}, {"proof", ~0u}, {"App:proof", ~0u}, {"app:Proof", ~0u}, {"app:a b", ~0u}, {"app:a/b", ~0u}, {"app:a_b", ~0u},
    {"app:abcdefghijklmnopqrstuvwxyz1234567", ~0u}, {"app:proof", 0}, {"app:proof", 10}, {"app:proof", LIMIT_SPAWN_NAME_BYTES + 1}, {"app:proof", 0x80000005u},
    {"", ~0u}, {"judge", ~0u},
};

static uint64_t spawn_named(uint32_t number, bool right) {
    uint64_t handle, region = app_region();
    struct spawn_request request = app_request(right ? "app:proof" : names[number].text);
    if (!right && names[number].bytes != ~0u) request.name_bytes = names[number].bytes;
    return nexus_spawn(CAP_SPAWN, region, &request, &handle);
}

/* A name that is taken, or one that only has the same id (FNV-1a-64 collides when somebody wants it): of an app, of a service. */
enum again { SAME_NAME, SAME_ID, SERVICE_ID };
static const struct { const char *first, *second; } agains[] = {
    [SAME_NAME] = {"app:proof", "app:proof"}, [SAME_ID] = {ONE_NAME, ONE_TWIN}, [SERVICE_ID] = {"app:proof", WARD_TWIN},
};

static uint64_t spawn_again(uint32_t which, bool right) {
    struct spawn_request request = app_request(agains[which].first);
    uint64_t handle, region = app_region();
    if (nexus_spawn(CAP_SPAWN, region, &request, &handle) != E_OK) return UNLIKE;
    request = app_request(right ? "app:other" : agains[which].second);
    return nexus_spawn(CAP_SPAWN, region, &request, &handle);
}

static int64_t one_more(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return seen.measured - 1;
}

/* --- sizes --- */

enum size { HEAP_0, HEAP_BIG, HEAP_WRAP, STACK_0, STACK_BIG, SHARE_0, SHARE_BIG, ROMFS_0, ROMFS_ODD, ROMFS_BEHIND, ROMFS_LONG, ROMFS_WRAP };

static uint64_t spawn_sized(uint32_t which, bool right) {
    struct spawn_request request = app_request("app:proof");
    uint64_t handle, region = app_region();
    if (!right) {
        switch ((enum size)which) {
        case HEAP_0: request.heap_pages = 0; break;
        case HEAP_BIG: request.heap_pages = LIMIT_APP_HEAP_PAGES + 1; break;
        case HEAP_WRAP: request.heap_pages = 0x80000001; break;
        case STACK_0: request.stack_pages = 0; break;
        case STACK_BIG: request.stack_pages = LIMIT_APP_STACK_PAGES + 1; break;
        case SHARE_0: request.share = 0; break;
        case SHARE_BIG: request.share = LIMIT_APP_SHARE + 1; break;
        case ROMFS_0: request.romfs_bytes = 0; break;
        case ROMFS_ODD: request.romfs_offset = 8; break;
        case ROMFS_BEHIND: request.romfs_offset = REGION_BYTES; break;
        case ROMFS_LONG: request.romfs_bytes = REGION_BYTES + 1; break;
        case ROMFS_WRAP: request.romfs_offset = 0xfffff000, request.romfs_bytes = 2 * PAGE; break;
        }
    }
    return nexus_spawn(CAP_SPAWN, region, &request, &handle);
}

/* --- an app that runs: it asks the judge, whose endpoint came with the holder's order, and does `help` --- */

static void give_judge(uint32_t arg, bool right) {
    (void)arg, (void)right;
    give_endpoint(RIGHT_CALL | RIGHT_GRANT, 1);
}

static uint64_t resume(uint64_t app) {
    uint64_t status;
    do status = nexus_supervise(app, SUP_RESUME, 0);
    while (status == E_AGAIN);
    return status;
}

static uint64_t spawn_running(uint64_t *app) {
    struct spawn_request request = app_request("app:proof");
    request.endpoint = (uint32_t)given[0];
    request.mask = MASK;
    request.publisher = PUBLISHER;
    uint64_t status = nexus_spawn(CAP_SPAWN, app_region(), &request, app);
    return status == E_OK ? resume(*app) : status;
}

static uint64_t wait_until_stopped(uint64_t app) {
    struct process_status status = {0};
    for (uint32_t i = 0; i < 50 && status.state != STATE_STOPPED; i++) {
        pause_for(MS);
        if (nexus_supervise(app, SUP_STATUS, &status) != E_OK) return UNLIKE;
    }
    return status.fault == FAULT_EXIT ? status.value : E_STATE;
}

static uint64_t run_app(uint32_t arg, bool right) {
    (void)arg, (void)right;
    uint64_t app;
    return spawn_running(&app) == E_OK ? wait_until_stopped(app) : UNLIKE;
}

/* What it writes about itself is not what the kernel states. */
static uint64_t help_claim(uint32_t arg, bool right) {
    (void)arg;
    if (!right) *(volatile uint64_t *)(VA_IPC + IPC_SENDER_MASK) = ~0ull;
    if (!right) *(volatile uint64_t *)(VA_IPC + IPC_SENDER_PUBLISHER) = 1;
    return probe(0);
}

static int64_t identity_stated(uint32_t arg, bool right) {
    (void)arg;
    bool true_one = seen.probes == 1 && seen.probe_flags & DELIVER_APP && seen.probe_mask == MASK && seen.probe_publisher == PUBLISHER;
    return right ? true_one : true_one ? 0 : -1;
}

/* Its code lies in a region, mapped to be read: neither written nor run as machine code. */
static uint64_t help_romfs(uint32_t jump, bool right) {
    if (right) return *(volatile uint8_t *)VA_ROMFS == 0 ? E_OK : E_STATE;
    if (jump) ((void (*)(void))(uintptr_t)VA_ROMFS)();
    *(volatile uint64_t *)VA_ROMFS = 1;
    return E_OK;
}

static void note_app_end(uint32_t arg, bool right) {
    (void)arg, (void)right;
    struct process_status app = first_app();
    seen.measured = app.fault == FAULT_EXIT ? 1 : app.fault == FAULT_MEMORY && app.value == VA_ROMFS ? 0 : -1;
}

/* --- the spawner dies, or gives the app back: nothing of it is left --- */

/* All that it has, filled with a pattern that the host looks for. */
static uint64_t help_fill(uint32_t arg, bool right) {
    (void)arg, (void)right;
    volatile uint64_t on_stack[16];
    for (uint32_t i = 0; i < COUNT(on_stack); i++) on_stack[i] = told.token;
    for (uint32_t i = 0; i < 2 * PAGE / 8; i++) ((volatile uint64_t *)VA_HEAP)[i] = told.token;
    (void)probe(on_stack[3]);
    pause_for(100 * MS);
    return E_OK;
}

/* Alive when the host looks, or killed and given back. */
static uint64_t run_and_free(uint32_t arg, bool right) {
    (void)arg;
    uint64_t app;
    if (spawn_running(&app) != E_OK) return UNLIKE;
    pause_for(8 * MS);
    if (right) return E_OK;
    if (nexus_supervise(app, SUP_KILL, 0) != E_OK) return UNLIKE;
    while (nexus_supervise(app, SUP_FREE, 0) == E_AGAIN) {}
    uint64_t status = nexus_supervise(app, SUP_STATUS, 0);
    memset((void *)VA_IPC, 0, IPC_DATA_BYTES); /* the token came in the order, and lies here too */
    told.token = 0;
    return status;
}

/* The holder ends while its apps run. */
static uint64_t die_as_spawner(uint32_t arg, bool right) {
    (void)arg;
    uint64_t app;
    if (spawn_running(&app) != E_OK) return UNLIKE;
    pause_for(5 * MS);
    if (!right) nexus_exit(E_STATE);
    return E_OK;
}

static int64_t apps_left(uint32_t arg, bool right) {
    (void)arg;
    if (right) return seen.measured;
    judge_pause(20 * MS);
    return live_apps();
}

/* The first life's app is an orphan when the second one wants its name: though somebody uses all idle time, it has to go. */
static uint64_t spawn_after_death(uint32_t arg, bool right) {
    (void)arg, (void)right;
    uint64_t status, handle, region = sealed_region(told.life ? CAP_REGION_1 : CAP_REGION_0);
    struct spawn_request request = app_request("app:proof");
    do status = nexus_spawn(CAP_SPAWN, region, &request, &handle);
    while (status == E_AGAIN);
    if (told.life == 0) (void)probe(0);
    return status;
}

static uint64_t help_use_idle_time(uint32_t arg, bool right) {
    (void)arg;
    if (!right) spin(50 * MS);
    return E_OK;
}

static void restart_on_probe(uint32_t arg, bool right) {
    (void)arg, (void)right;
    if (seen.probes != 1 || seen.lives) return;
    restart_attacker();
    if (!right) (void)restart(WHO_EQUAL);
}

static int64_t not_spawned(uint32_t arg, bool right) {
    (void)arg;
    return right ? seen.measured : seen.measured == 1 ? 0 : -1;
}

/* --- authority that is not to outlive what it was for --- */

/* Spawned with an endpoint whose badge is revoked before the app starts. */
static uint64_t resume_revoked(uint32_t arg, bool right) {
    (void)arg, (void)right;
    struct spawn_request request = app_request("app:proof");
    uint64_t app;
    request.endpoint = (uint32_t)given[0];
    if (nexus_spawn(CAP_SPAWN, app_region(), &request, &app) != E_OK || probe(0) != E_OK || resume(app) != E_OK) return UNLIKE;
    return wait_until_stopped(app);
}

static void revoke_on_probe(uint32_t arg, bool right) {
    (void)arg;
    if (seen.probes != 1 || seen.measured || right) return;
    seen.measured = 1;
    (void)judge_revoke(1);
}

static uint64_t help_probe(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return probe(1);
}

static int64_t app_probed(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return (int64_t)seen.probes - 1;
}

/* A bit for the last app of a slot is none for the next one. Both send the judge the means to set one, then wait for it. */
static uint64_t help_expect_bit(uint32_t arg, bool right) {
    (void)arg, (void)right;
    uint64_t copy, bits;
    if (nexus_cap_mint(CAP_NOTIFICATION, 1, RIGHT_CALL | RIGHT_GRANT, &copy) != E_OK) return UNLIKE;
    set_cap(0, copy);
    if (probe_with(judge_handle, 0, 1, 0) != E_OK) return UNLIKE;
    return nexus_wait(CAP_NOTIFICATION, deadline_in(15 * MS), &bits);
}

static uint64_t reuse_slot(uint32_t arg, bool right) {
    (void)arg, (void)right;
    uint64_t app;
    if (spawn_running(&app) != E_OK) return UNLIKE;
    pause_for(5 * MS);
    if (nexus_supervise(app, SUP_KILL, 0) != E_OK) return UNLIKE;
    while (nexus_supervise(app, SUP_FREE, 0) == E_AGAIN) {}
    return spawn_running(&app) == E_OK ? wait_until_stopped(app) : UNLIKE;
}

/* Once the second app waits: with what the first one gave, or (twin) with its own. */
static void notify_second(uint32_t arg, bool right) {
    (void)arg;
    if (seen.kept_count != 2 || seen.done || first_app().state != STATE_WAITING || seen.measured) return;
    seen.measured = judge_notify(seen.kept[right]) == E_OK ? 1 : -1;
}

static int64_t second_notified(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return seen.measured > 0 ? 1 : seen.measured < 0 ? 0 : -1;
}

#define NAME(title, number) {.name = "app.name_" title, .attack = spawn_named, .arg = number, .who = WHO_HOLDER, .at_done = measure_apps, .effect = was_measured}
#define SIZE(title, which) {.name = "app." title, .attack = spawn_sized, .arg = which, .who = WHO_HOLDER, .at_done = measure_apps, .effect = was_measured}
#define APP(function) .who = WHO_HOLDER, .arrange = give_judge, .helper = WHO_APP, .help = function
static const struct proof_case cases[] = {
    NAME("empty", 0), NAME("no_prefix", 1), NAME("capital_prefix", 2), NAME("capital", 3), NAME("space", 4), NAME("slash", 5),
    NAME("underscore", 6), NAME("too_long", 7), NAME("zero_bytes", 8), NAME("with_nul", 9), NAME("beyond_request", 10), NAME("huge", 11),
    NAME("nothing", 12), NAME("of_a_service", 13),
    {.name = "app.name_taken", .attack = spawn_again, .arg = SAME_NAME, .who = WHO_HOLDER, .at_done = measure_apps, .effect = one_more},
    {.name = "app.id_taken", .attack = spawn_again, .arg = SAME_ID, .who = WHO_HOLDER, .at_done = measure_apps, .effect = one_more},
    {.name = "app.id_of_a_service", .attack = spawn_again, .arg = SERVICE_ID, .who = WHO_HOLDER, .at_done = measure_apps, .effect = one_more},
    SIZE("heap_none", HEAP_0), SIZE("heap_big", HEAP_BIG), SIZE("heap_wraps", HEAP_WRAP), SIZE("stack_none", STACK_0), SIZE("stack_big", STACK_BIG),
    SIZE("share_none", SHARE_0), SIZE("share_big", SHARE_BIG), SIZE("romfs_none", ROMFS_0), SIZE("romfs_odd", ROMFS_ODD),
    SIZE("romfs_behind", ROMFS_BEHIND), SIZE("romfs_long", ROMFS_LONG), SIZE("romfs_wraps", ROMFS_WRAP),
    {.name = "app.claims_rights", .attack = run_app, APP(help_claim), .effect = identity_stated},
    {.name = "app.writes_romfs", .attack = run_app, .arg = 0, APP(help_romfs), .at_done = note_app_end, .effect = was_measured},
    {.name = "app.runs_romfs", .attack = run_app, .arg = 1, APP(help_romfs), .at_done = note_app_end, .effect = was_measured},
    {.name = "app.freed_memory", .attack = run_and_free, APP(help_fill), .look = "token"},
    {.name = "app.spawner_dies", .attack = die_as_spawner, APP(help_fill), .at_done = measure_apps, .effect = apps_left},
    {.name = "app.orphan_lingers", .attack = spawn_after_death, .who = WHO_HOLDER, .helper = WHO_EQUAL, .help = help_use_idle_time,
     .poll = restart_on_probe, .at_done = measure_apps, .effect = not_spawned},
    {.name = "app.notifies_next", .attack = reuse_slot, APP(help_expect_bit), .poll = notify_second, .effect = second_notified},
    {.name = "app.revoked_before_start", .attack = resume_revoked, APP(help_probe), .poll = revoke_on_probe, .effect = app_probed},
};
const struct proof_group app_group = {cases, COUNT(cases)};
