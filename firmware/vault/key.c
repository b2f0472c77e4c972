/*
 * What is done with the device key: made, used, destroyed. Called by main.c. Every function whose name ends in _guarded runs on
 * the key stack, and only those look at the secret; their locals hold what must not outlive them, so none may be called directly.
 */
#include "key.h"

#include <sodium/crypto_hash_sha256.h>
#include <sodium/crypto_sign_ed25519.h>
#include <sodium/utils.h>
#include <string.h>

_Static_assert(KEY_SECRET_BYTES == crypto_sign_ed25519_SECRETKEYBYTES, "secret");
_Static_assert(KEY_SEED_BYTES == crypto_sign_ed25519_SEEDBYTES, "seed");
_Static_assert(KEY_PUBLIC_BYTES == crypto_sign_ed25519_PUBLICKEYBYTES, "public key");
_Static_assert(KEY_SIGNATURE_BYTES == crypto_sign_ed25519_BYTES, "signature");

static bool exists;
static struct key_facts facts;

bool key_exists(void) { return exists; }
const struct key_facts *key_facts(void) { return &facts; }

static void make_guarded(void *entropy) {
    uint8_t seed[KEY_SEED_BYTES];
    memcpy(seed, entropy, sizeof seed);
    sodium_memzero(entropy, sizeof seed);
    crypto_sign_ed25519_seed_keypair(facts.public_key, vault_key_secret, seed);
}

void key_make(uint8_t *entropy) {
    uint8_t digest[crypto_hash_sha256_BYTES];
    key_guarded(make_guarded, entropy);
    crypto_hash_sha256(digest, facts.public_key, sizeof facts.public_key);
    memcpy(facts.id, digest, sizeof facts.id);
    exists = true;
}

struct signing {
    uint8_t *signature;
    const uint8_t *message;
    size_t count;
};

static void sign_guarded(void *argument) {
    const struct signing *s = argument;
    crypto_sign_ed25519_detached(s->signature, NULL, s->message, s->count, vault_key_secret);
}

void key_sign(uint8_t *signature, const uint8_t *message, size_t count) {
    struct signing signing = {signature, message, count};
    key_guarded(sign_guarded, &signing);
}

void key_destroy(void) {
    exists = false;
    sodium_memzero(&facts, sizeof facts);
    sodium_memzero(vault_key_start, (size_t)(vault_key_end - vault_key_start));
}
