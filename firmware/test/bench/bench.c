/*
 * The client of the IPC rows of nexus bench, and the root of system `bench`: counts instructions of round trips by rdinstret, which
 * this system alone leaves readable. Each row is one line `row <name> <sixteen hex digits>`: instructions of ROUNDS round trips.
 */
#include "bench.h"
#include "nexus.h"
#include "user.h"

enum { ROUNDS = 1000, WARM_UP = 100, DEADLINE = LIMIT_TICK_HZ / 10, HEX_DIGITS = 16, BADGE = 4 };

static uint64_t instructions(void) {
    uint64_t n;
    __asm__ volatile("rdinstret %0" : "=r"(n));
    return n;
}

static size_t put(char *to, const char *text) {
    size_t n = 0;
    for (; text[n]; n++) to[n] = text[n];
    return n;
}

static void say_row(const char *name, uint64_t value) {
    char line[64];
    size_t n = put(line, "row ");
    n += put(line + n, name);
    line[n++] = ' ';
    for (int digit = HEX_DIGITS - 1; digit >= 0; digit--) line[n++] = "0123456789abcdef"[value >> 4 * digit & 15];
    nexus_console_write(CAP_CONSOLE, line, n);
}

static _Noreturn void end(uint64_t code) {
    uint64_t unused;
    nexus_system(CAP_SYSTEM, SYSTEM_SHUTDOWN, code, 0, &unused);
    nexus_exit(code);
}

static void need(uint64_t status) {
    if (status != E_OK) {
        say_row("failed", status);
        end(EXIT_SELFTEST_FAILED);
    }
}

/* The deadline is armed anew for each call, as every service does; the clock is read outside the loop. */
static uint64_t calls(uint32_t rounds, uint32_t bytes) {
    uint64_t answer, deadline = nexus_time() + DEADLINE * 100;
    uint64_t before = instructions();
    for (uint32_t i = 0; i < rounds; i++) {
        uint64_t status = nexus_call(CAP_BENCH_SERVER, nexus_word(bytes, 0, 0), deadline + i, 0, &answer);
        if (status != E_OK || nexus_bytes(answer) != bytes) need(status + 1);
    }
    return instructions() - before;
}

/* One capability goes there and comes back. */
static uint64_t cap_calls(uint32_t rounds, uint64_t handle) {
    uint64_t answer, deadline = nexus_time() + DEADLINE * 100;
    uint64_t before = instructions();
    NEXUS_CAPS[0] = (uint32_t)handle;
    for (uint32_t i = 0; i < rounds; i++) {
        uint64_t status = nexus_call(CAP_BENCH_SERVER, nexus_word(0, 1, 1), deadline + i, 0, &answer);
        if (status != E_OK || nexus_caps(answer) != 1) need(status + 1);
    }
    return instructions() - before;
}

static uint64_t notifies(uint32_t rounds, uint64_t handle) {
    uint64_t before = instructions();
    for (uint32_t i = 0; i < rounds; i++)
        if (nexus_notify(handle) != E_OK) need(E_STATE);
    return instructions() - before;
}

static void measure(void) {
    static const struct { const char *name; uint32_t bytes; } sizes[] = {{"ipc.call.0", 0}, {"ipc.call.32", 32}, {"ipc.call.256", 256}};
    uint64_t handle;
    calls(WARM_UP, 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) say_row(sizes[i].name, calls(ROUNDS, sizes[i].bytes));
    need(nexus_cap_mint(CAP_NOTIFICATION, BADGE, RIGHT_CALL | RIGHT_GRANT, &handle));
    say_row("ipc.notify", notifies(ROUNDS, handle));
    say_row("ipc.call.cap", cap_calls(ROUNDS, handle));
}

static void resume(uint64_t handle) {
    uint64_t status;
    do status = nexus_supervise(handle, SUP_RESUME, 0);
    while (status == E_AGAIN);
    need(status);
}

int user_main(const uint8_t *romfs, size_t romfs_bytes, void *heap, size_t heap_bytes, uint64_t console, uint64_t incarnation,
              uint64_t bring_up, uint64_t stack_bytes) {
    (void)romfs, (void)romfs_bytes, (void)heap, (void)heap_bytes, (void)console, (void)incarnation, (void)bring_up, (void)stack_bytes;
    uint64_t path;
    resume(CAP_SUPERVISE_BENCH_SERVER);
    measure();
    need(nexus_system(CAP_SYSTEM, SYSTEM_USAGE, USAGE_MAX_PATH, 0, &path));
    say_row("kernel.max_path", path);
    end(EXIT_OK);
}
