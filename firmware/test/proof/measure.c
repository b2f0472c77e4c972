/*
 * How the judge measures and puts things right: states and counts from the kernel, reports of the servers, gifts to attackers.
 * Called by judge.c and by the functions of cases that run in the judge.
 */
#include "measure.h"

enum { ORDER_TICKS = LIMIT_TICK_HZ / 2, RESTART_TICKS = LIMIT_TICK_HZ };

static const uint64_t handles[WHO_COUNT] = {
    [WHO_ATTACKER] = CAP_SUPERVISE_ATTACKER, [WHO_EQUAL] = CAP_SUPERVISE_EQUAL, [WHO_CLIENT] = CAP_SUPERVISE_CLIENT,
    [WHO_HOLDER] = CAP_SUPERVISE_HOLDER,     [WHO_PYTHON] = CAP_SUPERVISE_PYTHON, [WHO_QUIET] = CAP_SUPERVISE_QUIET,
    [WHO_VICTIM] = CAP_SUPERVISE_VICTIM, [WHO_DEEP] = CAP_SUPERVISE_DEEP,
};
static uint64_t ids[WHO_COUNT];
static uint32_t static_count; /* processes of the recipe */
static uint32_t ward_index;
static uint64_t random_state;
static struct grant gifts[MAX_GIVEN];
static uint32_t gift_count;

void judge_pause(uint64_t ticks) {
    uint64_t end = nexus_time() + ticks, bits;
    while (nexus_time() < end) (void)nexus_wait(CAP_NOTIFICATION, end, &bits);
}

/* Not for secrets of the world: an attacker here can't see the judge's memory, that is all it takes. */
uint64_t next_random(void) {
    random_state = random_state * 6364136223846793005ull + nexus_time() * 2 + 1;
    return random_state ^ random_state >> 29;
}

/* --- the kernel's records --- */

struct process_status status_of(enum who who) {
    struct process_status status = {0};
    if (who < WHO_COUNT && handles[who]) (void)nexus_supervise(handles[who], SUP_STATUS, &status);
    return status;
}

/* Whom the judge is not serving just now: its questions are answered at once. */
bool waits_in_call(enum who who) { return seen.helper_asked && status_of(who).state == STATE_CALLING; }

static bool process_at(uint32_t index, struct process_status *status) {
    uint64_t nothing;
    return nexus_system(CAP_SYSTEM, SYSTEM_PROCESS, index, (uintptr_t)status, &nothing) == E_OK;
}

struct process_status ward_status(void) {
    struct process_status status = {0};
    (void)process_at(ward_index, &status);
    return status;
}

uint32_t live_apps(void) {
    struct process_status status;
    uint32_t count = 0;
    for (uint32_t i = 0; i < LIMIT_APP_SLOTS; i++) count += process_at(static_count + i, &status);
    return count;
}

struct process_status first_app(void) {
    struct process_status status = {0};
    for (uint32_t i = 0; i < LIMIT_APP_SLOTS; i++)
        if (process_at(static_count + i, &status)) return status;
    return (struct process_status){0};
}

/* The bit that its end sets in its spawner's notification. */
uint64_t first_app_bit(void) {
    struct process_status status;
    for (uint32_t i = 0; i < LIMIT_APP_SLOTS; i++)
        if (process_at(static_count + i, &status)) return 1ull << (static_count + i);
    return 0;
}

struct usage usage_now(void) {
    struct usage usage = {0};
    (void)nexus_system(CAP_SYSTEM, SYSTEM_USAGE, USAGE_FREE_FRAMES, 0, &usage.frames);
    (void)nexus_system(CAP_SYSTEM, SYSTEM_USAGE, USAGE_USED_SLOTS, 0, &usage.slots);
    usage.slots -= ward_status().slots; /* whether the ward runs is the holder's business */
    return usage;
}

uint64_t system_phase(void) {
    uint64_t phase = 0;
    (void)nexus_system(CAP_SYSTEM, SYSTEM_PHASE, 0, 0, &phase);
    return phase;
}

/* By the kernel's word on the sender, nothing that the message says. */
enum who who_is(const struct nexus_delivery *d) {
    if (d->sender >> 16 == KIND_APP) return WHO_APP;
    for (uint32_t who = 0; who < WHO_COUNT; who++)
        if (ids[who] && ids[who] == d->sender_id) return who;
    return WHO_NOBODY;
}

/* --- life --- */

static uint64_t steps(uint64_t handle, uint64_t operation) {
    uint64_t status;
    do status = nexus_supervise(handle, operation, 0);
    while (status == E_AGAIN);
    return status;
}

uint64_t restart(enum who who) { return steps(handles[who], SUP_RESTART); }
uint64_t kill(enum who who) { return steps(handles[who], SUP_KILL); }

/* In the middle of a run: its next life gets the same order. */
void restart_attacker(void) {
    seen.lives++;
    seen.asked = false;
    (void)restart(seen.who);
}

/* Stopped, and then left half-way. */
void restart_one_step(enum who who) { (void)nexus_supervise(handles[who], SUP_RESTART, 0); }

void stop_all(void) {
    for (uint32_t who = 0; who < WHO_VICTIM; who++)
        if (handles[who]) (void)kill(who);
}

/* --- gifts: what an attacker is given with its order --- */

static void give(uint64_t handle, uint32_t rights, uint64_t badge) {
    if (gift_count < MAX_GIVEN) gifts[gift_count++] = (struct grant){(uint32_t)handle, rights, badge};
}

