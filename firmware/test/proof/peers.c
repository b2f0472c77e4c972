/*
 * Calls in the wrong direction, and peers that die, restart, let go or come too late. Who waits is told at once and in the right
 * words; who answers somebody gone is told too.
 */
#include "attacker.h"
#include "client.h"
#include "effects.h"
#include "help.h"

static uint64_t call_victim(uint32_t op, uint32_t number, uint64_t ticks) {
    uint64_t word;
    outgoing()->op = op;
    outgoing()->number = number;
    outgoing()->value = told.token;
    return nexus_call(CAP_VICTIM, nexus_word(sizeof(struct message), 0, 0), deadline_in(ticks), 0, &word);
}

/* --- rank --- */

static uint64_t call_self(uint32_t arg, bool right) {
    (void)arg;
    return probe_with(right ? judge_handle : mint(1, RIGHT_CALL), 0, 0, 0);
}

/* The capability is good, its server ranks no higher; the twin borrows the victim's, which does. */
static uint64_t call_borrowed(uint32_t arg, bool right) {
    (void)arg;
    uint64_t word, handle = borrowed_endpoint();
    if (right) handle = tell_server(CAP_VICTIM, SERVE_GRANT, RIGHT_CALL, 1, 1) == E_OK && given_count == 1 ? given[0] : 0;
    if (handle == 0) return UNLIKE;
    outgoing()->op = SERVE_COUNT;
    return nexus_call(handle, nexus_word(sizeof(struct message), 0, 0), deadline_in(PATIENCE), 0, &word);
}

/* The lender's deposit is counted as well. */
static int64_t lender_or_victim_reached(uint32_t arg, bool right) {
    return right ? victim_counted(arg, right) - 1 : helper_succeeded(arg, right);
}

/* A server turns round and calls the one that asks it; the twin lets it call upwards. */
static uint64_t make_server_call(uint32_t arg, bool right) {
    (void)arg;
    struct nexus_delivery d;
    uint64_t word;
    if (right) return tell_server(CAP_VICTIM, SERVE_NEST_COUNT, 0, 0, 0) == E_OK ? outgoing()->value : UNLIKE;
    set_cap(0, mint(1, RIGHT_CALL | RIGHT_GRANT));
    outgoing()->op = SERVE_COUNT;
    if (nexus_call(CAP_VICTIM, nexus_word(sizeof(struct message), 1, 0), deadline_in(PATIENCE), 0, &word) != E_OK) return UNLIKE;
    if (tell_server(CAP_VICTIM, SERVE_CALL, 0, 0, 0) != E_OK) return UNLIKE;
    uint64_t status = outgoing()->value;
    return nexus_recv(CAP_ENDPOINT, 0, deadline_in(MS), &d) == E_OK ? UNLIKE : status;
}

static int64_t deep_counted(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return deep_report().count;
}

/* --- peers that are not there --- */

static void stop_victim(uint32_t arg, bool right) {
    (void)arg;
    if (!right) (void)kill(WHO_VICTIM);
}

static void half_load_victim(uint32_t arg, bool right) {
    (void)arg;
    if (!right) restart_one_step(WHO_VICTIM);
}

static uint64_t call_counted(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return call_victim(SERVE_COUNT, 0, PATIENCE);
}

/* `op` ends the server while it serves this call. */
static uint64_t call_deadly(uint32_t op, bool right) { return call_victim(right ? SERVE_COUNT : op, 0, PATIENCE); }

static int64_t victim_alive_and_counted(uint32_t arg, bool right) {
    return waits_in(WHO_VICTIM, STATE_RECEIVING) ? victim_counted(arg, right) : 0;
}

/* --- while the attacker waits --- */

/* It has its order, and the judge answers its calls at once: whom it waits for is the victim. */
static bool has_waited(void) { return seen.asked && waits_in(WHO_ATTACKER, STATE_CALLING); }

/* Behind the client, at whose call the victim waits. */
static uint64_t queue_up(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return call_victim(SERVE_COUNT, 0, PATIENCE);
}

static void kill_victim_once(uint32_t arg, bool right) {
    (void)arg;
    if (right || seen.measured || !has_waited()) return;
    seen.measured = 1;
    (void)kill(WHO_VICTIM);
}

static void kill_attacker_once(uint32_t arg, bool right) {
    (void)arg;
    if (right || seen.measured || !has_waited()) return;
    seen.measured = 1;
    (void)kill(WHO_ATTACKER);
}

