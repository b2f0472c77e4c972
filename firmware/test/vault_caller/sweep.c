/*
 * Every operation with every length, whole and damaged, with the badge of keystored and with that of init, with a key and without:
 * one defined answer each, of which every byte is accounted for. Called by main.c of vault's caller.
 */
#include "sweep.h"

#include "caller.h"
#include "keys.h"
#include "nexus.h"
#include "signing.h"

enum { OPS = 256, HEAD = WIRE_REQUEST_HEADER, LONGEST = IPC_DATA_BYTES - HEAD, PURPOSE_BYTES = 2, VERIFIED_EACH = 8 };
static const uint8_t known_ops[] = {OP_VAULT_DESTROY, OP_VAULT_PUBKEY, OP_VAULT_SIGN, OP_VAULT_SEED, OP_ALL_READY};
static const uint8_t damaged[] = {0, 2, 3}; /* version, length */

static uint32_t asked;

/* What vault must answer to a whole frame from keystored; a payload is a purpose and a message, as far as it goes. */
static int expected(uint8_t op, size_t count) {
    bool bare = count == 0;
    switch (op) {
    case OP_ALL_READY: return bare ? STATUS_DENIED : STATUS_MALFORMED;
    case OP_VAULT_SEED: return !bare ? STATUS_MALFORMED : known.present ? STATUS_EXISTS : STATUS_OK;
    case OP_VAULT_PUBKEY:
    case OP_VAULT_DESTROY: return !bare ? STATUS_MALFORMED : known.present ? STATUS_OK : STATUS_NOT_FOUND;
    case OP_VAULT_SIGN:
        if (count < PURPOSE_BYTES) return STATUS_MALFORMED;
        if (count - PURPOSE_BYTES > LIMIT_SIGN_MESSAGE_BYTES) return STATUS_TOO_LARGE;
        return known.present ? STATUS_OK : STATUS_NOT_FOUND;
    default: return op & WIRE_REPLY_BIT ? STATUS_MALFORMED : STATUS_UNSUPPORTED;
    }
}

/* The same from init, who may ask for nothing but READY, which it has had. */
static int expected_of_init(uint8_t op, size_t count) {
    if (op == OP_ALL_READY) return count ? STATUS_MALFORMED : STATUS_EXISTS;
    return expected(op, count) == STATUS_MALFORMED ? STATUS_MALFORMED : STATUS_DENIED;
}

static void check_granted(uint8_t op, size_t count) {
    size_t message = count - PURPOSE_BYTES;
    if (op == OP_VAULT_DESTROY) keys_check_gone();
    else if (op != OP_VAULT_SIGN) keys_check(op == OP_VAULT_SEED);
    else if (message % VERIFIED_EACH == 0) check(signing_right(&purposes[0], &subjects[0], message), "signature");
    else check(signing_told(), "signature's length and key");
}

/* What was asked, when an answer was not the one expected. */
static void check_answer(int got, int want, uint8_t op, size_t bytes) {
    uint8_t row[] = {op, (uint8_t)bytes, (uint8_t)(bytes >> 8), (uint8_t)got, (uint8_t)want};
    asked++;
    if (got != want || (want != STATUS_OK && ask_bytes() != 0)) say_hex("op, bytes, got, want ", row, sizeof row);
    check(got == want, "the one answer");
    check(want == STATUS_OK || ask_bytes() == 0, "a refusal holds nothing");
}

static void fill(size_t count) { signing_request(PAYLOAD, purposes[0].id, count < PURPOSE_BYTES ? 0 : count - PURPOSE_BYTES); }

static void whole(uint8_t op, size_t count) {
    fill(count);
    int want = expected(op, count);
    check_answer(ask(CAP_VAULT, op, count, subjects[0].handle), want, op, HEAD + count);
    if (want == STATUS_OK) check_granted(op, count);
}

static void whole_of_init(uint8_t op, size_t count) {
    fill(count);
    int want = expected_of_init(op, count);
    check_answer(ask(CAP_READY_VAULT, op, count, subjects[0].handle), want, op, HEAD + count);
}

static void cut(uint8_t op, size_t bytes) {
    ask_head(op, 0);
    check_answer(ask_send(CAP_VAULT, bytes, subjects[0].handle), STATUS_MALFORMED, op, bytes);
}

static void damage(uint8_t op, size_t count, size_t at) {
    fill(count);
    size_t bytes = ask_head(op, count);
    NEXUS_BUFFER[at] ^= 1;
    check_answer(ask_send(CAP_VAULT, bytes, subjects[0].handle), STATUS_MALFORMED, op, bytes);
}

static void each_length(uint8_t op, void (*one)(uint8_t op, size_t count)) {
    for (size_t count = 0; count <= LONGEST; count++) one(op, count);
}

static void damage_each(uint8_t op) {
    for (size_t bytes = 0; bytes < HEAD; bytes++) cut(op, bytes);
    for (size_t i = 0; i < COUNT(damaged); i++)
        for (size_t count = 0; count <= LONGEST; count++) damage(op, count, damaged[i]);
}

void sweep(void) {
    uint8_t number[sizeof asked];
    for (size_t i = 0; i < COUNT(known_ops); i++) each_length(known_ops[i], whole); /* without a key, until SEED makes one */
    for (size_t i = 0; i < COUNT(known_ops); i++) each_length(known_ops[i], whole_of_init);
    for (uint32_t op = 0; op < OPS; op++) whole_of_init((uint8_t)op, 0);
    for (size_t i = 0; i < COUNT(known_ops); i++) damage_each(known_ops[i]);
    for (uint32_t op = 0; op < OPS; op++) each_length((uint8_t)op, whole); /* with a key, until DESTROY ends it */
    ask_head(OP_VAULT_SIGN, LONGEST);
    check(ask_send(CAP_VAULT, IPC_DATA_BYTES + 1, subjects[0].handle) == ASK_BROKEN - E_BAD_ARGUMENT, "no longer message");
    put_number(number, asked, sizeof number);
    say_hex("swept ", number, sizeof number);
}