void give_endpoint(uint32_t rights, uint64_t badge) { give(CAP_ENDPOINT, rights, badge); }
void give_notification(uint64_t bits) { give(CAP_NOTIFICATION, RIGHT_CALL | RIGHT_GRANT, bits); }
void give_region(uint32_t number, uint32_t rights) { give(CAP_REGION_0 + number, rights, 0); }
void gifts_forget(void) { gift_count = 0; }

uint32_t gifts_put(void) {
    for (uint32_t i = 0; i < gift_count; i++) NEXUS_GRANTS[i] = gifts[i];
    return gift_count;
}

void answer(const struct nexus_delivery *d, uint32_t bytes, uint32_t grants) {
    const struct nexus_answer a = {.bytes = bytes, .grants = grants};
    uint64_t status = nexus_reply(d->reply, &a);
    if (status != E_OK && status != E_CALLER_GONE) (void)nexus_cap_drop(d->reply);
}

/* --- capabilities and regions that the judge holds --- */

void keep(uint64_t handle) {
    if (seen.kept_count < COUNT(seen.kept)) seen.kept[seen.kept_count++] = handle;
    else (void)nexus_cap_drop(handle);
}

void drop_kept(void) {
    for (uint32_t i = 0; i < seen.kept_count; i++) (void)nexus_cap_drop(seen.kept[i]);
    seen.kept_count = 0;
}

uint64_t judge_region(uint32_t number) { return CAP_REGION_0 + number; }

uint64_t judge_frees(uint32_t number) {
    uint64_t status;
    do status = nexus_region_free(judge_region(number));
    while (status == E_AGAIN);
    return status;
}

void free_judge_regions(void) {
    for (uint32_t i = 0; i < JUDGE_REGIONS; i++) (void)judge_frees(i);
}

/* How many capabilities with this badge to the judge's own endpoint have died. */
uint64_t judge_revoke(uint64_t badge) {
    uint64_t count = 0;
    (void)nexus_cap_revoke(CAP_ENDPOINT, badge, &count);
    return count;
}

uint64_t judge_notify(uint64_t handle) { return nexus_notify(handle); }

/* --- the servers --- */

static uint64_t order(uint64_t server, uint32_t op, uint32_t number);

/* Whether any byte of the token, repeated over the page, lies behind a short message; clears it. */
bool take_token_behind(void) {
    bool found = false;
    for (uint32_t at = SHORT_BYTES; at < IPC_DATA_BYTES; at++) {
        uint8_t byte = (uint8_t)(seen.token >> (8 * (at % sizeof seen.token)));
        found |= byte && ((volatile uint8_t *)NEXUS_BUFFER)[at] == byte;
        ((volatile uint8_t *)NEXUS_BUFFER)[at] = 0;
    }
    return found;
}

/* The victim's page is full of the token: how much of it comes with an answer of so many bytes? */
bool victim_answers_beyond(uint32_t bytes) {
    (void)take_token_behind();
    (void)order(CAP_READY_VICTIM, SERVE_ECHO, bytes);
    return take_token_behind();
}

/* RESTARTED is told once for each life of the server. */
static uint64_t order(uint64_t server, uint32_t op, uint32_t number) {
    uint64_t word, status;
    do {
        outgoing()->op = op;
        outgoing()->number = number;
        status = nexus_call(server, nexus_word(sizeof(struct message), 0, 0), nexus_time() + ORDER_TICKS, 0, &word);
    } while (status == E_RESTARTED);
    return status;
}

uint64_t order_victim(uint32_t op, uint32_t number) { return order(CAP_READY_VICTIM, op, number); }

static struct report report_of(uint64_t server) {
    struct report report = {0};
    if (order(server, SERVE_REPORT, 0) == E_OK) memcpy(&report, NEXUS_BUFFER, sizeof report);
    return report;
}

struct report victim_report(void) { return report_of(CAP_READY_VICTIM); }
struct report deep_report(void) { return report_of(CAP_READY_DEEP); }

static void repair(enum who who, uint64_t server) {
    if (order(server, SERVE_RESET, 0) != E_OK && restart(who) == E_OK) (void)order(server, SERVE_RESET, 0);
}

void repair_victim(void) { repair(WHO_VICTIM, CAP_READY_VICTIM); }

/* Deep before victim: who starts asks the one above. */
void repair_servers(void) {
    repair(WHO_DEEP, CAP_READY_DEEP);
    repair_victim();
}

/* --- before the first case --- */

/* FNV-1a-64, as the builder and the kernel form identities. */
uint64_t service_id_of(const char *name) {
    uint64_t id = SERVICE_ID_OFFSET;
    while (*name) id = (id ^ (uint8_t)*name++) * SERVICE_ID_PRIME;
    return id;
}

static void find_ward(void) {
    struct process_status status;
    for (static_count = 0; static_count < LIMIT_PROCESSES && process_at(static_count, &status); static_count++)
        if (status.service_id == service_id_of(WARD_NAME)) ward_index = static_count;
}

void measure_begin(void) {
    random_state = nexus_time() ^ (uintptr_t)&random_state << 32;
    for (uint32_t who = 0; who < WHO_COUNT; who++) ids[who] = status_of(who).service_id;
    find_ward();
    (void)steps(handles[WHO_DEEP], SUP_RESUME);
    (void)steps(handles[WHO_VICTIM], SUP_RESUME);
    free_judge_regions();
}
