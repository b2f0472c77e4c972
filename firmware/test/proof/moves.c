/*
 * Capabilities in messages: a move that fails, for whatever reason and at whatever place, leaves everything where it was. The
 * kernel's count of both tables says so: what the attacker had it still has, and the other side has gained nothing.
 */
#include "attacker.h"
#include "client.h"
#include "effects.h"
#include "help.h"

enum { BADGE = 0x7700, ALL = IPC_MAX_CAPS };
enum { STALE = 0, NO_GRANT = 1, DUPLICATE = 2 }; /* what is wrong at a place: arg = what * ALL + place */

/* --- to the victim, in a call --- */

static void name_minted(uint32_t count) {
    for (uint32_t i = 0; i < count; i++) set_cap(i, mint(BADGE, RIGHT_CALL | RIGHT_GRANT));
}

/* One of the handles becomes wrong. What it named stays in the table, so the count is the same. */
static void spoil(uint32_t arg) {
    uint32_t place = arg % ALL;
    if (arg / ALL == STALE) set_cap(place, cap_at(place) + HANDLE_STEP);
    if (arg / ALL == NO_GRANT) set_cap(place, CAP_JUDGE);
    if (arg / ALL == DUPLICATE) set_cap(place, cap_at((place + 1) % ALL));
}

static uint64_t send(uint32_t count, uint64_t ticks) {
    uint64_t word;
    outgoing()->op = SERVE_COUNT;
    return nexus_call(CAP_VICTIM, nexus_word(sizeof(struct message), count, 0), deadline_in(ticks), 0, &word);
}

static uint64_t move_spoilt(uint32_t arg, bool right) {
    name_minted(ALL);
    if (!right) spoil(arg);
    return send(ALL, PATIENCE);
}

static uint64_t move_count(uint32_t count, bool right) {
    name_minted(ALL);
    return send(right ? ALL : count, PATIENCE);
}

static uint64_t move_minted(uint32_t count, bool right) {
    (void)right;
    name_minted(count);
    return send(count, PATIENCE);
}

/* Moved: all of `sent` have left the attacker and are the victim's. Not moved: neither. Else -1. */
static int64_t moved(uint32_t sent, int64_t made) {
    int64_t gone = made - slots_gained();
    uint32_t arrived = victim_report().kept;
    if (gone == 0 && arrived == 0) return 0;
    return gone == sent && arrived == sent ? 1 : -1;
}

static void measure_four(uint32_t arg, bool right) {
    (void)arg, (void)right;
    seen.measured = moved(ALL, ALL);
}

static void measure_some(uint32_t count, bool right) {
    (void)right;
    seen.measured = moved(count, count);
}

static void let_accept(uint32_t count, bool right) {
    if (!right) (void)order_victim(SERVE_ACCEPT, count - 1);
}

/* A victim whose table is full can't accept any. */
static void fill_victim(uint32_t count, bool right) {
    (void)count;
    if (!right) (void)order_victim(SERVE_FILL, 0);
}

/* --- while the call waits in the victim's queue --- */

static uint64_t move_queued(uint32_t count, bool right) {
    (void)right;
    name_minted(count);
    return send(count, PATIENCE);
}

static uint64_t move_impatient(uint32_t count, bool right) {
    name_minted(count);
    return send(count, right ? PATIENCE : SOON);
}

/* It has its order, and the judge answers its calls at once: whom it waits for is the victim. */
static bool has_waited(void) { return seen.asked && waits_in(WHO_ATTACKER, STATE_CALLING); }

static void kill_victim_once(uint32_t arg, bool right) {
    (void)arg;
    if (right || seen.measured || !has_waited()) return;
    (void)kill(WHO_VICTIM);
    seen.measured = 1;
}

static void give_badged(uint32_t arg, bool right) {
    (void)arg, (void)right;
    give_endpoint(RIGHT_CALL | RIGHT_GRANT, BADGE);
}

/* The capability in the waiting message dies before the victim comes to it. */
static void revoke_once(uint32_t arg, bool right) {
    (void)arg;
    if (right || seen.measured || !has_waited()) return;
    seen.measured = 1;
    seen.data = judge_revoke(BADGE);
}

static uint64_t move_gift_queued(uint32_t arg, bool right) {
    (void)arg, (void)right;
    set_cap(0, given[0]);
    return send(1, PATIENCE);
}

