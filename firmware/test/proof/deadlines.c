/*
 * Deadlines: past when the call is made, passing while it waits or is served, and those that a served call puts on the server's
 * own calls and waits. The judge's clock and the servers' reports say when it ended.
 */
#include "attacker.h"
#include "client.h"
#include "effects.h"
#include "help.h"

/* How much later than asked a wait may end: the host may let the machine stand. What is not cut short takes longer by far. */
enum { SLACK = 1000 * MS, NEST_MS = 10 /* longer than SOON */, NEST_LONG_MS = 3000 };
enum { ZERO, ONE, NOW, EARLIER };

static uint64_t past(uint32_t when) {
    const uint64_t at[] = {[ZERO] = 0, [ONE] = 1, [NOW] = nexus_time(), [EARLIER] = nexus_time() - LIMIT_TICK_HZ / 100};
    return at[when];
}

static uint64_t call_past(uint32_t when, bool right) {
    uint64_t word, deadline = right ? deadline_in(PATIENCE) : past(when);
    outgoing()->op = OP_PROBE;
    return nexus_call(judge_handle, nexus_word(sizeof(struct message), 0, 0), deadline, 0, &word);
}

static uint64_t call_victim(uint32_t op, uint32_t number, uint64_t ticks) {
    uint64_t word;
    outgoing()->op = op;
    outgoing()->number = number;
    uint64_t begun = nexus_time();
    uint64_t status = nexus_call(CAP_VICTIM, nexus_word(sizeof(struct message), 0, 0), begun + ticks, 0, &word);
    return status;
}

static uint64_t call_queued(uint32_t arg, bool right) {
    (void)arg;
    return call_victim(SERVE_COUNT, 0, right ? PATIENCE : SOON);
}

static uint64_t call_held(uint32_t arg, bool right) {
    (void)arg;
    return call_victim(right ? SERVE_COUNT : SERVE_HOLD, 0, right ? PATIENCE : SOON);
}

/* Not before its time, and not long after it. */
static int64_t ended_in_time(uint32_t arg, bool right) {
    uint64_t took = seen.data;
    if (!right && (took < SOON || took > SOON + SLACK)) return -1;
    return victim_counted(arg, right);
}

static uint64_t call_held_timed(uint32_t arg, bool right) {
    uint64_t begun = nexus_time();
    uint64_t status = call_held(arg, right);
    done_data = nexus_time() - begun;
    return status;
}

/* The server's own call or wait is to last longer than the call that it serves: the kernel ends it with that. */
static uint64_t call_nested(uint32_t op, bool right) { return call_victim(op, right ? NEST_MS : NEST_LONG_MS, right ? PATIENCE : SOON); }

/* Of the server's report: cut short at the caller's deadline, or (twin) at its own. */
static int64_t cut_short(uint32_t arg, bool right) {
    (void)arg;
    uint64_t ticks = victim_report().ticks;
    if (right) return ticks >= NEST_MS * MS && ticks < NEST_MS * MS + SLACK;
    return ticks > 0 && ticks < SOON + SLACK ? 0 : -1;
}

/* Its answer is put off: what the server then does for itself lasts as long as it has to, whatever this caller allows. */
static uint64_t call_put_off(uint32_t arg, bool right) {
    (void)arg;
    return call_victim(SERVE_PUT_OFF, NEST_MS, right ? PATIENCE : SOON);
}

/* The server's work came to its end either way; only who still waited got its answer. */
static int64_t answered_after_work(uint32_t arg, bool right) {
    (void)arg;
    struct report report = victim_report();
    return report.value == E_OK && report.status == (right ? E_OK : E_CALLER_GONE) ? (int64_t)report.count : -1;
}

static uint64_t recv_past(uint32_t when, bool right) {
    const struct nexus_answer answer = {.bytes = sizeof(uint64_t)};
    struct nexus_delivery d;
    uint64_t status = nexus_recv(CAP_ENDPOINT, 0, right ? deadline_in(PATIENCE) : past(when), &d);
    if (status != E_OK) return status;
    *(volatile uint64_t *)NEXUS_BUFFER = told.token;
    return nexus_reply(d.reply, &answer);
}

static uint64_t help_attacker(uint32_t arg, bool right) {
    (void)arg, (void)right;
    pause_for(MS);
    return help_call(CAP_ATTACKER);
}

static uint64_t wait_past(uint32_t when, bool right) {
    uint64_t copy, bits;
    if (nexus_cap_mint(CAP_NOTIFICATION, 1, RIGHT_CALL | RIGHT_GRANT, &copy) != E_OK) return UNLIKE;
    set_cap(0, copy);
    if (probe_with(judge_handle, 0, 1, 0) != E_OK) return UNLIKE;
    return nexus_wait(CAP_NOTIFICATION, right ? deadline_in(PATIENCE) : past(when), &bits);
}

