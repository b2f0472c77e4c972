/*
 * The device key: the one secret of the process, and all that is ever done with it. Called by main.c; what comes out are public
 * keys and signatures. Each operation runs on a stack inside the key region (guard.S) and leaves nothing of the key outside it.
 */
#pragma once

#include "contract.h"

/* Also read by guard.S. tests/os/test_vault.py sees how much of it the deepest operation needs. */
#define KEY_STACK_BYTES 4096
#define KEY_SECRET_BYTES 64 /* as libsodium keeps it: the seed, then the public key */

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What may be known of the key. */
struct key_facts {
    uint8_t id[KEY_ID_BYTES];
    uint8_t public_key[KEY_PUBLIC_BYTES];
};

bool key_exists(void);
const struct key_facts *key_facts(void);

/* A key from KEY_SEED_BYTES of entropy, which are wiped where they lie. There must be no key. */
enum { KEY_SEED_BYTES = 32 };
void key_make(uint8_t *entropy);

/* KEY_SIGNATURE_BYTES over a message that is no secret. There must be a key. */
void key_sign(uint8_t *signature, const uint8_t *message, size_t count);

void key_destroy(void);

/*
 * guard.S: runs an operation on the key stack; when it returns, that stack and every register that the operation could have
 * left something in are wiped.
 */
void key_guarded(void (*operation)(void *argument), void *argument);

/* guard.S: the key region, whole pages, the lowest of the program's writable ones. */
extern uint8_t vault_key_start[], vault_key_end[], vault_key_stack_end[];
extern uint8_t vault_key_secret[];
#endif
