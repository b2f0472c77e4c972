/*
 * Root process of system test-crypto: runs libsodium, as it is compiled for this machine, against published vectors and
 * against what it must refuse, and ends the run with success only if every case went right. One line per table says how many
 * cases it ran, so that a table that was skipped can't pass; judged by tests/os/test_crypto.py.
 */
#include <sodium/crypto_aead_chacha20poly1305.h>
#include <sodium/crypto_generichash_blake2b.h>
#include <sodium/crypto_hash_sha256.h>
#include <sodium/crypto_hash_sha512.h>
#include <sodium/crypto_sign_ed25519.h>

#include "crypto.h"
#include "nexus.h"
#include "user.h"
#include "vectors.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
enum { LINE_BYTES = 120, MESSAGE_MAX = 1100, BITS = 8 };

static uint32_t ran, failed;

static size_t put(char *line, size_t at, const char *text) {
    while (*text && at < LINE_BYTES) line[at++] = *text++;
    return at;
}

static size_t put_number(char *line, size_t at, uint32_t number) {
    char digits[10];
    size_t n = 0;
    do digits[n++] = (char)('0' + number % 10);
    while (number /= 10);
    while (n && at < LINE_BYTES) line[at++] = digits[--n];
    return at;
}

static void check(bool right, const char *name) {
    char line[LINE_BYTES];
    ran++;
    if (right) return;
    failed++;
    size_t n = put(line, put(line, 0, "FAIL "), name);
    nexus_console_write(CAP_CONSOLE, line, n);
}

/* Ends a group of cases: its name and how many there were. */
static void report(const char *group) {
    char line[LINE_BYTES];
    size_t n = put(line, put(line, 0, group), " cases=");
    nexus_console_write(CAP_CONSOLE, line, put_number(line, n, ran));
    ran = 0;
}

static bool same(const uint8_t *a, struct octets b) { return memcmp(a, b.data, b.count) == 0; }

static bool verifies(const uint8_t *key, struct octets message, const uint8_t *signature) {
    return crypto_sign_ed25519_verify_detached(signature, message.data, message.count, key) == 0;
}

static void test_sha2(const struct sha2_case *c) {
    crypto_hash_sha256_state short_state;
    crypto_hash_sha512_state long_state;
    uint8_t digest[crypto_hash_sha512_BYTES];
    crypto_hash_sha256_init(&short_state);
    crypto_hash_sha512_init(&long_state);
    for (uint32_t i = 0; i < c->repeat; i++) {
        crypto_hash_sha256_update(&short_state, c->message.data, c->message.count);
        crypto_hash_sha512_update(&long_state, c->message.data, c->message.count);
    }
    crypto_hash_sha256_final(&short_state, digest);
    check(same(digest, c->sha256), c->name);
    crypto_hash_sha512_final(&long_state, digest);
    check(same(digest, c->sha512), c->name);
}

static void test_blake2b(const struct blake2b_case *c) {
    uint8_t digest[crypto_generichash_blake2b_BYTES_MAX];
    crypto_generichash_blake2b(digest, c->digest.count, c->message.data, c->message.count, NULL, 0);
    check(same(digest, c->digest), c->name);
}

static bool opens(const struct aead_case *c, const uint8_t *boxed, const uint8_t *nonce, size_t extra) {
    static uint8_t plain[MESSAGE_MAX];
    return crypto_aead_chacha20poly1305_ietf_decrypt(
               plain, NULL, NULL, boxed, c->boxed.count, c->extra.data, extra, nonce, c->key.data) == 0 &&
        same(plain, c->plain);
}

/* Sealed as published, opened again, and refused with any one bit of box or nonce, or the end of the extra data, changed. */
static void test_aead(const struct aead_case *c) {
    static uint8_t boxed[MESSAGE_MAX];
    uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
    crypto_aead_chacha20poly1305_ietf_encrypt(
        boxed, NULL, c->plain.data, c->plain.count, c->extra.data, c->extra.count, NULL, c->nonce.data, c->key.data);
    memcpy(nonce, c->nonce.data, sizeof nonce);
    check(same(boxed, c->boxed), c->name);
    check(opens(c, boxed, nonce, c->extra.count), c->name);
    for (size_t bit = 0; bit < c->boxed.count * BITS; bit++) {
        boxed[bit / BITS] ^= 1 << bit % BITS;
        check(!opens(c, boxed, nonce, c->extra.count), c->name);
        boxed[bit / BITS] ^= 1 << bit % BITS;
    }
    nonce[0] ^= 1;
    check(!opens(c, boxed, nonce, c->extra.count), c->name);
    nonce[0] ^= 1;
    if (c->extra.count) check(!opens(c, boxed, nonce, c->extra.count - 1), c->name);
}

