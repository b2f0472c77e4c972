/*
 * Whether a refusal says why: the same number of requests of each class of refused question, each at rest, so that nothing but the
 * request itself falls into its count. Now and then another question comes between, so that the trail has records of both kinds: one
 * that is written and one that counts again. Says for each class every cost that occurred and how often; replies are compared here.
 */
#include "refusals.h"

#include "bench.h"
#include "measure.h"
#include "nexus.h"
#include "request.h"
#include "user.h"

enum { APART = 4, WARM_UP = 4, COSTS = 16, REPLY = 64, AT_NONCE = 4, NONCE_BYTES = 4, NO_ACTION = 0x7fff, ROUNDS = 256 };

/* The first reply to an operation, without its nonce; all others must be like it. */
static struct { uint8_t bytes[REPLY]; size_t count; } first;

static void compare_reply(bool is_first) {
    uint8_t reply[REPLY] = {0};
    need(ask_bytes <= REPLY, "reply of a refusal");
    memcpy(reply, NEXUS_BUFFER, ask_bytes);
    for (size_t i = 0; i < NONCE_BYTES; i++) reply[AT_NONCE + i] = 0;
    if (is_first) {
        memcpy(first.bytes, reply, REPLY);
        first.count = ask_bytes;
    }
    need(ask_bytes == first.count && memcmp(reply, first.bytes, REPLY) == 0, "refusals of different replies");
}

static uint64_t refused(const struct request *request) {
    settle();
    uint64_t cost = ask(request);
    need(ask_status == STATUS_DENIED, "a refusal that is none");
    return cost;
}

static void say_class(const struct refusal *class, uint32_t rounds, const struct request *between, bool is_first) {
    struct { uint64_t cost, times; } seen[COSTS];
    size_t count = 0, i;
    for (uint32_t round = 0; round < rounds; round++) {
        if (round % APART == 0) refused(between);
        uint64_t cost = refused(&class->request);
        compare_reply(is_first && round == 0);
        for (i = 0; i < count && seen[i].cost != cost; i++) {}
        need(i < COSTS, "refusals of too many costs");
        if (i == count) {
            seen[count].cost = cost;
            seen[count++].times = 0;
        }
        seen[i].times++;
    }
    for (i = 0; i < count; i++) say_cost(class->name, seen[i].cost, seen[i].times);
}

void say_refusals(const struct refusal *classes, size_t count, uint32_t rounds) {
    struct request between = check_of(ACTION_PROC_EXEC, "bench.other");
    for (uint32_t round = 0; round < WARM_UP; round++)
        for (size_t i = 0; i < count; i++) {
            refused(&between);
            refused(&classes[i].request);
            refused(&classes[i].request);
        }
    for (size_t i = 0; i < count; i++) say_class(&classes[i], rounds, &between, i == 0);
}

void refusal_rows(void) {
    struct refusal checks[] = {{"check.rule", check_of(ACTION_BUNDLE_INSTALL, "bench.deny")},
                               {"check.none", check_of(ACTION_BUNDLE_INSTALL, "bench.none")},
                               {"check.unknown", check_of(NO_ACTION, "bench.none")}};
    struct refusal routes[] = {{"route.rule", route_of("logd:query")}, {"route.none", route_of("logd:stats")},
                               {"route.unknown", route_of("nowhere:no")}};
    say_refusals(checks, sizeof checks / sizeof *checks, ROUNDS);
    say_refusals(routes, sizeof routes / sizeof *routes, ROUNDS);
}
