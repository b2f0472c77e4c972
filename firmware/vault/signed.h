/*
 * The bytes that a signature covers: whose, for what, with what kind of key, and the message ([signed] of
 * recipes/contract/vault.toml). Used by main.c. Knows no key and asks the kernel nothing.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "contract.h"

/* For whom is signed, as the kernel stated it. */
struct signed_subject {
    uint64_t service_id;
    uint8_t kind;
};

/* What for; 0 for a purpose that the contract does not know. */
enum { SIGNED_PURPOSE_MAX = 32 };
struct signed_purpose {
    uint16_t id;
    uint8_t name_bytes;
    char name[SIGNED_PURPOSE_MAX + 1];
};
const struct signed_purpose *signed_purpose(uint16_t id);

#define SIGNED_BYTES_MAX (sizeof SIGNED_TAG - 1 + 1 + SIGNED_PURPOSE_MAX + 8 + 1 + 1 + 4 + LIMIT_SIGN_MESSAGE_BYTES)

/* Writes them and gives their number. The message is at most LIMIT_SIGN_MESSAGE_BYTES. */
size_t signed_bytes(uint8_t to[SIGNED_BYTES_MAX], const struct signed_purpose *purpose, const struct signed_subject *subject,
    uint8_t mode, const uint8_t *message, size_t count);