static void test_sign(const struct ed25519_sign_case *c) {
    uint8_t public_key[crypto_sign_ed25519_PUBLICKEYBYTES], secret_key[crypto_sign_ed25519_SECRETKEYBYTES];
    uint8_t signature[crypto_sign_ed25519_BYTES];
    crypto_sign_ed25519_seed_keypair(public_key, secret_key, c->seed.data);
    check(same(public_key, c->public_key), c->name);
    crypto_sign_ed25519_detached(signature, NULL, c->message.data, c->message.count, secret_key);
    check(same(signature, c->signature), c->name);
    check(verifies(public_key, c->message, signature), c->name);
}

/* Of signature, key and message: nothing verifies that differs by one bit. */
static void test_flips(const struct ed25519_sign_case *c) {
    static uint8_t message[MESSAGE_MAX];
    uint8_t key[crypto_sign_ed25519_PUBLICKEYBYTES], signature[crypto_sign_ed25519_BYTES];
    struct octets text = {message, c->message.count};
    struct { uint8_t *data; size_t count; } parts[] = {
        {signature, sizeof signature}, {key, sizeof key}, {message, c->message.count},
    };
    memcpy(key, c->public_key.data, sizeof key);
    memcpy(signature, c->signature.data, sizeof signature);
    memcpy(message, c->message.data, c->message.count);
    for (size_t part = 0; part < COUNT(parts); part++) {
        for (size_t bit = 0; bit < parts[part].count * BITS; bit++) {
            parts[part].data[bit / BITS] ^= 1 << bit % BITS;
            check(!verifies(key, text, signature), c->name);
            parts[part].data[bit / BITS] ^= 1 << bit % BITS;
        }
    }
    check(verifies(key, text, signature), c->name);
}

static void test_refuse(const struct ed25519_refuse_case *c) {
    check(!verifies(c->public_key.data, c->message, c->signature.data), c->name);
}

/* Wrong use of the library stops the process, and nothing else. */
static void test_misuse(void) {
    struct process_status told = {0};
    uint64_t status, bits;
    do status = nexus_supervise(CAP_SUPERVISE_MISUSE, SUP_RESUME, 0);
    while (status == E_AGAIN);
    nexus_wait(CAP_NOTIFICATION, nexus_time() + LIMIT_TICK_HZ, &bits);
    status = nexus_supervise(CAP_SUPERVISE_MISUSE, SUP_STATUS, &told);
    check(status == E_OK && told.state == STATE_STOPPED && told.fault == FAULT_INSTRUCTION, "misuse");
}

#define EACH(table, test) \
    for (size_t i = 0; i < COUNT(table); i++) test(&table[i])

enum { FLIPPED_CASE = 2 }; /* a message of two bytes: every bit of all three parts in a second */

int user_main(const uint8_t *romfs, size_t romfs_bytes, void *heap, size_t heap_bytes, uint64_t console,
    uint64_t incarnation, uint64_t bring_up, uint64_t stack_bytes) {
    (void)romfs, (void)romfs_bytes, (void)heap, (void)heap_bytes, (void)console;
    (void)incarnation, (void)bring_up, (void)stack_bytes;
    uint64_t unused;
    EACH(sha2_cases, test_sha2);
    report("sha2");
    EACH(blake2b_cases, test_blake2b);
    report("blake2b");
    EACH(aead_cases, test_aead);
    report("aead");
    EACH(ed25519_sign_cases, test_sign);
    report("ed25519-sign");
    test_flips(&ed25519_sign_cases[FLIPPED_CASE]);
    report("ed25519-flips");
    EACH(ed25519_refuse_cases, test_refuse);
    report("ed25519-refuse");
    test_misuse();
    report("misuse");
    nexus_system(CAP_SYSTEM, SYSTEM_SHUTDOWN, failed ? EXIT_SELFTEST_FAILED : EXIT_OK, 0, &unused);
    return 1;
}