/* After the end: what the victim got to see once it was free again. */
static int64_t count_after_pause(uint32_t arg, bool right) {
    judge_pause(80 * MS);
    return victim_alive_and_counted(arg, right);
}

static uint64_t be_held(uint32_t ticks, bool right) { return call_victim(SERVE_HOLD, 0, right || ticks == 0 ? PATIENCE : ticks); }

static void let_go_or_answer(uint32_t arg, bool right) {
    (void)arg;
    if (seen.measured || !has_waited()) return;
    seen.measured = 1;
    (void)order_victim(right ? SERVE_ANSWER : SERVE_LET_GO, 0);
}

static void answer_in_time(uint32_t arg, bool right) {
    if (right) let_go_or_answer(arg, right);
}

static void kill_attacker_or_answer(uint32_t arg, bool right) {
    if (right) let_go_or_answer(arg, right);
    else kill_attacker_once(arg, right);
}

/* The caller has given up, or died: the answer must fail, and say so. */
static int64_t answer_late(uint32_t arg, bool right) {
    (void)arg;
    if (!right) (void)order_victim(SERVE_ANSWER, 0);
    struct report report = victim_report();
    return right || report.status == E_CALLER_GONE ? (int64_t)report.count : -1;
}

/* --- restart --- */

static void restart_on_probe(uint32_t arg, bool right) {
    (void)arg, (void)right;
    if (seen.probes != 1 || seen.measured) return;
    seen.measured = 1;
    (void)kill(WHO_VICTIM);
    repair_victim();
}

/* Told once, and then as if nothing had been; with arg a second capability is told as well. */
static uint64_t call_restarted(uint32_t second, bool right) {
    uint64_t word, handle = CAP_VICTIM;
    if (second && (tell_server(CAP_VICTIM, SERVE_GRANT, RIGHT_CALL, 1, 1) != E_OK || given_count != 1)) return UNLIKE;
    if (probe(0) != E_OK) return UNLIKE;
    if (second && (call_victim(SERVE_REPORT, 0, SOON) != E_RESTARTED || call_victim(SERVE_REPORT, 0, SOON) != E_OK)) return UNLIKE;
    if (second) handle = given[0];
    uint64_t status = E_OK;
    for (uint32_t i = 0; i <= right && (status == E_OK || status == E_RESTARTED); i++) {
        outgoing()->op = SERVE_COUNT;
        status = nexus_call(handle, nexus_word(sizeof(struct message), 0, 0), deadline_in(SOON), 0, &word);
        if (right && i == 0 && status != E_RESTARTED) return UNLIKE;
    }
    return status;
}

/* The client's call is with the attacker when it dies: the client is told, and the next life has no reply of the last. */
static uint64_t die_serving(uint32_t arg, bool right) {
    (void)arg;
    const struct nexus_answer answer = {.bytes = sizeof(uint64_t)};
    struct nexus_delivery d;
    if (nexus_recv(CAP_ENDPOINT, 0, deadline_in(PATIENCE), &d) != E_OK) return UNLIKE;
    if (!right) nexus_exit(E_STATE);
    *(volatile uint64_t *)NEXUS_BUFFER = told.token;
    return nexus_reply(d.reply, &answer);
}

static uint64_t help_one_call(uint32_t arg, bool right) {
    (void)arg, (void)right;
    uint64_t word;
    uint64_t status = nexus_call(CAP_ATTACKER, 0, deadline_in(PATIENCE), 0, &word);
    return status == E_RESTARTED ? nexus_call(CAP_ATTACKER, 0, deadline_in(PATIENCE), 0, &word) : status;
}

static int64_t client_told_at_once(uint32_t arg, bool right) {
    if (right) return helper_succeeded(arg, right);
    bool told_so = seen.helper_end.fault == FAULT_EXIT && seen.helper_end.value == E_PEER_DIED;
    return told_so && nexus_time() < seen.begun + PATIENCE / 2 ? 0 : -1;
}

/* --- notifications --- */

/* Two bits, set one after the other while nobody waits: both are there, and no third. */
static uint64_t collect_bits(uint32_t arg, bool right) {
    (void)arg, (void)right;
    uint64_t copy;
    for (uint64_t bit = 1; bit <= 2; bit++) {
        if (nexus_cap_mint(CAP_NOTIFICATION, bit, RIGHT_CALL | RIGHT_GRANT, &copy) != E_OK) return UNLIKE;
        set_cap(0, copy);
        if (probe_with(judge_handle, 0, 1, 0) != E_OK) return UNLIKE;
    }
    return nexus_wait(CAP_NOTIFICATION, deadline_in(PATIENCE), &done_data);
}

