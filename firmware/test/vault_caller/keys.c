/*
 * Starts what vault needs, then makes keys, has them told, destroyed, and lost with their process. Called by main.c of vault's
 * caller; every answer must be the one that can be right.
 */
#include "keys.h"

#include "caller.h"
#include "nexus.h"
#include "signing.h"
#include "source.h"
#include "user.h"

enum { ID = sizeof(uint32_t) + 1, PUBLIC = ID + KEY_ID_BYTES, TOLD_BYTES = PUBLIC + KEY_PUBLIC_BYTES };

static uint32_t restarts, made; /* of vault; keys since then */

static int key_ask(uint8_t op) { return ask(CAP_VAULT, op, 0, 0); }

static void learn(void) {
    check(memcmp(known.public_key, PAYLOAD + PUBLIC, KEY_PUBLIC_BYTES) != 0, "another key than before");
    known.present = true;
    known.generation = restarts << KEY_GENERATION_SHIFT | ++made;
    known.mode = PAYLOAD[sizeof(uint32_t)];
    memcpy(known.id, PAYLOAD + ID, KEY_ID_BYTES);
    memcpy(known.public_key, PAYLOAD + PUBLIC, KEY_PUBLIC_BYTES);
}

void keys_check(bool fresh) {
    check(ask_bytes() == TOLD_BYTES, "length of what is told of a key");
    if (fresh) learn();
    check(get_number(PAYLOAD, sizeof(uint32_t)) == known.generation, "generation");
    check(PAYLOAD[sizeof(uint32_t)] == known.mode, "mode");
    check(memcmp(PAYLOAD + ID, known.id, KEY_ID_BYTES) == 0, "key id");
    check(memcmp(PAYLOAD + PUBLIC, known.public_key, KEY_PUBLIC_BYTES) == 0, "public key");
}

void keys_check_gone(void) {
    check(ask_bytes() == sizeof(uint32_t) && get_number(PAYLOAD, sizeof(uint32_t)) == known.generation, "what was destroyed");
    known.present = false;
}

/* ---- steps ---- */

static void resume(uint64_t handle, uint64_t ready) {
    uint64_t status;
    do status = nexus_supervise(handle, SUP_RESUME, 0);
    while (status == E_AGAIN);
    check(status == E_OK && ask(ready, OP_ALL_READY, 0, 0) == STATUS_OK, "started and ready");
}

static void restart(uint64_t handle, uint64_t ready) {
    uint64_t status;
    do status = nexus_supervise(handle, SUP_RESTART, 0);
    while (status == E_AGAIN);
    check(status == E_OK && ask(ready, OP_ALL_READY, 0, 0) == ASK_BROKEN - E_RESTARTED, "restarted, which is told");
    check(ask(ready, OP_ALL_READY, 0, 0) == STATUS_OK, "ready again");
}

/* No key: nothing to sign with, to tell or to destroy. Asked for nobody, by init, or as init: refused before that. */
static void check_absent(void) {
    check(key_ask(OP_VAULT_PUBKEY) == STATUS_NOT_FOUND, "no public key");
    check(key_ask(OP_VAULT_DESTROY) == STATUS_NOT_FOUND, "nothing to destroy");
    size_t count = signing_request(PAYLOAD, purposes[0].id, 1);
    check(ask(CAP_VAULT, OP_VAULT_SIGN, count, subjects[0].handle) == STATUS_NOT_FOUND, "nothing to sign with");
}

static void check_refusals(void) {
    size_t count = signing_request(PAYLOAD, purposes[0].id, 1);
    check(ask(CAP_VAULT, OP_VAULT_SIGN, count, 0) == STATUS_DENIED, "no signature for nobody");
    signing_request(PAYLOAD, 0xffff, 1);
    check(ask(CAP_VAULT, OP_VAULT_SIGN, count, subjects[0].handle) == STATUS_UNSUPPORTED, "no signature for nothing");
    check(ask(CAP_VAULT, OP_ALL_READY, 0, 0) == STATUS_DENIED, "only init asks for READY");
    check(ask(CAP_READY_VAULT, OP_ALL_READY, 0, 0) == STATUS_EXISTS, "READY is answered once");
    check(ask(CAP_READY_VAULT, OP_VAULT_PUBKEY, 0, 0) == STATUS_DENIED, "init asks for READY only");
}

void keys_setup(void) {
    resume(CAP_SUPERVISE_LOGD, CAP_READY_LOGD);
#ifdef CAP_SUPERVISE_POLICYD /* whom a real rngd asks */
    resume(CAP_SUPERVISE_POLICYD, CAP_READY_POLICYD);
#endif
    resume(CAP_SUPERVISE_RNGD, CAP_READY_RNGD);
    resume(CAP_SUPERVISE_VAULT, CAP_READY_VAULT);
    subjects_make();
    check_absent();
    check_refusals();
}

/* key <generation u32><mode u8><key id><public key>, as hex, numbers as on the wire */
void keys_seed(void) {
    check(key_ask(OP_VAULT_SEED) == STATUS_OK, "key made");
    keys_check(true);
    say_hex("key ", PAYLOAD, TOLD_BYTES);
    check(key_ask(OP_VAULT_SEED) == STATUS_EXISTS, "one key at a time");
    check(key_ask(OP_VAULT_PUBKEY) == STATUS_OK, "public key told");
    keys_check(false);
    check_refusals();
}

void keys_destroy(void) {
    check(key_ask(OP_VAULT_DESTROY) == STATUS_OK, "key destroyed");
    keys_check_gone();
    check_absent();
}

/* Where it stopped is nobody's business: it may have been busy with the key. */
static void check_stopped(void) {
    struct process_status told;
    check(nexus_supervise(CAP_SUPERVISE_VAULT, SUP_STATUS, &told) == E_OK && told.state == STATE_STOPPED, "vault has stopped");
    check(told.pc == 0 && told.value == 0, "and nothing is said of where");
}

void keys_kill(void) {
    check(nexus_supervise(CAP_SUPERVISE_VAULT, SUP_KILL, 0) == E_OK, "vault killed");
    check_stopped();
    check(key_ask(OP_VAULT_PUBKEY) == ASK_BROKEN - E_PEER_DIED, "nobody answers");
}

void keys_restart(void) {
    check_stopped();
    restart(CAP_SUPERVISE_VAULT, CAP_READY_VAULT);
    restarts++;
    made = 0;
    known.present = false;
    check(key_ask(OP_VAULT_PUBKEY) == ASK_BROKEN - E_RESTARTED, "the restart is told");
    check_absent();
    check_refusals();
}

/* ---- entropy that does not come ---- */

void keys_starve(void) {
    check(key_ask(OP_VAULT_SEED) == STATUS_UNAVAILABLE, "no entropy, no key");
    check_absent();
}

void keys_orphan(void) {
    check(nexus_supervise(CAP_SUPERVISE_RNGD, SUP_KILL, 0) == E_OK, "rngd killed");
    keys_starve();
    restart(CAP_SUPERVISE_RNGD, CAP_READY_RNGD);
    check(key_ask(OP_VAULT_SEED) == STATUS_OK, "key made with the next rngd");
    keys_check(true);
    keys_destroy();
}

/* In system test-vault-answers rngd is one of ours and gives each wrong answer in turn, then a right one. */
void keys_answers(void) {
    for (size_t i = 0; i < source_answers; i++) {
        check(key_ask(OP_VAULT_SEED) == source_outcome(i), "what becomes of the answer");
        check(ask_bytes() == 0, "a refusal holds nothing");
        check_absent();
    }
    keys_seed();
}
