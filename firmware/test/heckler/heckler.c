/*
 * Asks init and policyd as fast as it can, for as long as the machine runs, what a shell may ask: for routes that it may have, may not
 * have and that are none, for figures of processes, questions with yes and no, and what is no question. Booted beside the selftest by
 * tests/os/test_heckled.py: nothing of it may show in the verdict.
 */
#include "frame.h"
#include "heckler.h"
#include "nexus.h"
#include "user.h"

static uint32_t nonce;

struct question { uint8_t op; uint8_t bytes; const char *payload; };
/* ROUTE_GET of a route that it has would fill its table, so that one is asked for once. */
static const struct question to_init[] = {
    {OP_INIT_ROUTE_GET, 5, "vault"}, {OP_INIT_ROUTE_GET, 7, "nowhere"}, {OP_INIT_PS, 1, ""}, {OP_INIT_TOP, 1, ""},
    {OP_INIT_CAPS, 2, "\0"}, {OP_INIT_SHUTDOWN, 0, ""}, {OP_INIT_PS, 0, ""},
};
/* ACTION_SYSTEM_STATS and ACTION_RUN_PHASE: yes and no. */
static const struct question to_policyd[] = {
    {OP_POLICYD_CHECK, 3, (const char[]){ACTION_SYSTEM_STATS, 0, '-'}}, {OP_POLICYD_CHECK, 3, (const char[]){ACTION_RUN_PHASE, 0, '-'}},
    {OP_POLICYD_ROUTE, 5, "vault"}, {OP_POLICYD_CHECK, 1, ""},
};

static uint64_t ask(uint64_t handle, const struct question *q, uint32_t accept) {
    uint64_t answer;
    memcpy(NEXUS_BUFFER + WIRE_REQUEST_HEADER, q->payload, q->bytes);
    struct frame frame = {q->op, ++nonce, q->bytes};
    size_t bytes = frame_write_request(NEXUS_BUFFER, &frame);
    if (nexus_call(handle, nexus_word((uint32_t)bytes, 0, accept), nexus_time() + EDGE_DEADLINE_INIT_ALL, 0, &answer) != E_OK) return 0;
    return nexus_caps(answer) ? NEXUS_CAPS[0] : 0;
}

int user_main(const uint8_t *romfs, size_t romfs_bytes, void *heap, size_t heap_bytes, uint64_t console, uint64_t incarnation,
              uint64_t bring_up, uint64_t stack_bytes) {
    (void)romfs, (void)romfs_bytes, (void)heap, (void)heap_bytes, (void)console, (void)incarnation, (void)bring_up, (void)stack_bytes;
    const struct question route = {OP_INIT_ROUTE_GET, 7, "policyd"};
    uint64_t policyd = ask(CAP_INIT, &route, 1);
    nexus_console_write(CAP_CONSOLE, "asks", 4);
    for (;;) {
        for (uint32_t i = 0; i < sizeof to_init / sizeof *to_init; i++) (void)ask(CAP_INIT, &to_init[i], 0);
        for (uint32_t i = 0; i < sizeof to_policyd / sizeof *to_policyd; i++) (void)ask(policyd, &to_policyd[i], 0);
    }
}
