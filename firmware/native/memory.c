/*
 * memcpy, memmove, memset, memcmp of every user program, by doubleword (the C library's memset takes four instructions a
 * byte). Never for comparing secrets: that is sodium_memcmp.
 */
#include <stddef.h>
#include <stdint.h>
#include "user.h"

typedef uint64_t __attribute__((may_alias)) word_t;
enum { WORD = sizeof(word_t), BLOCK = 4 * sizeof(word_t) };

static inline size_t misalignment(const void *p) { return (uintptr_t)p % WORD; }

/* Upwards, and right too when the target lies below an overlapping source: a block is read before it is written. */
static void copy_up(uint8_t *d, const uint8_t *s, size_t n) {
    if (n >= BLOCK && misalignment(d) == misalignment(s)) {
        for (; misalignment(d); n--) *d++ = *s++;
        for (; n >= BLOCK; n -= BLOCK, d += BLOCK, s += BLOCK) {
            word_t *dw = (word_t *)d;
            const word_t *sw = (const word_t *)s;
            word_t w0 = sw[0], w1 = sw[1], w2 = sw[2], w3 = sw[3];
            dw[0] = w0, dw[1] = w1, dw[2] = w2, dw[3] = w3;
        }
        for (; n >= WORD; n -= WORD, d += WORD, s += WORD) *(word_t *)d = *(const word_t *)s;
    }
    for (; n >= 4; n -= 4, d += 4, s += 4) {
        uint8_t b0 = s[0], b1 = s[1], b2 = s[2], b3 = s[3];
        d[0] = b0, d[1] = b1, d[2] = b2, d[3] = b3;
    }
    for (; n; n--) *d++ = *s++;
}

void *memcpy(void *restrict to, const void *restrict from, size_t n) {
    copy_up(to, from, n);
    return to;
}

void *memmove(void *to, const void *from, size_t n) {
    uint8_t *d = to;
    const uint8_t *s = from;
    if ((uintptr_t)d - (uintptr_t)s >= n) { /* below the source, or beyond its end */
        copy_up(d, s, n);
        return to;
    }
    if (n >= WORD && misalignment(d) == misalignment(s)) {
        for (; misalignment(d + n); n--) d[n - 1] = s[n - 1];
        for (; n >= WORD; n -= WORD) *(word_t *)(d + n - WORD) = *(const word_t *)(s + n - WORD);
    }
    for (; n; n--) d[n - 1] = s[n - 1];
    return to;
}

void *memset(void *to, int value, size_t n) {
    uint8_t *d = to;
    if (n >= BLOCK) {
        word_t w = (uint8_t)value * 0x0101010101010101u;
        for (; misalignment(d); n--) *d++ = (uint8_t)value;
        for (; n >= BLOCK; n -= BLOCK, d += BLOCK) {
            word_t *dw = (word_t *)d;
            dw[0] = w, dw[1] = w, dw[2] = w, dw[3] = w;
        }
        for (; n >= WORD; n -= WORD, d += WORD) *(word_t *)d = w;
    }
    for (; n; n--) *d++ = (uint8_t)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t n) {
    const uint8_t *x = a, *y = b;
    if (misalignment(x) == 0 && misalignment(y) == 0) {
        for (; n >= WORD && *(const word_t *)x == *(const word_t *)y; n -= WORD) x += WORD, y += WORD;
    }
    for (; n; n--, x++, y++) {
        if (*x != *y) return *x - *y;
    }
    return 0;
}
