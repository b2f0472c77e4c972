/*
 * Plays rngd, and the log beside it, with answers that must not make a key: too long, too short, refused, for another request, or none.
 * Used by main.c of vault's caller. Its bytes are no entropy, so it says what it is: a program of the tests.
 */
#include "source.h"

#include "abi.h"
#include "frame.h"
#include "help.h"
#include "nexus.h"
#include "user.h"

enum { SEED_BYTES = 32, AT_VERSION = 0, AT_OP = 1, AT_STATUS = 2, AT_ZERO = 3, AT_NONCE = 4, WHOLE = -1, NO_DAMAGE = -1 };

static const struct wrong {
    uint8_t status;
    uint8_t bytes;      /* of payload */
    int8_t damage;      /* the byte of the head that is not right */
    int8_t cut;         /* the message ends here */
    uint8_t outcome;
} wrong[] = {
    {STATUS_OK, SEED_BYTES - 1, NO_DAMAGE, WHOLE, STATUS_UNAVAILABLE},
    {STATUS_OK, SEED_BYTES + 1, NO_DAMAGE, WHOLE, STATUS_UNAVAILABLE},
    {STATUS_OK, 0, NO_DAMAGE, WHOLE, STATUS_UNAVAILABLE},
    {STATUS_OK, SEED_BYTES, AT_VERSION, WHOLE, STATUS_UNAVAILABLE},
    {STATUS_OK, SEED_BYTES, AT_OP, WHOLE, STATUS_UNAVAILABLE},
    {STATUS_OK, SEED_BYTES, AT_STATUS, WHOLE, STATUS_UNAVAILABLE},
    {STATUS_OK, SEED_BYTES, AT_ZERO, WHOLE, STATUS_UNAVAILABLE},
    {STATUS_OK, SEED_BYTES, AT_NONCE, WHOLE, STATUS_UNAVAILABLE},
    {STATUS_OK, SEED_BYTES, NO_DAMAGE, 0, STATUS_UNAVAILABLE},
    {STATUS_OK, SEED_BYTES, NO_DAMAGE, WIRE_REPLY_HEADER - 1, STATUS_UNAVAILABLE},
    {STATUS_DENIED, 0, NO_DAMAGE, WHOLE, STATUS_DENIED},
    {STATUS_DENIED, SEED_BYTES, NO_DAMAGE, WHOLE, STATUS_UNAVAILABLE},
    {STATUS_RATE_LIMITED, 0, NO_DAMAGE, WHOLE, STATUS_RATE_LIMITED},
    {STATUS_UNAVAILABLE, 0, NO_DAMAGE, WHOLE, STATUS_UNAVAILABLE},
    {STATUS_MALFORMED, 0, NO_DAMAGE, WHOLE, STATUS_UNAVAILABLE},
    {UINT8_MAX, 0, NO_DAMAGE, WHOLE, STATUS_UNAVAILABLE},
};
static const struct wrong right = {STATUS_OK, SEED_BYTES, NO_DAMAGE, WHOLE, STATUS_OK};

const size_t source_answers = COUNT(wrong);
int source_outcome(size_t index) { return wrong[index].outcome; }

/* A system's caller has a console in that place. */
bool source_wanted(void) {
    uint32_t type, rights;
    uint64_t badge;
    return nexus_cap_info(HANDLE_BOOT, &type, &rights, &badge) == E_OK && type == OBJ_ENDPOINT;
}

/* Bytes that no two answers share. */
static size_t answer(const struct wrong *how, const struct frame *request) {
    static uint8_t next;
    for (size_t i = 0; i < how->bytes; i++) PAYLOAD[i] = ++next;
    size_t bytes = frame_write_reply(NEXUS_BUFFER, request, how->status, how->bytes);
    if (how->damage != NO_DAMAGE) NEXUS_BUFFER[how->damage] ^= 1;
    return how->cut == WHOLE ? bytes : (size_t)how->cut;
}

/* READY is answered as it should be, and so is a question for exactly the bytes of a seed; any other gets no frame. */
static size_t answer_next(size_t bytes) {
    static size_t given;
    struct frame request;
    if (!frame_read_request(NEXUS_BUFFER, bytes, &request)) return 0;
    if (request.op == OP_ALL_READY) return frame_write_reply(NEXUS_BUFFER, &request, STATUS_OK, 0);
    if (request.op != OP_RNGD_GET_ENTROPY || request.count != 2 || get_number(PAYLOAD, 2) != SEED_BYTES) return 0;
    return answer(given < COUNT(wrong) ? &wrong[given++] : &right, &request);
}

_Noreturn void source_serve(void) {
    struct nexus_delivery asked;
    uint64_t status = nexus_recv(HANDLE_BOOT, 0, 0, &asked);
    while (status == E_OK) {
        struct nexus_answer reply = {.bytes = (uint32_t)answer_next(nexus_bytes(asked.word))};
        status = nexus_reply_recv(asked.reply, &reply, HANDLE_BOOT, 0, 0, &asked);
    }
    nexus_exit(LEAVE_FAILED);
}
