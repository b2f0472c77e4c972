/*
 * What libsodium expects of its platform: wiping, comparing without leaking where, and dying on misuse. Linked into every
 * program that compiles parts of it. Gives no random bytes: code that would need them must fail to link.
 */
#include <stddef.h>
#include <string.h>

#include <sodium/utils.h>

/* The empty assembly claims to read the memory, so the compiler can't drop the stores. */
void sodium_memzero(void *const address, const size_t bytes) {
    memset(address, 0, bytes);
    __asm__ volatile("" : : "r"(address) : "memory");
}

int sodium_memcmp(const void *const a, const void *const b, size_t bytes) {
    const volatile unsigned char *x = a, *y = b;
    unsigned char difference = 0;
    for (size_t i = 0; i < bytes; i++) difference |= x[i] ^ y[i];
    return (1 & ((difference - 1) >> 8)) - 1; /* 0 when equal, else -1 */
}

int sodium_is_zero(const unsigned char *bytes, const size_t count) {
    const volatile unsigned char *x = bytes;
    unsigned char seen = 0;
    for (size_t i = 0; i < count; i++) seen |= x[i];
    return 1 & ((seen - 1) >> 8);
}

/* A wrong length or the like inside libsodium is a bug of ours: an instruction that no process may execute stops it. */
_Noreturn void sodium_misuse(void) { __builtin_trap(); }
