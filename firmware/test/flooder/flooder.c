/*
 * Asks policyd as fast as it can: questions that are answered with yes and with no, records that count together and records that don't,
 * and in between messages that are no questions. Booted by tests/os/test_flood.py; stops when it has sent FLOOD_REQUESTS.
 */
#include "flooder.h"
#include "frame.h"
#include "nexus.h"
#include "user.h"

enum { KINDS = 4, DIGITS = 4, NAME = 10, CHECK_BYTES = 2 + NAME };

static uint32_t nonce;

/* The name's end tells requests apart, but for every other one of those that are allowed. */
static size_t question(uint32_t round) {
    static const char name[NAME + 1] = "flood.0000";
    uint16_t action = round % 2 ? ACTION_BUNDLE_INSTALL : ACTION_BUNDLE_VERIFY;
    uint8_t *payload = NEXUS_BUFFER + WIRE_REQUEST_HEADER;
    payload[0] = (uint8_t)action;
    payload[1] = (uint8_t)(action >> 8);
    memcpy(payload + 2, name, NAME);
    for (uint32_t i = 0; i < DIGITS && round % KINDS; i++) payload[CHECK_BYTES - 1 - i] = (uint8_t) "0123456789abcdef"[round >> 4 * i & 15];
    struct frame frame = {OP_POLICYD_CHECK, ++nonce, CHECK_BYTES};
    return frame_write_request(NEXUS_BUFFER, &frame);
}

/* Of another version, too short for a head, or with another length than it says. */
static size_t nonsense(uint32_t round) {
    size_t bytes = question(round);
    if (round % 3 == 0) NEXUS_BUFFER[0]++;
    return round % 3 == 1 ? WIRE_REQUEST_HEADER / 2 : round % 3 == 2 ? bytes - 1 : bytes;
}

int user_main(const uint8_t *romfs, size_t romfs_bytes, void *heap, size_t heap_bytes, uint64_t console, uint64_t incarnation,
              uint64_t bring_up, uint64_t stack_bytes) {
    (void)romfs, (void)romfs_bytes, (void)heap, (void)heap_bytes, (void)console, (void)incarnation, (void)bring_up, (void)stack_bytes;
    for (uint32_t round = 0; round < FLOOD_REQUESTS; round++) {
        uint64_t answer, deadline = nexus_time() + EDGE_DEADLINE_POLICYD_ALL;
        size_t bytes = round % FLOOD_NONSENSE_EVERY ? question(round) : nonsense(round);
        if (nexus_call(CAP_POLICYD, nexus_word((uint32_t)bytes, 0, 0), deadline, 0, &answer) != E_OK) return LEAVE_FINAL;
    }
    nexus_console_write(CAP_CONSOLE, "done", 4);
    return LEAVE_OK;
}
