/*
 * Asks bundlemgrd and execd as fast as it can for what it has no right to, each of their operations in its turn. Booted by
 * tests/os/test_flood.py, which asks honestly meanwhile; stops when it has sent FLOOD_REQUESTS.
 */
#include "frame.h"
#include "nexus.h"
#include "swamper.h"
#include "user.h"

enum { DIGITS = 4, NAME = 13 };

/* `before`: bytes of a number that come before the name; without a name there is only the number. */
static const struct kind { uint64_t to; uint8_t op; uint8_t before; bool named; } kinds[] = {
    {CAP_BUNDLEMGRD, OP_BUNDLEMGRD_LIST, 1, false},    {CAP_EXECD, OP_EXECD_EXEC, 1, true},
    {CAP_BUNDLEMGRD, OP_BUNDLEMGRD_VERIFY, 0, true},   {CAP_EXECD, OP_EXECD_WAIT, 4, false},
    {CAP_BUNDLEMGRD, OP_BUNDLEMGRD_INSTALL, 0, true},  {CAP_EXECD, OP_EXECD_KILL, 4, false},
    {CAP_BUNDLEMGRD, OP_BUNDLEMGRD_UNINSTALL, 0, true}, {CAP_EXECD, OP_EXECD_LIST, 4, true},
    {CAP_BUNDLEMGRD, OP_BUNDLEMGRD_OPEN, 0, true},     {CAP_BUNDLEMGRD, OP_BUNDLEMGRD_STAGE, 4, true},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static size_t request(const struct kind *kind, uint32_t round) {
    static const char name[NAME + 1] = "selftest.0000";
    uint8_t *payload = NEXUS_BUFFER + WIRE_REQUEST_HEADER;
    size_t bytes = kind->before;
    memset(payload, 0, bytes);
    if (kind->named) {
        memcpy(payload + bytes, name, NAME);
        bytes += NAME;
        for (uint32_t i = 0; i < DIGITS; i++) payload[bytes - 1 - i] = (uint8_t) "0123456789abcdef"[round >> 4 * i & 15];
    }
    struct frame frame = {kind->op, round, (uint32_t)bytes};
    return frame_write_request(NEXUS_BUFFER, &frame);
}

int user_main(const uint8_t *romfs, size_t romfs_bytes, void *heap, size_t heap_bytes, uint64_t console, uint64_t incarnation,
              uint64_t bring_up, uint64_t stack_bytes) {
    (void)romfs, (void)romfs_bytes, (void)heap, (void)heap_bytes, (void)console, (void)incarnation, (void)bring_up, (void)stack_bytes;
    for (uint32_t round = 0; round < FLOOD_REQUESTS; round++) {
        const struct kind *kind = &kinds[round % KINDS];
        uint64_t answer, deadline = nexus_time() + EDGE_DEADLINE_EXECD_ALL;
        size_t bytes = request(kind, round);
        if (nexus_call(kind->to, nexus_word((uint32_t)bytes, 0, 0), deadline, 0, &answer) != E_OK) return LEAVE_FINAL;
        if (nexus_bytes(answer) != WIRE_REPLY_HEADER || NEXUS_BUFFER[2] != STATUS_DENIED) return LEAVE_FINAL;
    }
    nexus_console_write(CAP_CONSOLE, "done", 4);
    return LEAVE_OK;
}
