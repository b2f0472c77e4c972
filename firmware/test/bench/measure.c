/* Counting and saying, for all parts of the bench. */
#include "measure.h"

#include "bench.h"
#include "nexus.h"

enum { HEX_DIGITS = 16, LINE = 80, SETTLE_TICKS = 50000 };

static size_t put(char *to, const char *text) {
    size_t n = 0;
    for (; text[n] && n < LINE / 2; n++) to[n] = text[n];
    return n;
}

static size_t put_hex(char *to, uint64_t value) {
    *to++ = ' ';
    for (int digit = HEX_DIGITS - 1; digit >= 0; digit--) *to++ = "0123456789abcdef"[value >> 4 * digit & 15];
    return HEX_DIGITS + 1;
}

static void say(const char *kind, const char *name, uint64_t first, uint64_t second) {
    char line[LINE];
    size_t n = put(line, kind);
    n += put(line + n, name);
    n += put_hex(line + n, first);
    n += put_hex(line + n, second);
    nexus_console_write(CAP_CONSOLE, line, n);
}

void say_row(const char *name, uint64_t sum, uint64_t rounds) { say("row ", name, sum, rounds); }
void say_cost(const char *name, uint64_t cost, uint64_t times) { say("cost ", name, cost, times); }

static void sort(uint32_t *costs, size_t count) {
    for (size_t gap = count / 2; gap; gap /= 2)
        for (size_t i = gap; i < count; i++)
            for (size_t j = i; j >= gap && costs[j - gap] > costs[j]; j -= gap) {
                uint32_t larger = costs[j - gap];
                costs[j - gap] = costs[j];
                costs[j] = larger;
            }
}

void say_costs(const char *name, const char *max_name, uint32_t *costs, size_t count) {
    sort(costs, count);
    say_row(name, costs[count / 2], 1);
    if (max_name) say_row(max_name, costs[count - 1], 1);
}

_Noreturn void end(uint64_t code) {
    uint64_t unused;
    nexus_system(CAP_SYSTEM, SYSTEM_SHUTDOWN, code, 0, &unused);
    nexus_exit(code);
}

void need(bool right, const char *what) {
    if (right) return;
    char line[LINE];
    size_t n = put(line, "failed ");
    nexus_console_write(CAP_CONSOLE, line, n + put(line + n, what));
    end(EXIT_SELFTEST_FAILED);
}

uint64_t usage(uint64_t what) {
    uint64_t value;
    need(nexus_system(CAP_SYSTEM, SYSTEM_USAGE, what, 0, &value) == E_OK, "usage");
    return value;
}

static void rest(void) {
    uint64_t bits;
    nexus_wait(CAP_NOTIFICATION, nexus_time() + SETTLE_TICKS, &bits);
}

/* Counted time says nothing about the host, which may take its own to read. */
void settle(void) {
    do rest();
    while (usage(USAGE_CONSOLE_BYTES) > 0);
    rest();
}