static void set_bits(uint32_t arg, bool right) {
    (void)arg;
    if (seen.probes != 2 || seen.measured) return;
    seen.measured = 1;
    (void)judge_notify(seen.kept[0]);
    if (right) (void)judge_notify(seen.kept[1]);
}

static int64_t both_bits(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return seen.data == 3 ? 1 : seen.data == 1 ? 0 : -1;
}

/* --- exactly the bytes that the message has --- */

/* The page is full of what is nobody's business; the message is short. The twin sends all of it. */
static uint64_t send_short(uint32_t arg, bool right) {
    (void)arg;
    uint64_t word;
    for (uint32_t at = 0; at < IPC_DATA_BYTES; at += sizeof(uint64_t)) *(volatile uint64_t *)(NEXUS_BUFFER + at) = told.token;
    outgoing()->op = OP_PROBE;
    uint32_t bytes = right ? IPC_DATA_BYTES : SHORT_BYTES;
    return nexus_call(judge_handle, nexus_word(bytes, 0, 0), deadline_in(PATIENCE), 0, &word);
}

static int64_t arrived_beyond(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return seen.beyond;
}

/* The victim's page is full of it; the judge asks for a short answer, or (twin) for all. */
static uint64_t leave_with_victim(uint32_t arg, bool right) {
    (void)arg, (void)right;
    uint64_t word;
    for (uint32_t at = 0; at < IPC_DATA_BYTES; at += sizeof(uint64_t)) *(volatile uint64_t *)(NEXUS_BUFFER + at) = told.token;
    outgoing()->op = SERVE_COUNT;
    return nexus_call(CAP_VICTIM, nexus_word(IPC_DATA_BYTES, 0, 0), deadline_in(PATIENCE), 0, &word);
}

static int64_t answered_beyond(uint32_t arg, bool right) {
    (void)arg;
    return victim_answers_beyond(right ? IPC_DATA_BYTES : SHORT_BYTES);
}

#define CLIENT(function) .helper = WHO_CLIENT, .help = function
static const struct proof_case cases[] = {
    {.name = "rank.self", .attack = call_self, .effect = probes_made},
    {.name = "rank.equal", .attack = call_borrowed, .helper = WHO_EQUAL, .help = help_lend_endpoint, .effect = lender_or_victim_reached},
    {.name = "rank.lower", .attack = call_borrowed, CLIENT(help_lend_endpoint), .effect = lender_or_victim_reached},
    {.name = "rank.server_down", .attack = make_server_call, .effect = deep_counted},
    {.name = "peer.stopped", .attack = call_counted, .arrange = stop_victim, .effect = victim_alive_and_counted},
    {.name = "peer.loading", .attack = call_counted, .arrange = half_load_victim, .effect = victim_alive_and_counted},
    {.name = "peer.exits", .attack = call_deadly, .arg = SERVE_EXIT, .effect = victim_alive_and_counted},
    {.name = "peer.faults", .attack = call_deadly, .arg = SERVE_FAULT, .effect = victim_alive_and_counted},
    {.name = "peer.dies_before_serving", .attack = queue_up, CLIENT(help_block_victim), .after_helper = true, .poll = kill_victim_once, .effect = victim_alive_and_counted},
    {.name = "peer.caller_dies_queued", .attack = queue_up, CLIENT(help_block_victim), .after_helper = true, .poll = kill_attacker_once, .effect = count_after_pause},
    {.name = "peer.lets_go", .attack = be_held, .poll = let_go_or_answer, .effect = victim_counted},
    {.name = "peer.answers_late", .attack = be_held, .arg = SOON, .poll = answer_in_time, .effect = answer_late},
    {.name = "peer.caller_dies_served", .attack = be_held, .poll = kill_attacker_or_answer, .effect = answer_late},
    {.name = "peer.restarted", .attack = call_restarted, .arg = 0, .poll = restart_on_probe, .effect = victim_counted},
    {.name = "peer.restarted_each", .attack = call_restarted, .arg = 1, .poll = restart_on_probe, .effect = victim_counted},
    {.name = "peer.bits", .attack = collect_bits, .poll = set_bits, .effect = both_bits},
    {.name = "peer.message_residue", .attack = send_short, .effect = arrived_beyond},
    {.name = "peer.answer_residue", .attack = leave_with_victim, .effect = answered_beyond},
    {.name = "peer.dies_serving", .attack = die_serving, CLIENT(help_one_call), .effect = client_told_at_once},
};
const struct proof_group peer_group = {cases, COUNT(cases)};
