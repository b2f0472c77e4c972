/*
 * Asks for what it may have while another process floods policyd: a question now and then, entropy when the flood is over. Says how long
 * its slowest answer took, what policyd counted and how many lines the console lost. Booted by tests/os/test_flood.py.
 */
#include "frame.h"
#include "honest.h"
#include "nexus.h"
#include "user.h"

enum { LINE = 128, HEX_DIGITS = 16, REST_TICKS = 50000, COUNTS = 4, QUESTION = 3, ENTROPY = 32, LONGEST = 600000000 };

static uint32_t nonce;
static uint64_t slowest, asked;

static void say(const char *what, const uint64_t *numbers, size_t count) {
    char line[LINE];
    size_t n = 0;
    for (; what[n]; n++) line[n] = what[n];
    for (size_t i = 0; i < count; i++) {
        line[n++] = ' ';
        for (int digit = HEX_DIGITS - 1; digit >= 0; digit--) line[n++] = "0123456789abcdef"[numbers[i] >> 4 * digit & 15];
    }
    nexus_console_write(CAP_CONSOLE, line, n);
}

/* The status of the answer, which is in NEXUS_BUFFER; an answer that does not come in time ends this process. */
static int ask(uint64_t server, uint8_t op, size_t bytes, uint64_t patience) {
    struct frame frame = {op, ++nonce, (uint32_t)bytes};
    uint64_t begun = nexus_time(), answer;
    uint64_t word = nexus_word((uint32_t)frame_write_request(NEXUS_BUFFER, &frame), 0, 0);
    uint64_t status = nexus_call(server, word, begun + patience, 0, &answer);
    uint64_t took = nexus_time() - begun;
    if (took > slowest) slowest = took;
    if (status != E_OK) {
        say("unanswered", &status, 1);
        nexus_exit(LEAVE_FINAL);
    }
    return frame_read_reply(NEXUS_BUFFER, nexus_bytes(answer), &frame);
}

static bool may_verify(void) {
    uint8_t *payload = NEXUS_BUFFER + WIRE_REQUEST_HEADER;
    payload[0] = (uint8_t)ACTION_BUNDLE_VERIFY;
    payload[1] = (uint8_t)(ACTION_BUNDLE_VERIFY >> 8);
    payload[2] = '-';
    asked++;
    return ask(CAP_POLICYD, OP_POLICYD_CHECK, QUESTION, EDGE_DEADLINE_POLICYD_ALL) == STATUS_OK;
}

static bool gets_entropy(void) {
    uint8_t *payload = NEXUS_BUFFER + WIRE_REQUEST_HEADER;
    payload[0] = ENTROPY;
    payload[1] = 0;
    asked++;
    return ask(CAP_RNGD, OP_RNGD_GET_ENTROPY, 2, EDGE_DEADLINE_RNGD_ALL) == STATUS_OK;
}

static bool stats(uint64_t counts[COUNTS]) {
    if (ask(CAP_POLICYD_STATS, OP_POLICYD_STATS, 0, EDGE_DEADLINE_POLICYD_ALL) != STATUS_OK) return false;
    memcpy(counts, NEXUS_BUFFER + WIRE_REPLY_HEADER, COUNTS * sizeof *counts);
    return true;
}

static void rest(void) {
    uint64_t bits;
    nexus_wait(CAP_NOTIFICATION, nexus_time() + REST_TICKS, &bits);
}

int user_main(const uint8_t *romfs, size_t romfs_bytes, void *heap, size_t heap_bytes, uint64_t console, uint64_t incarnation,
              uint64_t bring_up, uint64_t stack_bytes) {
    (void)romfs, (void)romfs_bytes, (void)heap, (void)heap_bytes, (void)console, (void)incarnation, (void)bring_up, (void)stack_bytes;
    uint64_t counts[COUNTS] = {0}, lost, end = nexus_time() + LONGEST;
    while (counts[0] < FLOOD_REQUESTS + asked && nexus_time() < end) { /* nobody else asks in this system */
        if (!may_verify() || !stats(counts)) return LEAVE_FINAL;
        rest();
    }
    if (!gets_entropy() || !stats(counts)) return LEAVE_FINAL;
    if (nexus_system(CAP_SYSTEM, SYSTEM_USAGE, USAGE_LOST_LINES, 0, &lost) != E_OK) return LEAVE_FINAL;
    say("asked", (uint64_t[]){asked, slowest}, 2);
    say("lost", &lost, 1);
    say("counts", counts, COUNTS);
    return LEAVE_OK;
}
