/*
 * Lays out the bytes that a signature covers. Used by main.c. The layout is stated in recipes/contract/vault.toml; the host builds
 * the same from there and verifies.
 */
#include "signed.h"

#include <string.h>

/* Every row of [purpose]; tests/guest/test_signed.py sees that none is missing. */
#define PURPOSE_ROW(name) {PURPOSE_##name, sizeof PURPOSE_NAME_##name - 1, PURPOSE_NAME_##name}
static const struct signed_purpose purposes[] = {
    PURPOSE_ROW(ATTEST),
    PURPOSE_ROW(SELFTEST),
    PURPOSE_ROW(SAMPLE),
};

const struct signed_purpose *signed_purpose(uint16_t id) {
    for (size_t i = 0; i < sizeof purposes / sizeof *purposes; i++)
        if (purposes[i].id == id) return &purposes[i];
    return 0;
}

static uint8_t *put(uint8_t *to, const void *bytes, size_t count) {
    memcpy(to, bytes, count);
    return to + count;
}

static uint8_t *put_number(uint8_t *to, uint64_t number, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) *to++ = (uint8_t)(number >> 8 * i);
    return to;
}

size_t signed_bytes(uint8_t to[SIGNED_BYTES_MAX], const struct signed_purpose *purpose, const struct signed_subject *subject,
    uint8_t mode, const uint8_t *message, size_t count) {
    uint8_t *at = put(to, SIGNED_TAG, sizeof SIGNED_TAG - 1);
    at = put_number(at, purpose->name_bytes, 1);
    at = put(at, purpose->name, purpose->name_bytes);
    at = put_number(at, subject->service_id, 8);
    at = put_number(at, subject->kind, 1);
    at = put_number(at, mode, 1);
    at = put_number(at, count, 4);
    at = put(at, message, count);
    return (size_t)(at - to);
}
