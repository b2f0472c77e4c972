/*
 * Tables that are full: capabilities, apps, buffers of a queue. Whatever would need one place more is refused whole, and works
 * in the twin, where one place is left.
 */
#include "app.h"
#include "attacker.h"
#include "client.h"
#include "device.h"
#include "effects.h"
#include "help.h"
#include "holder.h"

enum { BADGE = 0x7700 };

/* So many slots stay free. */
static void fill_but(uint32_t leave) {
    uint64_t made[LIMIT_CAP_SLOTS];
    uint32_t count = 0;
    while (count < COUNT(made) && (made[count] = mint(BADGE, RIGHT_CALL)) != 0) count++;
    while (leave-- && count) (void)nexus_cap_drop(made[--count]);
}

static uint64_t mint_one_more(uint32_t arg, bool right) {
    (void)arg;
    uint64_t handle;
    fill_but(right);
    return nexus_cap_mint(CAP_ENDPOINT, BADGE, RIGHT_CALL, &handle);
}

/* One more than the table held before the last call, and never more than it can. */
static void measure_last(uint32_t arg, bool right) {
    (void)arg;
    seen.measured = (int64_t)seen.at_done.slots - (LIMIT_CAP_SLOTS - right);
}

/* `accept` capabilities and the reply need a slot each. */
static uint64_t recv_accepting(uint32_t accept, bool right) {
    const struct nexus_answer answer = {.bytes = sizeof(uint64_t)};
    struct nexus_delivery d;
    fill_but(accept + right);
    uint64_t status = nexus_recv(CAP_ENDPOINT, accept, deadline_in(PATIENCE), &d);
    if (status != E_OK) return status;
    *(volatile uint64_t *)NEXUS_BUFFER = told.token;
    return nexus_reply(d.reply, &answer);
}

static uint64_t help_attacker(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return help_call(CAP_ATTACKER);
}

static uint64_t call_accepting(uint32_t accept, bool right) {
    uint64_t word;
    fill_but(accept - 1 + right);
    outgoing()->op = OP_PROBE;
    return nexus_call(judge_handle, nexus_word(sizeof(struct message), 0, accept), deadline_in(PATIENCE), 0, &word);
}

static uint64_t spawn_into(uint32_t arg, bool right) {
    (void)arg;
    uint64_t region = app_region();
    fill_but(right);
    return spawn_simple(CAP_SPAWN, region);
}

/* One app more than there are places; in the twin one was given back, whose region serves again. */
static uint64_t spawn_many(uint32_t arg, bool right) {
    (void)arg;
    uint64_t handle = 0, status = E_OK;
    for (uint32_t i = 0; i < LIMIT_APP_SLOTS && status == E_OK; i++) {
        struct spawn_request request = app_request();
        const char id[] = {(char)('0' + i), 0};
        status = nexus_spawn(CAP_SPAWN, sealed_app(CAP_REGION_0 + i, id), &request, &handle);
    }
    if (status != E_OK) return UNLIKE;
    if (right) {
        if (nexus_supervise(handle, SUP_KILL, 0) != E_OK) return UNLIKE;
        while (nexus_supervise(handle, SUP_FREE, 0) == E_AGAIN) {}
    }
    return spawn_simple(CAP_SPAWN, CAP_REGION_0 + LIMIT_APP_SLOTS - 1);
}

static int64_t apps_beyond(uint32_t arg, bool right) {
    (void)arg;
    return seen.measured - (LIMIT_APP_SLOTS - right);
}

/* As many buffers as the queue has, then one more; in the twin one was taken back. `data`: how many the device filled. */
static uint64_t post_many(uint32_t arg, bool right) {
    (void)arg;
    enum { BUFFERS = LIMIT_QUEUE_SIZE / LIMIT_QUEUE_SEGMENTS, BYTES = 8 };
    const uint64_t segments[LIMIT_QUEUE_SEGMENTS] = {nexus_segment(0, BYTES, true)};
    uint32_t id, used;
    if (device_start(&device_right) != E_OK) return UNLIKE;
    for (uint32_t i = 0; i < BUFFERS; i++)
        if (nexus_queue_post(CAP_QUEUE_RNG_0, segments, 1, &id) != E_OK) return UNLIKE;
    if (right && device_finish(CAP_QUEUE_RNG_0, &id, &used, 50 * MS) == E_OK) done_data++;
    uint64_t status = nexus_queue_post(CAP_QUEUE_RNG_0, segments, 1, &id);
    while (device_finish(CAP_QUEUE_RNG_0, &id, &used, 5 * MS) == E_OK) done_data++;
    done_data -= BUFFERS;
    return status;
}

static int64_t data_told(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return (int64_t)seen.data;
}

static const struct proof_case cases[] = {
    {.name = "table.mint", .attack = mint_one_more, .at_done = measure_last, .effect = was_measured},
    {.name = "table.recv", .attack = recv_accepting, .arg = 0, .helper = WHO_CLIENT, .help = help_attacker, .effect = helper_succeeded},
    {.name = "table.recv_accept", .attack = recv_accepting, .arg = 2, .helper = WHO_CLIENT, .help = help_attacker, .effect = helper_succeeded},
    {.name = "table.call_accept", .attack = call_accepting, .arg = 1, .effect = probes_made},
    {.name = "table.call_accept_four", .attack = call_accepting, .arg = 4, .effect = probes_made},
    {.name = "table.spawn", .attack = spawn_into, .who = WHO_HOLDER, .at_done = measure_apps, .effect = was_measured},
    {.name = "table.apps", .attack = spawn_many, .who = WHO_HOLDER, .at_done = measure_apps, .effect = apps_beyond},
    {.name = "table.queue", .attack = post_many, .who = WHO_HOLDER, .effect = data_told},
};
const struct proof_group table_group = {cases, COUNT(cases)};
