/*
 * What the host tells this run: nonce, phase to stop after, test flags, in a block right behind the image ([launch] of
 * abi.toml). Read once by main, before that memory becomes frames, and wiped: the nonce is never readable from user mode.
 */
#include "kernel.h"

static char nonce[LAUNCH_NONCE_BYTES + 1] = "none";
static uint32_t phase = ~0u, flags;
_Static_assert(LAUNCH_PHASE % 4 == 0 && LAUNCH_FLAGS % 4 == 0 && LAUNCH_BYTES % 8 == 0, "launch block is aligned");

static bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

static void read_nonce(const char *text) {
    for (uint32_t i = 0; i < LAUNCH_NONCE_BYTES; i++)
        if (!is_hex(text[i])) return;
    __builtin_memcpy(nonce, text, LAUNCH_NONCE_BYTES);
    nonce[LAUNCH_NONCE_BYTES] = 0;
}

/* A machine that was started by hand has no block: it runs to the last phase, without a nonce. */
void launch_init(void) {
    volatile uint64_t *block = (volatile uint64_t *)ld_payload_end;
    if (*block == LAUNCH_MAGIC) {
        read_nonce((const char *)ld_payload_end + LAUNCH_NONCE);
        phase = *(const volatile uint32_t *)(ld_payload_end + LAUNCH_PHASE);
        flags = *(const volatile uint32_t *)(ld_payload_end + LAUNCH_FLAGS);
    }
    for (uint32_t i = 0; i < LAUNCH_BYTES / sizeof *block; i++) block[i] = 0;
}

const char *launch_nonce(void) { return nonce; }
uint32_t launch_phase(void) { return phase; }
uint32_t launch_flags(void) { return flags; }
