/*
 * The authority over other processes and the machine, used wrongly: states that do not allow it, operations that are none, apps
 * treated as services and services as apps. The kernel's record of the ward or the app says what became of it.
 */
#include "app.h"
#include "attacker.h"
#include "effects.h"
#include "holder.h"

static uint64_t steps(uint64_t handle, uint64_t operation) {
    uint64_t status;
    do status = nexus_supervise(handle, operation, 0);
    while (status == E_AGAIN);
    return status;
}

static uint64_t ward_in(uint32_t state) {
    uint64_t status = steps(CAP_SUPERVISE_WARD, SUP_RESTART);
    if (state == STATE_STOPPED) status = nexus_supervise(CAP_SUPERVISE_WARD, SUP_KILL, 0);
    return status;
}

/* --- the ward --- */

/* An operation on a running or a stopped ward which that does not allow. The twin's does: killed, or started. */
enum wrong { RESUME_RUNNING, RESUME_STOPPED, KILL_STOPPED, FREE_STOPPED, FREE_RUNNING, NO_OPERATION, BEYOND_OPERATIONS };
static const struct { uint32_t state; uint64_t operation; } wrongs[] = {
    [RESUME_RUNNING] = {STATE_READY, SUP_RESUME}, [RESUME_STOPPED] = {STATE_STOPPED, SUP_RESUME}, [KILL_STOPPED] = {STATE_STOPPED, SUP_KILL},
    [FREE_STOPPED] = {STATE_STOPPED, SUP_FREE}, [FREE_RUNNING] = {STATE_READY, SUP_FREE}, [NO_OPERATION] = {STATE_READY, 0},
    [BEYOND_OPERATIONS] = {STATE_READY, 1ull << 32 | SUP_KILL},
};

static uint64_t supervise_wrongly(uint32_t which, bool right) {
    if (ward_in(wrongs[which].state) != E_OK) return UNLIKE;
    if (!right) return steps(CAP_SUPERVISE_WARD, wrongs[which].operation);
    return wrongs[which].state == STATE_STOPPED ? steps(CAP_SUPERVISE_WARD, SUP_RESTART) : nexus_supervise(CAP_SUPERVISE_WARD, SUP_KILL, 0);
}

static void measure_ward(uint32_t which, bool right) {
    (void)right;
    bool stopped = ward_status().state == STATE_STOPPED;
    seen.measured = stopped != (wrongs[which].state == STATE_STOPPED);
}

/* --- an app --- */

enum wrong_app { RESTART_APP, FREE_SUSPENDED, FREE_TWICE, USE_FREED };

static uint64_t app_handle(void) {
    struct spawn_request request = app_request();
    uint64_t handle = 0;
    (void)nexus_spawn(CAP_SPAWN, app_region(), &request, &handle);
    return handle;
}

static uint64_t kill_and_free(uint64_t app) {
    return nexus_supervise(app, SUP_KILL, 0) == E_OK ? steps(app, SUP_FREE) : UNLIKE;
}

static uint64_t treat_app_wrongly(uint32_t which, bool right) {
    uint64_t app = app_handle();
    if (right) return kill_and_free(app);
    switch ((enum wrong_app)which) {
    case RESTART_APP: return nexus_supervise(app, SUP_KILL, 0) == E_OK ? steps(app, SUP_RESTART) : UNLIKE;
    case FREE_SUSPENDED: return steps(app, SUP_FREE);
    case FREE_TWICE: return kill_and_free(app) == E_OK ? steps(app, SUP_FREE) : UNLIKE;
    case USE_FREED: return kill_and_free(app) == E_OK && app_handle() != app ? nexus_supervise(app, SUP_KILL, 0) : UNLIKE;
    }
    return UNLIKE;
}

/* Alive or stopped, but there; the twin's is gone. After FREE_TWICE nothing is left that a second time could free. */
static int64_t app_gone(uint32_t which, bool right) {
    if (right) return seen.measured == 0;
    return seen.measured == (which == FREE_TWICE ? 0 : 1) ? 0 : -1;
}

/* --- the machine --- */

enum wrong_system { SYSTEM_NONE, SYSTEM_BEYOND, PROCESS_BEYOND, PROCESS_EMPTY, PROCESS_HUGE, USAGE_NONE, USAGE_BEYOND };

static uint64_t use_system_wrongly(uint32_t which, bool right) {
    static struct process_status status;
    uint64_t result = 0, operation = SYSTEM_PROCESS, a = 0;
    switch ((enum wrong_system)which) {
    case SYSTEM_NONE: operation = 0; break;
    case SYSTEM_BEYOND: operation = 1ull << 32 | SYSTEM_PROCESS; break;
    case PROCESS_BEYOND: a = LIMIT_PROCESSES + LIMIT_APP_SLOTS; break;
    case PROCESS_EMPTY: a = LIMIT_PROCESSES - 1; break;
    case PROCESS_HUGE: a = 1ull << 32; break;
    case USAGE_NONE: operation = SYSTEM_USAGE; break;
    case USAGE_BEYOND: operation = SYSTEM_USAGE; a = 1000; break;
    }
    if (right) operation = SYSTEM_PROCESS, a = 0;
    uint64_t answer = nexus_system(CAP_SYSTEM, operation, a, (uintptr_t)&status, &result);
    done_data = status.service_id;
    return answer;
}

