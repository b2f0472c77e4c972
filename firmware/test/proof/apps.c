/*
 * Apps: what a spawner can ask for, who an app is to others, and what is left of it. The kernel's list of processes says what was
 * spawned; the judge, called by the app, sees what the kernel states of it.
 */
#include "app.h"
#include "effects.h"
#include "help.h"
#include "holder.h"

/* --- one identity, one app --- */

/* A name that is taken, or one that only has the same id (FNV-1a-64 collides when somebody wants it): of an app, of a service. */
enum again { SAME_NAME, SAME_ID, SERVICE_ID };
static const struct { const char *first, *second; } agains[] = {
    [SAME_NAME] = {"proof", "proof"}, [SAME_ID] = {ONE_ID, ONE_TWIN}, [SERVICE_ID] = {"proof", WARD_TWIN},
};

static uint64_t spawn_again(uint32_t which, bool right) {
    if (spawn_simple(CAP_SPAWN, sealed_app(CAP_REGION_0, agains[which].first)) != E_OK) return UNLIKE;
    return spawn_simple(CAP_SPAWN, sealed_app(CAP_REGION_1, right ? "other" : agains[which].second));
}

static int64_t one_more(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return seen.measured - 1;
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

static uint64_t spawn_from(uint64_t region, uint64_t *app) {
    struct spawn_request request = app_request();
    request.endpoint = (uint32_t)given[0];
    uint64_t status = nexus_spawn(CAP_SPAWN, region, &request, app);
    return status == E_OK ? resume(*app) : status;
}

static uint64_t spawn_running(uint64_t *app) { return spawn_from(app_region(), app); }

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
    bool true_one = seen.probes == 1 && seen.probe_flags & DELIVER_APP && seen.probe_mask == APP_MASK && seen.probe_publisher == APP_PUBLISHER;
    return right ? true_one : true_one ? 0 : -1;
}

/* --- the module that it begins with --- */

/* The token four times, which fills the field. */
static uint64_t region_with_entry(uint64_t region) {
    empty_region(region);
    uint8_t *page = state_app(region, "entered");
    if (page == 0) return 0;
    for (uint32_t i = 0; i < IPC_ENTRY_BYTES; i += 8) put_field(page, BUNDLE_AT_ENTRY + i, told.token, 8);
    return nexus_region_seal(region) == E_OK ? region : 0;
}

/* An app that states no entry, where one that stated its own was before (twin: it comes second). */
static uint64_t run_after_another(uint32_t arg, bool right) {
    (void)arg;
    uint64_t app, plain = sealed_app(CAP_REGION_1, "proof"), entered = region_with_entry(CAP_REGION_0);
    if (spawn_from(right ? plain : entered, &app) != E_OK || wait_until_stopped(app) != E_OK) return UNLIKE;
    while (nexus_supervise(app, SUP_FREE, 0) == E_AGAIN) {}
    return spawn_from(right ? entered : plain, &app) == E_OK ? wait_until_stopped(app) : UNLIKE;
}

/* All of the field, folded: the token if it is there four times. */
static uint64_t help_tell_entry(uint32_t arg, bool right) {
    (void)arg, (void)right;
    const volatile uint64_t *entry = (const volatile uint64_t *)NEXUS_ENTRY;
    bool same = entry[0] == entry[1] && entry[0] == entry[2] && entry[0] == entry[3];
    return probe(same ? entry[0] : 1);
}

static int64_t entry_stated(uint32_t arg, bool right) {
    (void)arg, (void)right;
    if (seen.probes != 2) return -1;
    return seen.probe_value == seen.token ? 1 : seen.probe_value == 0 ? 0 : -1; /* of the second */
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
    uint64_t status, region = sealed_app(told.life ? CAP_REGION_1 : CAP_REGION_0, "proof");
    do status = spawn_simple(CAP_SPAWN, region);
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

/* --- its end is told to who spawned it --- */

static uint64_t help_end_or_stay(uint32_t arg, bool right) {
    (void)arg;
    if (!right) pause_for(100 * MS);
    return E_OK;
}

static uint64_t wait_for_end(uint32_t arg, bool right) {
    (void)arg;
    uint64_t app;
    return spawn_running(&app) == E_OK ? nexus_wait(CAP_NOTIFICATION, deadline_in(right ? PATIENCE : 15 * MS), &done_data) : UNLIKE;
}

static void measure_bit(uint32_t arg, bool right) {
    (void)arg, (void)right;
    seen.measured = seen.status != E_OK ? 0 : seen.data == first_app_bit() ? 1 : -1;
}

/* --- authority that is not to outlive what it was for --- */

/* Spawned with an endpoint whose badge is revoked before the app starts. */
static uint64_t resume_revoked(uint32_t arg, bool right) {
    (void)arg, (void)right;
    struct spawn_request request = app_request();
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

#define APP(function) .who = WHO_HOLDER, .arrange = give_judge, .helper = WHO_APP, .help = function
static const struct proof_case cases[] = {
    {.name = "app.name_taken", .attack = spawn_again, .arg = SAME_NAME, .who = WHO_HOLDER, .at_done = measure_apps, .effect = one_more},
    {.name = "app.id_taken", .attack = spawn_again, .arg = SAME_ID, .who = WHO_HOLDER, .at_done = measure_apps, .effect = one_more},
    {.name = "app.id_of_a_service", .attack = spawn_again, .arg = SERVICE_ID, .who = WHO_HOLDER, .at_done = measure_apps, .effect = one_more},
    {.name = "app.entry", .attack = run_after_another, APP(help_tell_entry), .effect = entry_stated},
    {.name = "app.claims_rights", .attack = run_app, APP(help_claim), .effect = identity_stated},
    {.name = "app.writes_romfs", .attack = run_app, .arg = 0, APP(help_romfs), .at_done = note_app_end, .effect = was_measured},
    {.name = "app.runs_romfs", .attack = run_app, .arg = 1, APP(help_romfs), .at_done = note_app_end, .effect = was_measured},
    {.name = "app.end_told", .attack = wait_for_end, APP(help_end_or_stay), .at_done = measure_bit, .effect = was_measured},
    {.name = "app.freed_memory", .attack = run_and_free, APP(help_fill), .look = "token"},
    {.name = "app.spawner_dies", .attack = die_as_spawner, APP(help_fill), .at_done = measure_apps, .effect = apps_left},
    {.name = "app.orphan_lingers", .attack = spawn_after_death, .who = WHO_HOLDER, .helper = WHO_EQUAL, .help = help_use_idle_time,
     .poll = restart_on_probe, .at_done = measure_apps, .effect = not_spawned},
    {.name = "app.notifies_next", .attack = reuse_slot, APP(help_expect_bit), .poll = notify_second, .effect = second_notified},
    {.name = "app.revoked_before_start", .attack = resume_revoked, APP(help_probe), .poll = revoke_on_probe, .effect = app_probed},
};
const struct proof_group app_group = {cases, COUNT(cases)};
