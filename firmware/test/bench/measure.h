/*
 * What every part of the bench measures and says with: instructions by rdinstret, which systems with flag `counters` alone leave readable
 * in user mode, and lines for the host. A line is `row <name> <sum> <rounds>`, both sixteen hex digits. A row that can't be measured ends
 * the run: no figure is better than a wrong one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint64_t instructions(void) {
    uint64_t n;
    __asm__ volatile("rdinstret %0" : "=r"(n));
    return n;
}

void say_row(const char *name, uint64_t sum, uint64_t rounds);
/* Two rows of single costs, which are sorted here: their median, and under `max_name` the largest; 0: not wanted. */
void say_costs(const char *name, const char *max_name, uint32_t *costs, size_t count);
/* One of the costs of a class of requests, as `cost <name> <instructions> <times>`. */
void say_cost(const char *name, uint64_t cost, uint64_t times);
void need(bool right, const char *what);
_Noreturn void end(uint64_t code);

/* A figure of the kernel's, USAGE_*. */
uint64_t usage(uint64_t what);

/* Sleeps until the console is out, whoever works when idle is done, and a tick has just been set: from here on every run meets the same. */
void settle(void);