/* Revoked: gone from the attacker (its gift is counted with the order), never the victim's. */
static void measure_gift(uint32_t arg, bool right) {
    (void)arg;
    int64_t gone = -slots_gained();
    uint32_t arrived = victim_report().kept;
    seen.measured = gone == 1 && arrived == right ? right : -1;
}

/* --- back to the client, in an answer --- */

static uint64_t receive(uint64_t *reply) {
    struct nexus_delivery d;
    uint64_t status = nexus_recv(CAP_ENDPOINT, 0, deadline_in(PATIENCE), &d);
    *reply = d.reply;
    return status;
}

/* Answers with capabilities; if the kernel refuses, without. The client's exit status is how many it got. */
static uint64_t answer_moving(uint64_t reply, uint32_t caps) {
    struct nexus_answer answer = {.bytes = sizeof(uint64_t), .caps = caps};
    *(volatile uint64_t *)NEXUS_BUFFER = told.token;
    uint64_t status = nexus_reply(reply, &answer);
    answer.caps = 0;
    if (status != E_OK && status != E_CALLER_GONE && nexus_reply(reply, &answer) != E_OK) return UNLIKE;
    return status;
}

static uint64_t reply_spoilt(uint32_t arg, bool right) {
    uint64_t reply;
    if (receive(&reply) != E_OK) return UNLIKE;
    name_minted(ALL);
    if (!right) spoil(arg);
    return answer_moving(reply, ALL);
}

static uint64_t reply_late(uint32_t arg, bool right) {
    (void)arg;
    uint64_t reply;
    if (receive(&reply) != E_OK) return UNLIKE;
    if (!right) pause_for(3 * SOON);
    name_minted(ALL);
    return answer_moving(reply, ALL);
}

/* Objects granted count against what the caller accepts as those moved do. */
static uint64_t reply_granting(uint32_t grants, bool right) {
    struct nexus_answer answer = {.bytes = sizeof(uint64_t), .caps = right ? 1 : 2, .grants = right ? 3 : grants};
    uint64_t reply;
    if (receive(&reply) != E_OK) return UNLIKE;
    name_minted(answer.caps);
    for (uint32_t i = 0; i < MAX_GIVEN; i++) NEXUS_GRANTS[i] = (struct grant){CAP_ENDPOINT, RIGHT_CALL, i};
    *(volatile uint64_t *)NEXUS_BUFFER = told.token;
    uint64_t status = nexus_reply(reply, &answer);
    return status == E_OK ? status : (void)answer_moving(reply, 0), status;
}

static uint64_t reply_bad_grant(uint32_t place, bool right) {
    struct nexus_answer answer = {.bytes = sizeof(uint64_t), .grants = ALL};
    uint64_t reply;
    if (receive(&reply) != E_OK) return UNLIKE;
    for (uint32_t i = 0; i < ALL; i++) NEXUS_GRANTS[i] = (struct grant){CAP_ENDPOINT, RIGHT_CALL, i};
    if (!right) NEXUS_GRANTS[place].handle += HANDLE_STEP;
    *(volatile uint64_t *)NEXUS_BUFFER = told.token;
    uint64_t status = nexus_reply(reply, &answer);
    return status == E_OK ? status : (void)answer_moving(reply, 0), status;
}

static uint64_t call_accepting(uint32_t accept, uint64_t ticks) {
    uint64_t word = 0, status;
    do {
        status = nexus_call(CAP_ATTACKER, nexus_word(0, 0, accept), deadline_in(ticks), 0, &word);
        if (status == E_PEER_DIED) pause_for(MS);
    } while (status == E_PEER_DIED || status == E_RESTARTED);
    return status == E_OK ? nexus_caps(word) : UNLIKE;
}

static uint64_t help_accept_all(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return call_accepting(ALL, PATIENCE);
}

static uint64_t help_accept_fewer(uint32_t arg, bool right) {
    (void)arg;
    return call_accepting(right ? ALL : ALL - 1, PATIENCE);
}

static uint64_t help_hurried(uint32_t arg, bool right) {
    (void)arg;
    return call_accepting(ALL, right ? PATIENCE : SOON);
}

/* What the client got, and that the attacker has exactly the rest. */
static int64_t client_got(uint32_t made, uint32_t sent) {
    uint64_t got = seen.helper_end.value == UNLIKE ? 0 : seen.helper_end.value;
    int64_t gone = made - slots_gained();
    if (seen.helper_end.fault != FAULT_EXIT) return -1;
    if (got == 0 && gone == 0) return 0;
    return got == ALL && gone == sent ? 1 : -1;
}

