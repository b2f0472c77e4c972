/*
 * Asks for signatures and checks them with the key that was told before. The bytes that a signature has to cover are put together
 * here once more, from the contract's text alone.
 */
#include "signing.h"

#include <sodium/crypto_sign_ed25519.h>

#include "caller.h"
#include "nexus.h"
#include "user.h"

#define PURPOSE_ROW(name) {PURPOSE_##name, PURPOSE_NAME_##name}
const struct purpose purposes[] = {PURPOSE_ROW(ATTEST), PURPOSE_ROW(SELFTEST), PURPOSE_ROW(SAMPLE)};
const size_t purpose_count = COUNT(purposes);

enum { REPEATS = 64, HEAD = sizeof(uint32_t) + 1 + KEY_ID_BYTES, LONGEST = LIMIT_SIGN_MESSAGE_BYTES, TOO_SOON = 1000 };
static const size_t lengths[] = {0, 1, 32, 255, LONGEST};

/* Byte i of a message of n bytes; tests/os/test_vault.py has it too. */
static uint8_t message_byte(size_t n, size_t i) { return (uint8_t)(7 * i + n); }

static size_t put_message(uint8_t *to, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) to[i] = message_byte(bytes, i);
    return bytes;
}

size_t signing_request(uint8_t *to, uint16_t purpose, size_t message_bytes) {
    size_t at = put_number(to, purpose, sizeof purpose);
    return at + put_message(to + at, message_bytes);
}

static size_t put_text(uint8_t *to, const char *text) {
    size_t n = 0;
    for (; text[n]; n++) to[n] = (uint8_t)text[n];
    return n;
}

/* [signed] of recipes/contract/vault.toml */
static size_t covered(uint8_t *to, const struct purpose *purpose, const struct subject *subject, size_t message_bytes) {
    size_t at = put_text(to, SIGNED_TAG);
    size_t name = put_text(to + at + 1, purpose->name);
    at += put_number(to + at, name, 1) + name;
    at += put_number(to + at, subject->service_id, 8);
    at += put_number(to + at, subject->kind, 1);
    at += put_number(to + at, known.mode, 1);
    at += put_number(to + at, message_bytes, 4);
    return at + put_message(to + at, message_bytes);
}

bool signing_told(void) {
    return ask_bytes() == HEAD + KEY_SIGNATURE_BYTES && get_number(PAYLOAD, sizeof(uint32_t)) == known.generation && PAYLOAD[sizeof(uint32_t)] == known.mode &&
           memcmp(PAYLOAD + sizeof(uint32_t) + 1, known.id, KEY_ID_BYTES) == 0;
}

bool signing_right(const struct purpose *purpose, const struct subject *subject, size_t message_bytes) {
    uint8_t bytes[512];
    size_t count = covered(bytes, purpose, subject, message_bytes);
    return signing_told() &&
           crypto_sign_ed25519_verify_detached(PAYLOAD + HEAD, bytes, count, known.public_key) == 0;
}

static int sign(const struct purpose *purpose, const struct subject *subject, size_t message_bytes) {
    return ask(CAP_VAULT, OP_VAULT_SIGN, signing_request(PAYLOAD, purpose->id, message_bytes), subject->handle);
}

/* signature <u16 purpose><u64 subject><u8 kind><u8 mode><u32 message bytes><signature>, as hex */
static void show(const struct purpose *purpose, const struct subject *subject, size_t message_bytes) {
    uint8_t row[2 + 8 + 1 + 1 + 4 + KEY_SIGNATURE_BYTES];
    size_t at = put_number(row, purpose->id, 2);
    at += put_number(row + at, subject->service_id, 8);
    at += put_number(row + at, subject->kind, 1);
    at += put_number(row + at, known.mode, 1);
    at += put_number(row + at, message_bytes, 4);
    memcpy(row + at, PAYLOAD + HEAD, KEY_SIGNATURE_BYTES);
    say_hex("signature ", row, sizeof row);
}

void signing_show(void) {
    for (size_t p = 0; p < purpose_count; p++) {
        for (size_t s = 0; s < SUBJECTS; s++) {
            for (size_t i = 0; i < COUNT(lengths); i++) {
                check(sign(&purposes[p], &subjects[s], lengths[i]) == STATUS_OK, "signed");
                show(&purposes[p], &subjects[s], lengths[i]);
                check(signing_right(&purposes[p], &subjects[s], lengths[i]), "signature verifies");
            }
        }
    }
}

void signing_repeat(void) {
    uint8_t before[KEY_SIGNATURE_BYTES];
    for (size_t i = 0; i < REPEATS; i++) {
        check(sign(&purposes[0], &subjects[0], LONGEST) == STATUS_OK, "signed again");
        check(i == 0 || memcmp(before, PAYLOAD + HEAD, sizeof before) == 0, "signed the same again");
        memcpy(before, PAYLOAD + HEAD, sizeof before);
    }
}

void signing_once(void) { check(sign(&purposes[0], &subjects[0], LONGEST) == STATUS_OK, "signed once"); }

void signing_late(void) {
    uint64_t answer;
    size_t bytes = ask_head(OP_VAULT_SIGN, signing_request(PAYLOAD, purposes[0].id, LONGEST));
    uint64_t status = nexus_call(CAP_VAULT, nexus_word((uint32_t)bytes, 0, 0), nexus_time() + TOO_SOON, subjects[0].handle, &answer);
    check(status == E_DEADLINE, "not signed in so little time");
    signing_once();
}

void signing_lost(void) {
    check(sign(&purposes[0], &subjects[0], LONGEST) == ASK_BROKEN - E_PEER_DIED, "vault dies while it signs");
}
