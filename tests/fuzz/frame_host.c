/*
 * firmware/native/frame.c asked by tests/fuzz/frame.py through pipes. Of a question: u16 bytes, u8 what is asked, u8 op, u32 nonce, then the
 * message. Of an answer: u16 bytes, then the verdict and what the C has made of the message. Every message lies in memory of just its size.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contract.h"
#include "frame.h"

enum { ASK_REQUEST, ASK_REPLY, ASK_NUMBER, ROOM = 600 };

static uint8_t out[ROOM + 16];

/* u8 accepted, u8 op, u32 nonce, u32 count, then the head written anew before the same payload. */
static size_t ask_request(const uint8_t *message, size_t length) {
    struct frame frame;
    out[0] = frame_read_request(message, length, &frame);
    out[1] = frame.op;
    memcpy(out + 2, &frame.nonce, 4);
    memcpy(out + 6, &frame.count, 4);
    if (!out[0]) return 10;
    memcpy(out + 10 + WIRE_REQUEST_HEADER, message + WIRE_REQUEST_HEADER, frame.count);
    return 10 + frame_write_request(out + 10, &frame);
}

/* i32 status, then the reply written anew if it is one. */
static size_t ask_reply(const uint8_t *message, size_t length, struct frame asked) {
    int32_t status = frame_read_reply(message, length, &asked);
    memcpy(out, &status, 4);
    if (status < 0) return 4;
    memcpy(out + 4 + WIRE_REPLY_HEADER, message + WIRE_REPLY_HEADER, length - WIRE_REPLY_HEADER);
    return 4 + frame_write_reply(out + 4, &asked, (uint8_t)status, length - WIRE_REPLY_HEADER);
}

/* u8 bytes taken, u64 the number. */
static size_t ask_number(const uint8_t *message, size_t length, char format) {
    uint64_t value = 0;
    out[0] = (uint8_t)frame_number(format, message, length, &value);
    memcpy(out + 1, &value, 8);
    return 9;
}

int main(void) {
    uint8_t head[8];
    while (fread(head, sizeof head, 1, stdin) == 1) {
        size_t length = (size_t)(head[0] | head[1] << 8);
        uint8_t *message = malloc(length ? length : 1);
        if (length > ROOM || !message || fread(message, 1, length, stdin) != length) return 1;
        struct frame asked = {.op = head[3], .nonce = 0, .count = 0};
        memcpy(&asked.nonce, head + 4, 4);
        size_t bytes = head[2] == ASK_REQUEST ? ask_request(message, length) : head[2] == ASK_REPLY ? ask_reply(message, length, asked) : ask_number(message, length, (char)head[3]);
        uint8_t size[2] = {(uint8_t)bytes, (uint8_t)(bytes >> 8)};
        fwrite(size, 2, 1, stdout);
        fwrite(out, bytes, 1, stdout);
        free(message);
    }
    return 0;
}