/* A call of the client's is passed on by the attacker as the subject of its own; gone, it can't be. */
static uint64_t pass_behalf(uint32_t arg, bool right) {
    (void)arg;
    const struct nexus_answer answer = {0};
    struct nexus_delivery d;
    if (nexus_recv(CAP_ENDPOINT, 0, deadline_in(PATIENCE), &d) != E_OK) return UNLIKE;
    if (!right) pause_for(2 * SOON);
    uint64_t status = probe_with(judge_handle, 0, 0, d.reply);
    (void)nexus_reply(d.reply, &answer);
    return status;
}

static uint64_t help_hurried(uint32_t arg, bool right) {
    (void)arg;
    uint64_t word, status;
    do {
        status = nexus_call(CAP_ATTACKER, 0, deadline_in(right ? PATIENCE : SOON), 0, &word);
        if (status == E_PEER_DIED) pause_for(MS);
    } while (status == E_PEER_DIED || status == E_RESTARTED);
    return status;
}

/* Its own call waits behind the blocked victim while the client, whom it is for, dies. */
static uint64_t pass_behalf_queued(uint32_t arg, bool right) {
    (void)arg, (void)right;
    const struct nexus_answer answer = {0};
    struct nexus_delivery d;
    uint64_t word;
    if (nexus_recv(CAP_ENDPOINT, 0, deadline_in(PATIENCE), &d) != E_OK) return UNLIKE;
    outgoing()->op = SERVE_COUNT;
    uint64_t status = nexus_call(CAP_VICTIM, nexus_word(sizeof(struct message), 0, 0), deadline_in(PATIENCE), d.reply, &word);
    (void)nexus_reply(d.reply, &answer);
    return status;
}

static uint64_t help_patiently(uint32_t arg, bool right) {
    (void)right;
    return help_hurried(arg, true);
}

static void kill_client_once(uint32_t arg, bool right) {
    (void)arg;
    if (right || seen.measured || !waits_in(WHO_ATTACKER, STATE_CALLING) || !seen.asked || !waits_in(WHO_CLIENT, STATE_CALLING)) return;
    seen.measured = 1;
    (void)kill(WHO_CLIENT);
}

/* Behind the blocked victim this one queues first. Who comes later goes ahead if it ranks higher, and only then. */
static uint64_t queue_first(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return call_victim(SERVE_COUNT, 0, PATIENCE);
}

static uint64_t queue_later(uint32_t arg, bool right) {
    (void)arg, (void)right;
    pause_for(20 * MS);
    return call_victim(SERVE_COUNT, 0, PATIENCE);
}

static int64_t served_first(uint32_t arg, bool right) {
    (void)arg, (void)right;
    struct report report = victim_report();
    return report.count != 2 ? -1 : report.sender_id == status_of(WHO_ATTACKER).service_id;
}

static int64_t probes_for_client(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return seen.probes;
}

#define CLIENT(function) .helper = WHO_CLIENT, .help = function
static const struct proof_case cases[] = {
    {.name = "deadline.zero", .attack = call_past, .arg = ZERO, .effect = probes_made},
    {.name = "deadline.one", .attack = call_past, .arg = ONE, .effect = probes_made},
    {.name = "deadline.now", .attack = call_past, .arg = NOW, .effect = probes_made},
    {.name = "deadline.earlier", .attack = call_past, .arg = EARLIER, .effect = probes_made},
    {.name = "deadline.queued", .attack = call_queued, CLIENT(help_block_victim), .after_helper = true, .effect = victim_counted},
    {.name = "deadline.served", .attack = call_held_timed, .effect = ended_in_time},
    {.name = "deadline.caps_calls", .attack = call_nested, .arg = SERVE_NEST, .effect = cut_short},
    {.name = "deadline.caps_waits", .attack = call_nested, .arg = SERVE_WAIT, .effect = cut_short},
    {.name = "deadline.put_off", .attack = call_put_off, .effect = answered_after_work},
    {.name = "deadline.recv", .attack = recv_past, .arg = ONE, CLIENT(help_attacker), .effect = helper_succeeded},
    {.name = "deadline.wait", .attack = wait_past, .arg = EARLIER, .poll = wake_when_waiting, .effect = was_measured},
    {.name = "deadline.behalf_queued", .attack = pass_behalf_queued, .helper = WHO_EQUAL, .help = help_block_victim, .after_helper = true,
     .second = WHO_CLIENT, .assist = help_patiently, .poll = kill_client_once, .effect = victim_counted},
    {.name = "deadline.queue_order", .attack = queue_first, .who = WHO_CLIENT, .twin_who = WHO_HOLDER, .helper = WHO_EQUAL,
     .help = help_block_victim, .after_helper = true, .second = WHO_ATTACKER, .assist = queue_later, .effect = served_first},
    {.name = "deadline.behalf", .attack = pass_behalf, CLIENT(help_hurried), .effect = probes_for_client},
};
const struct proof_group deadline_group = {cases, COUNT(cases)};
