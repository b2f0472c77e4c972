/*
 * How a user program begins: the one function that it has to define. Included by native programs and by the interpreter.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Called by start.S with what the kernel states at each (re)start; what it returns is the exit status.
 * Handles of the capabilities that the recipe gives are in the generated header caps/<process>.h of a system.
 */
int user_main(const uint8_t *romfs, size_t romfs_bytes, /* 0, 0: none */
    void *heap, size_t heap_bytes,
    uint64_t console,      /* handle, or 0 */
    uint64_t incarnation,  /* 1: first start */
    uint64_t bring_up,     /* 1: the latch is open */
    uint64_t stack_bytes);

/* memory.c: as in C, by doubleword. */
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);
int memcmp(const void *a, const void *b, size_t n);
