/*
 * The side of the attackers and their helpers: ask the judge, do as told, say that it is done, end with the status that the
 * kernel gave. Called by main.c; the tools at the end are for the attack and help functions of the cases.
 */
#include "proof.h"

#include "attacker.h"

struct told told;
uint64_t given[MAX_GIVEN];
uint32_t given_count;
uint64_t done_data;
uint64_t judge_handle;
uint64_t latch_at_start;

enum { ASK_TICKS = 20 * LIMIT_TICK_HZ };

static int sleep_for_ever(void) {
    uint64_t bits;
    while (nexus_wait(CAP_NOTIFICATION, 0, &bits) == E_OK) {}
    return 0;
}

/* Whoever answers says what this process is to do. */
static uint64_t ask(uint64_t whom) {
    uint64_t word, status;
    do {
        outgoing()->op = OP_ASK;
        status = nexus_call(whom, nexus_word(sizeof(struct message), 0, MAX_GIVEN), deadline_in(ASK_TICKS), 0, &word);
    } while (status == E_RESTARTED);
    if (status != E_OK) return status;
    memcpy(&told, NEXUS_BUFFER, sizeof told);
    given_count = nexus_caps(word);
    for (uint32_t i = 0; i < given_count; i++) given[i] = NEXUS_CAPS[i];
    return E_OK;
}

/* The judge looks now, while this process still holds what it got. */
static void tell_done(uint64_t status) {
    uint64_t word;
    outgoing()->op = OP_DONE;
    outgoing()->value = status;
    outgoing()->data = done_data;
    (void)nexus_call(judge_handle, nexus_word(sizeof(struct message), 0, 0), deadline_in(ASK_TICKS), 0, &word);
}

int run_as_told(uint64_t whom) {
    judge_handle = whom;
    uint64_t status = ask(whom);
    if (status != E_OK) return (int)status;
    if (told.role == ROLE_SERVE) return serve(whom);
    if (told.role == ROLE_IDLE) return sleep_for_ever();
    const struct proof_case *c = proof_case_at(told.number);
    uint64_t (*const part[])(uint32_t, bool) = {[ROLE_ATTACK] = c->attack, [ROLE_HELP] = c->help, [ROLE_ASSIST] = c->assist};
    status = part[told.role](c->arg, told.right);
    tell_done(status);
    return (int)status;
}

/* --- tools --- */

uint64_t deadline_in(uint64_t ticks) { return nexus_time() + ticks; }

/* A message that the judge counts. Waits for its answer. */
uint64_t probe_with(uint64_t handle, uint64_t value, uint32_t caps, uint64_t behalf) {
    uint64_t word;
    outgoing()->op = OP_PROBE;
    outgoing()->value = value;
    return nexus_call(handle, nexus_word(sizeof(struct message), caps, 0), deadline_in(ASK_TICKS), behalf, &word);
}

uint64_t probe(uint64_t value) { return probe_with(judge_handle, value, 0, 0); }

/* One call of a server; what it sends comes back in `given`. */
uint64_t tell_server(uint64_t handle, uint32_t op, uint32_t number, uint64_t value, uint32_t accept) {
    uint64_t word;
    outgoing()->op = op;
    outgoing()->number = number;
    outgoing()->value = value;
    uint64_t status = nexus_call(handle, nexus_word(sizeof(struct message), 0, accept), deadline_in(PATIENCE), 0, &word);
    if (status != E_OK) return status;
    for (uint32_t i = 0; i < nexus_caps(word); i++) given[i] = NEXUS_CAPS[i];
    given_count = nexus_caps(word);
    return E_OK;
}

/* A capability to the attacker's own endpoint; 0 if it can't be had. */
uint64_t mint(uint64_t badge, uint64_t rights) {
    uint64_t handle;
    return nexus_cap_mint(CAP_ENDPOINT, badge, rights, &handle) == E_OK ? handle : 0;
}

void set_cap(uint32_t place, uint64_t handle) { NEXUS_CAPS[place] = (uint32_t)handle; }
uint64_t cap_at(uint32_t place) { return NEXUS_CAPS[place]; }

/* CPU time, not wall time. */
void spin(uint64_t ticks) {
    uint64_t end = nexus_cpu_time() + ticks;
    while (nexus_cpu_time() < end) {}
}

/* Of several attempts that must all end alike: the first that ended otherwise. `seen` starts as E_AGAIN. */
uint64_t one_of(uint64_t seen, uint64_t status) { return seen == E_AGAIN || seen == status ? status : UNLIKE; }

/* What is in the last of somebody's badged endpoints: in the judge's table, what it has planted there for the case. */
uint64_t last_badge(uint64_t system, uint32_t index, uint64_t *badge) {
    struct nexus_held held;
    for (uint32_t slot = 0; slot < LIMIT_CAP_SLOTS; slot++) {
        uint64_t status = nexus_capability(system, index, slot, &held);
        if (status != E_OK) return status;
        if (held.type == OBJ_ENDPOINT && held.badge) *badge = held.badge;
    }
    return E_OK;
}
