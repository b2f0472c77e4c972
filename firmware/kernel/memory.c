/*
 * memcpy, memset and memcmp, which the compiler calls by itself. By doubleword where both sides are aligned: a library's bytewise
 * ones would be the longest path of the kernel.
 */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);

void *memcpy(void *to, const void *from, size_t bytes) {
    uint8_t *out = to;
    const uint8_t *in = from;
    if (((uint64_t)out | (uint64_t)in) % 8 == 0)
        for (; bytes >= 8; bytes -= 8, out += 8, in += 8) *(uint64_t *)out = *(const uint64_t *)in;
    while (bytes--) *out++ = *in++;
    return to;
}

void *memset(void *to, int value, size_t bytes) {
    uint8_t *out = to;
    uint64_t word = (uint8_t)value * 0x0101010101010101ull;
    if ((uint64_t)out % 8 == 0)
        for (; bytes >= 8; bytes -= 8, out += 8) *(uint64_t *)out = word;
    while (bytes--) *out++ = (uint8_t)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t bytes) {
    const uint8_t *x = a, *y = b;
    for (; bytes; bytes--, x++, y++)
        if (*x != *y) return *x - *y;
    return 0;
}
