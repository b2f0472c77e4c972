/*
 * A kernel, an rngd and a key of straw around vault's own main.c, signed.c and frame.c, compiled for this computer: requests come from
 * standard input, answers go to standard output. Run by tests/unit/test_vault_requests.py, which knows what the answers must be.
 *
 * Of a request: u16 bytes, u8 1 for init's badge, u8 1 when asked on behalf, then the message. Of an answer: u16 bytes, then the message.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "key.h"
#include "nexus.h"
#include "user.h"

enum { PAGE = 4096, KEYSTORED = 3, INIT = 0, SUBJECT = 7, REPLY = 0x900, PUBLIC_BYTE = 0x11, ID_BYTE = 0x22, SIGNATURE_BYTE = 0x33 };

/* ---- the key ---- */

static bool exists;
static struct key_facts facts;

bool key_exists(void) { return exists; }
const struct key_facts *key_facts(void) { return &facts; }
void key_destroy(void) { exists = false; }

void key_make(uint8_t *entropy) {
    memset(entropy, 0, KEY_SEED_BYTES);
    memset(facts.public_key, PUBLIC_BYTE, sizeof facts.public_key);
    memset(facts.id, ID_BYTE, sizeof facts.id);
    exists = true;
}

/* Reads all that it is to sign, so that a sanitizer sees a length that is wrong. */
void key_sign(uint8_t *signature, const uint8_t *message, size_t count) {
    uint8_t sum = 0;
    for (size_t i = 0; i < count; i++) sum ^= message[i];
    memset(signature, SIGNATURE_BYTE, KEY_SIGNATURE_BYTES);
    signature[0] = sum;
}

/* ---- the kernel ---- */

static void put_u64(size_t offset, uint64_t value) { memcpy((uint8_t *)VA_IPC + offset, &value, sizeof value); }

/* The next request, as recv delivers it; the end of the input ends the program. */
static struct nexus_regs deliver(void) {
    uint8_t head[4];
    if (fread(head, sizeof head, 1, stdin) != 1) exit(0);
    uint32_t bytes = (uint32_t)(head[0] | head[1] << 8);
    if (fread(NEXUS_BUFFER, 1, bytes, stdin) != bytes) exit(1);
    put_u64(IPC_SUBJECT_ID, 0x0123456789abcdef);
    put_u64(IPC_SUBJECT, SUBJECT | (uint64_t)KIND_APP << 16);
    uint64_t flags = DELIVER_MESSAGE | (head[3] ? DELIVER_BEHALF : 0), sender = head[2] ? INIT : KEYSTORED;
    uint64_t badge = sender | (head[2] ? (uint64_t)BADGE_FACET_READY << BADGE_FACET_SHIFT : 0);
    return (struct nexus_regs){E_OK, bytes | flags << 24, REPLY, badge, 1, sender};
}

static void answer(uint64_t word) {
    uint8_t head[2] = {(uint8_t)word, (uint8_t)(word >> 8)};
    fwrite(head, sizeof head, 1, stdout);
    fwrite(NEXUS_BUFFER, nexus_bytes(word), 1, stdout);
}

/* rngd: every question is answered in full, with the same nonce. */
static struct nexus_regs call(uint64_t word) {
    if (nexus_bytes(word) != WIRE_REQUEST_HEADER + 2) abort();
    NEXUS_BUFFER[1] |= WIRE_REPLY_BIT;
    NEXUS_BUFFER[2] = STATUS_OK;
    NEXUS_BUFFER[3] = 0;
    memset(NEXUS_BUFFER + WIRE_REPLY_HEADER, 0xee, KEY_SEED_BYTES);
    return (struct nexus_regs){E_OK, WIRE_REPLY_HEADER + KEY_SEED_BYTES, 0, 0, 0, 0};
}

struct nexus_regs nexus_ecall(uint64_t number, uint64_t r0, uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5) {
    (void)r0, (void)r2, (void)r3, (void)r4, (void)r5;
    switch (number) {
    case SYS_RECV: return deliver();
    case SYS_REPLY_RECV: answer(r1); return deliver();
    case SYS_CALL: return call(r1);
    case SYS_TIME:
    case SYS_CONSOLE_WRITE: return (struct nexus_regs){E_OK, 0, 0, 0, 0, 0};
    default: abort();
    }
}

int main(void) {
    if (mmap((void *)VA_IPC, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (void *)VA_IPC) return 1;
    return user_main(0, 0, 0, 0, 0, 1, 0, PAGE);
}
