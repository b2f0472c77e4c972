/*
 * Frames of messages between processes, read and written in place. Byte by byte, so that nothing depends on alignment or on the
 * compiler's layout of a struct.
 */
#include "frame.h"

#include "contract.h"

/* Request: version, op, u16 count, u32 nonce. Reply: version, op | reply bit, status, 0, u32 nonce. */
enum { AT_VERSION = 0, AT_OP = 1, AT_COUNT = 2, AT_STATUS = 2, AT_ZERO = 3, AT_NONCE = 4 };
_Static_assert(WIRE_REQUEST_HEADER == 8 && WIRE_REPLY_HEADER == 8, "offsets above");

static uint64_t get(const uint8_t *from, size_t bytes) {
    uint64_t value = 0;
    while (bytes--) value = value << 8 | from[bytes];
    return value;
}

static void put(uint8_t *to, uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) to[i] = (uint8_t)(value >> 8 * i);
}

bool frame_read_request(const uint8_t *message, size_t length, struct frame *request) {
    bool headed = length >= WIRE_REQUEST_HEADER;
    request->op = length > AT_OP ? message[AT_OP] : 0;
    request->nonce = headed ? (uint32_t)get(message + AT_NONCE, 4) : 0;
    request->count = headed ? (uint32_t)(length - WIRE_REQUEST_HEADER) : 0;
    return headed && length <= IPC_DATA_BYTES && message[AT_VERSION] == WIRE_VERSION && !(request->op & WIRE_REPLY_BIT) &&
           get(message + AT_COUNT, 2) == request->count;
}

size_t frame_write_request(uint8_t *message, const struct frame *request) {
    message[AT_VERSION] = WIRE_VERSION;
    message[AT_OP] = request->op;
    put(message + AT_COUNT, request->count, 2);
    put(message + AT_NONCE, request->nonce, 4);
    return WIRE_REQUEST_HEADER + request->count;
}

size_t frame_write_reply(uint8_t *message, const struct frame *request, uint8_t status, size_t count) {
    message[AT_VERSION] = WIRE_VERSION;
    message[AT_OP] = request->op | WIRE_REPLY_BIT;
    message[AT_STATUS] = status;
    message[AT_ZERO] = 0;
    put(message + AT_NONCE, request->nonce, 4);
    return WIRE_REPLY_HEADER + count;
}

int frame_read_reply(const uint8_t *message, size_t length, const struct frame *request) {
    if (length < WIRE_REPLY_HEADER || length > IPC_DATA_BYTES) return FRAME_BAD_REPLY;
    bool ours = message[AT_VERSION] == WIRE_VERSION && message[AT_OP] == (request->op | WIRE_REPLY_BIT) &&
                message[AT_ZERO] == 0 && get(message + AT_NONCE, 4) == request->nonce;
    if (!ours || (message[AT_STATUS] != STATUS_OK && length > WIRE_REPLY_HEADER)) return FRAME_BAD_REPLY;
    return message[AT_STATUS];
}

size_t frame_number(char format, const uint8_t *payload, size_t left, uint64_t *value) {
    size_t bytes = format == 'B' ? 1 : format == 'H' ? 2 : format == 'I' ? 4 : format == 'Q' ? 8 : 0;
    if (bytes > left) return 0;
    *value = get(payload, bytes);
    return bytes;
}