static int64_t client_got_four(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return client_got(ALL, ALL);
}

static int64_t client_got_mixed(uint32_t arg, bool right) {
    (void)arg;
    return client_got(right ? 1 : 2, 1);
}

static int64_t client_got_grants(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return client_got(0, 0);
}

#define CLIENT(function) .helper = WHO_CLIENT, .help = function
#define CALL(title, what, place) {.name = title, .attack = move_spoilt, .arg = (what) * ALL + (place), .at_done = measure_four, .effect = was_measured}
#define REPLY(title, what, place) \
    {.name = title, .attack = reply_spoilt, .arg = (what) * ALL + (place), CLIENT(help_accept_all), .effect = client_got_four}
#define GRANT(title, place) {.name = title, .attack = reply_bad_grant, .arg = place, CLIENT(help_accept_all), .effect = client_got_grants}
static const struct proof_case cases[] = {
    CALL("move.stale_0", STALE, 0), CALL("move.stale_1", STALE, 1), CALL("move.stale_2", STALE, 2), CALL("move.stale_3", STALE, 3),
    CALL("move.no_grant_0", NO_GRANT, 0), CALL("move.no_grant_1", NO_GRANT, 1), CALL("move.no_grant_2", NO_GRANT, 2),
    CALL("move.no_grant_3", NO_GRANT, 3), CALL("move.twice_first", DUPLICATE, 0), CALL("move.twice_last", DUPLICATE, 3),
    {.name = "move.five", .attack = move_count, .arg = 5, .at_done = measure_four, .effect = was_measured},
    {.name = "move.fifteen", .attack = move_count, .arg = 15, .at_done = measure_four, .effect = was_measured},
    {.name = "move.accepts_none", .attack = move_minted, .arg = 1, .arrange = let_accept, .at_done = measure_some, .effect = was_measured},
    {.name = "move.accepts_fewer", .attack = move_minted, .arg = 4, .arrange = let_accept, .at_done = measure_some, .effect = was_measured},
    {.name = "move.receiver_full", .attack = move_minted, .arg = 2, .arrange = fill_victim, .at_done = measure_some, .effect = was_measured},
    {.name = "move.queued_accepts_fewer", .attack = move_queued, .arg = 2, CLIENT(help_block_victim), .after_helper = true, .arrange = let_accept,
     .at_done = measure_some, .effect = was_measured},
    {.name = "move.queued_times_out", .attack = move_impatient, .arg = 3, CLIENT(help_block_victim), .after_helper = true, .at_done = measure_some, .effect = was_measured},
    {.name = "move.queued_server_dies", .attack = move_queued, .arg = 3, CLIENT(help_block_victim), .after_helper = true, .poll = kill_victim_once,
     .at_done = measure_some, .effect = was_measured},
    {.name = "move.queued_revoked", .attack = move_gift_queued, CLIENT(help_block_victim), .after_helper = true, .arrange = give_badged, .poll = revoke_once,
     .at_done = measure_gift, .effect = was_measured},
    REPLY("move.reply_stale_0", STALE, 0), REPLY("move.reply_stale_1", STALE, 1), REPLY("move.reply_stale_2", STALE, 2),
    REPLY("move.reply_stale_3", STALE, 3), REPLY("move.reply_no_grant", NO_GRANT, 2), REPLY("move.reply_twice", DUPLICATE, 1),
    {.name = "move.reply_accepts_fewer", .attack = reply_spoilt, .arg = 3 * ALL, CLIENT(help_accept_fewer), .effect = client_got_four},
    {.name = "move.reply_caller_gone", .attack = reply_late, CLIENT(help_hurried), .effect = client_got_four},
    {.name = "move.grants_beyond", .attack = reply_granting, .arg = 3, CLIENT(help_accept_all), .effect = client_got_mixed},
    {.name = "move.grants_five", .attack = reply_granting, .arg = 5, CLIENT(help_accept_all), .effect = client_got_mixed},
    GRANT("move.grant_stale_0", 0), GRANT("move.grant_stale_1", 1), GRANT("move.grant_stale_2", 2), GRANT("move.grant_stale_3", 3),
};
const struct proof_group move_group = {cases, COUNT(cases)};
