/*
 * Frames of messages between processes (recipes/contract/wire.toml), in place: what a request or reply must look like, and how one is
 * headed. Used by native programs, by the runtime's frame_module.c and, compiled for the host, by the tests of guest code. Knows no system
 * call and no Python.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A message's head, and how many bytes of payload follow it. */
struct frame {
    uint8_t op;
    uint32_t nonce;
    uint32_t count;
};

enum { FRAME_BAD_REPLY = -1 };

/* Whether the message is exactly one request. Op and nonce are filled as far as the message goes, so that a refusal bears them. */
bool frame_read_request(const uint8_t *message, size_t length, struct frame *request);

/* Heads a message whose payload is in place; gives its length. */
size_t frame_write_request(uint8_t *message, const struct frame *request);
size_t frame_write_reply(uint8_t *message, const struct frame *request, uint8_t status, size_t count);

/* Status of the reply to this request, or FRAME_BAD_REPLY for what is none; a refusal that carries a payload is none. */
int frame_read_reply(const uint8_t *message, size_t length, const struct frame *request);

/*
 * One number of a payload: `format` is B, H, I or Q as in Python's struct, little-endian without padding.
 * Gives how many bytes it took, or 0 for another format or a payload that is too short.
 */
size_t frame_number(char format, const uint8_t *payload, size_t left, uint64_t *value);
