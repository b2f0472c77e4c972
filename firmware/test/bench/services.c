/*
 * The rows of what a client of the services waits for: a decision on record, a route, a signature, an app. Requests follow each other
 * at once, so what servers do between requests falls into these rows: console lines, garbage collections.
 */
#include "services.h"

#include "bench.h"
#include "measure.h"
#include "nexus.h"
#include "request.h"
#include "user.h"

enum { ROUNDS = 1024, UNFILLED = 256, SIGN_ROUNDS = 32, EXEC_ROUNDS = 5, DIGITS = 4, BACKLOG = 2048 };
enum { INSTRUCTIONS_PER_TICK = 1000000000 / LIMIT_TICK_HZ }; /* under icount, one a nanosecond */

static uint32_t costs[3 * ROUNDS];

/* The end of a name: rounds have different targets, so that no record counts for two of them. */
static void number(struct request *request, uint32_t round) {
    for (uint32_t i = 0; i < DIGITS; i++) request->payload[request->bytes - 1 - i] = (uint8_t) "0123456789abcdef"[round >> 4 * i & 15];
}

/* Counted time passes for the host's slowness too: what it has left unread would all be sent within one request when it reads again. */
static void let_host_read(void) {
    if (usage(USAGE_CONSOLE_BYTES) > BACKLOG) settle();
}

static void checks(uint32_t *to, struct request request, int status, bool distinct) {
    settle();
    for (uint32_t round = 0; round < ROUNDS; round++) {
        if (distinct) number(&request, round);
        let_host_read();
        to[round] = (uint32_t)ask(&request);
        need(ask_status == status, "policy.check");
    }
}

static void check_rows(void) {
    checks(costs, check_of(ACTION_BUNDLE_VERIFY, "bench.0000"), STATUS_OK, true);
    checks(costs + ROUNDS, check_of(ACTION_BUNDLE_INSTALL, "bench.0000"), STATUS_DENIED, true);
    checks(costs + 2 * ROUNDS, check_of(ACTION_BUNDLE_VERIFY, "bench.same"), STATUS_OK, false);
    /* What is allowed and what is refused have a class of records each. It has room for the first of these; later each drops the oldest. */
    say_costs("policy.check", 0, costs, UNFILLED);
    say_costs("policy.check.denied", 0, costs + ROUNDS, UNFILLED);
    say_costs("policy.check.full", 0, costs + 2 * ROUNDS - UNFILLED, UNFILLED);
    say_costs("policy.check.again", 0, costs + 2 * ROUNDS, ROUNDS);
    uint32_t most = 0;
    for (uint32_t i = 0; i < 3 * ROUNDS; i++)
        if (costs[i] > most) most = costs[i];
    say_row("policy.check.max", most, 1);
}

static void route_row(void) {
    struct request request = route_of("policyd");
    settle();
    for (uint32_t round = 0; round < ROUNDS; round++) {
        costs[round] = (uint32_t)ask(&request);
        need(ask_status == STATUS_OK && nexus_cap_drop(NEXUS_CAPS[0]) == E_OK, "route.get");
    }
    say_costs("route.get", 0, costs, ROUNDS);
}

static void sign_row(void) {
    struct request make = {CAP_KEYSTORED, OP_KEYSTORED_DEVICE_KEYGEN, 0, 0, {0}};
    struct request sign = {CAP_KEYSTORED, OP_KEYSTORED_SIGN, 0, 2 + 32, {PURPOSE_SELFTEST, PURPOSE_SELFTEST >> 8}};
    ask(&make);
    need(ask_status == STATUS_OK, "keygen");
    settle();
    for (uint32_t round = 0; round < SIGN_ROUNDS; round++) {
        costs[round] = (uint32_t)ask(&sign);
        need(ask_status == STATUS_OK, "key.sign");
    }
    say_costs("key.sign", 0, costs, SIGN_ROUNDS);
}

/* An answer's payload begins behind its header, and so lies at no word's address. */
static uint64_t number_at(size_t offset, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = bytes; i-- > 0;) value = value << 8 | NEXUS_BUFFER[WIRE_REPLY_HEADER + offset + i];
    return value;
}

static struct request exec_of(const char *id) {
    struct request request = {CAP_EXECD, OP_EXECD_EXEC, 0, 1, {0}};
    for (; *id; id++) request.payload[request.bytes++] = (uint8_t)*id;
    return request;
}

/* The app leaves with the time at which its first line was printed; the clock is counted instructions here, INSTRUCTIONS_PER_TICK of them. */
static uint64_t first_line(const struct request *exec) {
    struct request wait = {CAP_EXECD, OP_EXECD_WAIT, 0, 4, {0}};
    settle();
    uint64_t idle = usage(USAGE_IDLE_INSTRUCTIONS), before = nexus_time();
    ask(exec);
    need(ask_status == STATUS_OK, "exec");
    for (size_t i = 0; i < wait.bytes; i++) wait.payload[i] = (uint8_t)number_at(i, 1);
    ask(&wait);
    need(ask_status == STATUS_OK && number_at(0, 1) == FAULT_EXIT && number_at(1, 8) > before, "exec.first_line");
    need(usage(USAGE_IDLE_INSTRUCTIONS) == idle, "exec.first_line"); /* waits would count as instructions */
    return (number_at(1, 8) - before) * INSTRUCTIONS_PER_TICK;
}

static void exec_row(void) {
    struct request exec = exec_of("dev.bench-first");
    for (uint32_t round = 0; round < EXEC_ROUNDS; round++) costs[round] = (uint32_t)first_line(&exec);
    say_costs("exec.first_line", 0, costs, EXEC_ROUNDS);
}

void service_rows(void) {
    check_rows();
    route_row();
    sign_row();
    exec_row();
}