static int64_t told_judge(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return seen.data == service_id_of("judge") ? 1 : seen.data == 0 ? 0 : -1;
}

/* --- capability tables --- */

enum wrong_table { TABLE_BEYOND, TABLE_EMPTY, SLOT_BEYOND, SLOT_HUGE };
static const uint64_t wrong_tables[] = {
    [TABLE_BEYOND] = LIMIT_PROCESSES + LIMIT_APP_SLOTS, [TABLE_EMPTY] = LIMIT_PROCESSES - 1, [SLOT_BEYOND] = LIMIT_CAP_SLOTS << 8,
    [SLOT_HUGE] = 1ull << 63,
};

/* A refusal leaves the registers as they were; the twin reads the judge's table. */
static uint64_t look_wrongly(uint32_t which, bool right) {
    if (right) return last_badge(CAP_SYSTEM, JUDGE_INDEX, &done_data);
    struct nexus_regs r = nexus_ecall(SYS_SYSTEM, CAP_SYSTEM, SYSTEM_CAPABILITY, wrong_tables[which], 0, 0, 0);
    done_data = (r.a1 ^ SYSTEM_CAPABILITY) | (r.a2 ^ wrong_tables[which]);
    return r.a0;
}

static uint32_t own_index(void) {
    struct process_status status;
    uint64_t nothing, own = service_id_of("holder");
    for (uint32_t index = 0; index < LIMIT_PROCESSES; index++)
        if (nexus_system(CAP_SYSTEM, SYSTEM_PROCESS, index, (uintptr_t)&status, &nothing) == E_OK && status.service_id == own) return index;
    return 0xff;
}

/* Into a slot that is free again: what was in it is nobody's any more. The twin still has it. */
static uint64_t look_behind(uint32_t arg, bool right) {
    (void)arg;
    struct nexus_held held = {0};
    if (!right && nexus_cap_drop(given[0]) != E_OK) return UNLIKE;
    uint64_t status = nexus_capability(CAP_SYSTEM, own_index(), given[0] & 0xff, &held);
    done_data = right ? held.badge : held.type | held.rights | held.object | held.badge;
    return status;
}

static void hand_out_secret(uint32_t arg, bool right) {
    (void)arg, (void)right;
    give_endpoint(RIGHT_CALL, secret);
}

/* Closed once, for good: nothing opens it, and every later start is told. The twin is such a start. */
static uint64_t close_latch(uint32_t arg, bool right) {
    (void)arg;
    uint64_t result;
    done_data = latch_at_start;
    if (right) return E_OK;
    (void)nexus_system(CAP_SYSTEM, SYSTEM_CLOSE_BRING_UP, 0, 0, &result);
    return nexus_system(CAP_SYSTEM, SYSTEM_CLOSE_BRING_UP, 0, 0, &result);
}

static int64_t latch_closed(uint32_t arg, bool right) {
    (void)arg;
    return right ? seen.data == 0 : seen.data == 1 ? 0 : -1; /* the attack was still started with it open */
}

#define WARD(title, which) {.name = "supervise." title, .attack = supervise_wrongly, .arg = which, .who = WHO_HOLDER, .at_done = measure_ward, .effect = was_measured}
#define APP(title, which) {.name = "supervise." title, .attack = treat_app_wrongly, .arg = which, .who = WHO_HOLDER, .at_done = measure_apps, .effect = app_gone}
#define SYSTEM(title, which) {.name = "system." title, .attack = use_system_wrongly, .arg = which, .who = WHO_HOLDER, .effect = told_judge}
#define TABLE(title, which) {.name = "system." title, .attack = look_wrongly, .arg = which, .who = WHO_HOLDER, .arrange = plant_secret, .effect = planted_was_told}
static const struct proof_case cases[] = {
    WARD("resume_running", RESUME_RUNNING), WARD("resume_stopped", RESUME_STOPPED), WARD("kill_stopped", KILL_STOPPED),
    WARD("free_service", FREE_STOPPED), WARD("free_running", FREE_RUNNING), WARD("no_operation", NO_OPERATION),
    WARD("beyond_operations", BEYOND_OPERATIONS), APP("restart_app", RESTART_APP), APP("free_suspended", FREE_SUSPENDED),
    APP("free_twice", FREE_TWICE), APP("use_freed", USE_FREED),
    SYSTEM("no_operation", SYSTEM_NONE), SYSTEM("beyond_operations", SYSTEM_BEYOND), SYSTEM("process_beyond", PROCESS_BEYOND),
    SYSTEM("process_empty", PROCESS_EMPTY), SYSTEM("process_huge", PROCESS_HUGE), SYSTEM("usage_none", USAGE_NONE), SYSTEM("usage_beyond", USAGE_BEYOND),
    TABLE("table_beyond", TABLE_BEYOND), TABLE("table_empty", TABLE_EMPTY), TABLE("slot_beyond", SLOT_BEYOND), TABLE("slot_huge", SLOT_HUGE),
    {.name = "system.slot_freed", .attack = look_behind, .who = WHO_HOLDER, .arrange = hand_out_secret, .effect = secret_or_nothing},
    {.name = "system.latch", .attack = close_latch, .who = WHO_HOLDER, .effect = latch_closed},
};
const struct proof_group supervision_group = {cases, COUNT(cases)};
