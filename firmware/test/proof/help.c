/* Helpers of several groups: callers of an attacker that serves, and one that keeps the victim busy. In client or equal. */
#include "help.h"

#include "client.h"

enum { CALLS = 32, DEATHS = 5, BLOCK_MS = 60, BORROW_TRIES = 20 };

void pause_for(uint64_t ticks) {
    uint64_t end = deadline_in(ticks), bits;
    while (nexus_time() < end) (void)nexus_wait(CAP_NOTIFICATION, end, &bits);
}

/* Calls until an answer carries the token, or eight bytes of a DMA window, which are told to the judge. */
uint64_t help_call(uint64_t server) {
    uint64_t status = E_AGAIN, word;
    for (uint32_t calls = 0, deaths = 0; calls < CALLS && deaths < DEATHS; calls++) {
        status = nexus_call(server, 0, deadline_in(PATIENCE), 0, &word);
        if (status == E_PEER_DIED) {
            deaths++;
            pause_for(MS);
        }
        uint64_t value = *(volatile uint64_t *)NEXUS_BUFFER;
        if (status != E_OK || nexus_bytes(word) != sizeof value) continue;
        if (value != told.token) done_data = value;
        return E_OK;
    }
    return status == E_OK ? E_STATE : status;
}

/* A copy of the own endpoint goes to the victim, who gives it to whom asks for it. Then receives once. */
uint64_t help_lend_endpoint(uint32_t arg, bool right) {
    (void)arg, (void)right;
    const struct nexus_answer answer = {0};
    struct nexus_delivery d;
    uint64_t word;
    set_cap(0, mint(1, RIGHT_CALL | RIGHT_GRANT));
    outgoing()->op = SERVE_COUNT;
    uint64_t status = nexus_call(CAP_VICTIM, nexus_word(sizeof(struct message), 1, 0), deadline_in(PATIENCE), 0, &word);
    if (status == E_OK) status = nexus_recv(CAP_ENDPOINT, 0, deadline_in(60 * MS), &d);
    return status == E_OK ? nexus_reply(d.reply, &answer) : status;
}

/* What a helper has lent through the victim; 0 if it has not. */
uint64_t borrowed_endpoint(void) {
    for (uint32_t i = 0; i < BORROW_TRIES; i++) {
        pause_for(MS);
        if (tell_server(CAP_VICTIM, SERVE_GIVE, 1, 0, 1) == E_OK && given_count == 1) return given[0];
    }
    return 0;
}

/* The victim waits inside a call of its own for a while, so that others queue behind this one. */
uint64_t help_block_victim(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return tell_server(CAP_VICTIM, SERVE_NEST, BLOCK_MS, 0, 0);
}
