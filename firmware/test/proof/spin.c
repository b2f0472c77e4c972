/*
 * Processes that do not stop: at low, equal and server rank, without and with a share, and one that sleeps whenever the tick
 * comes. Whoever is not their match must keep running; the kernel's accounts and records say what became of them.
 */
#include "attacker.h"
#include "client.h"
#include "effects.h"
#include "help.h"

enum { ROUNDS = 10, ROUND_TICKS = MS, ALL_ROUNDS = 200 * ROUNDS * MS, SPIN = 20 * MS, BUSY_MS = 20, BUDGET_MS = 200 };
/* The slack: a measure cuts periods in two, and a server is not stopped in the middle of what it does for its caller. */
enum { CLIENT_SHARE = 250, SHARE_SLACK = 200, MILLE = 1000, MEASURE = 500 * MS };

static uint64_t cpu_before, victim_before; /* in the judge */

/* --- low and equal rank --- */

static uint64_t spin_for_ever(uint32_t arg, bool right) {
    (void)arg;
    if (right) return spin(SPIN), E_OK;
    for (;;) {}
}

/* Somebody who only wants a little, again and again, and soon. */
static uint64_t help_rounds(uint32_t arg, bool right) {
    (void)arg, (void)right;
    uint64_t end = deadline_in(ALL_ROUNDS);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        pause_for(ROUND_TICKS);
        spin(ROUND_TICKS / 2);
        if (probe(i) != E_OK) return E_STATE;
    }
    return nexus_time() < end ? E_OK : E_DEADLINE;
}

static void kill_after_helper(uint32_t arg, bool right) {
    (void)arg;
    if (!right && waits_in(WHO_ATTACKER, STATE_STOPPED) && nexus_time() > seen.begun + SPIN) (void)kill(seen.who);
}

/* Harm done to the helper, or (twin) the CPU time that the kernel has charged. */
static int64_t harm(uint32_t arg, bool right) {
    if (right) return seen.end.cpu_ticks - cpu_before >= SPIN;
    return helper_succeeded(arg, right) ? 0 : -1;
}

static void note_cpu(uint32_t arg, bool right) {
    (void)arg;
    cpu_before = status_of(seen.who).cpu_ticks;
    victim_before = status_of(WHO_VICTIM).cpu_ticks;
    (void)right;
}

/* --- a server: stopped as hung, whoever waits for it is told --- */

static uint64_t call_victim(uint32_t op, uint32_t number, uint64_t ticks) {
    uint64_t word;
    outgoing()->op = op;
    outgoing()->number = number;
    return nexus_call(CAP_VICTIM, nexus_word(sizeof(struct message), 0, 0), deadline_in(ticks), 0, &word);
}

static uint64_t make_server_spin(uint32_t op, bool right) { return call_victim(right ? SERVE_BUSY : op, BUSY_MS, 3 * PATIENCE); }

/* Hung by the kernel's record, after its budget and not long after. */
static int64_t stopped_as_hung(uint32_t arg, bool right) {
    (void)arg;
    struct process_status victim = status_of(WHO_VICTIM);
    uint64_t used = victim.cpu_ticks - victim_before;
    if (right) return victim.state == STATE_RECEIVING && used >= BUSY_MS * MS;
    return victim.fault == FAULT_HUNG && used >= BUDGET_MS * MS && used < 3 * BUDGET_MS * MS ? 0 : -1;
}

/* --- shares: of the machine, and through a server that works for the caller --- */

/* The twin has no share to keep to: it is another process. */
static uint64_t use_all(uint32_t through_server, bool right) {
    uint64_t end = deadline_in(right ? MEASURE / 4 : MEASURE);
    while (nexus_time() < end)
        if (through_server && call_victim(SERVE_BUSY, 5, 3 * PATIENCE) != E_OK) return UNLIKE;
    return E_OK;
}

/* Of the client's rank, so that there is somebody who wants what the client must not have. */
static uint64_t want_the_rest(uint32_t arg, bool right) {
    (void)arg, (void)right;
    uint64_t end = deadline_in(MEASURE);
    while (nexus_time() < end) {}
    return E_OK;
}

static void end_measure(uint32_t arg, bool right) {
    (void)arg, (void)right;
    uint64_t used = status_of(seen.who).cpu_ticks - cpu_before + status_of(WHO_VICTIM).cpu_ticks - victim_before;
    seen.measured = (int64_t)(used * MILLE / (nexus_time() - seen.begun));
}

static int64_t above_share(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return seen.measured > CLIENT_SHARE + SHARE_SLACK;
}

static const struct proof_case cases[] = {
    {.name = "spin.low", .attack = spin_for_ever, .who = WHO_CLIENT, .helper = WHO_ATTACKER, .help = help_rounds, .arrange = note_cpu,
     .poll = kill_after_helper, .effect = harm},
    {.name = "spin.equal", .attack = spin_for_ever, .who = WHO_EQUAL, .helper = WHO_ATTACKER, .help = help_rounds, .arrange = note_cpu,
     .poll = kill_after_helper, .effect = harm},
    {.name = "spin.server", .attack = make_server_spin, .arg = SERVE_SPIN, .arrange = note_cpu, .effect = stopped_as_hung},
    {.name = "spin.server_evades", .attack = make_server_spin, .arg = SERVE_EVADE, .quiet = true, .arrange = note_cpu, .effect = stopped_as_hung},
    {.name = "spin.share", .attack = use_all, .arg = 0, .who = WHO_CLIENT, .twin_who = WHO_EQUAL, .helper = WHO_QUIET, .help = want_the_rest, .arrange = note_cpu, .at_done = end_measure,
     .effect = above_share},
    {.name = "spin.share_of_server", .attack = use_all, .arg = 1, .who = WHO_CLIENT, .twin_who = WHO_EQUAL, .helper = WHO_QUIET, .help = want_the_rest, .arrange = note_cpu,
     .at_done = end_measure, .effect = above_share},
};
const struct proof_group spin_group = {cases, COUNT(cases)};
