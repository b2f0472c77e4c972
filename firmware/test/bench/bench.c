/*
 * The client of the rows of nexus bench that need the booted system: here the kernel's own and those that pybench makes; services.c has
 * those of the security services.
 */
#include "bench.h"
#include "measure.h"
#include "nexus.h"
#include "refusals.h"
#include "services.h"
#include "uniform.h"
#include "user.h"

enum { ROUNDS = 1000, PYTHON_ROUNDS = 100, WARM_UP = 100, BADGE = 4, NONCE = 7 };

/* The deadline is armed anew for each call, as every service does; the clock is read outside the loop. */
static uint64_t calls(uint32_t rounds, uint32_t bytes) {
    settle();
    uint64_t answer, deadline = nexus_time() + EDGE_DEADLINE_ECHO_ALL;
    uint64_t before = instructions();
    for (uint32_t i = 0; i < rounds; i++) {
        uint64_t status = nexus_call(CAP_ECHO, nexus_word(bytes, 0, 0), deadline + i, 0, &answer);
        if (status != E_OK || nexus_bytes(answer) != bytes) need(false, "ipc.call");
    }
    return instructions() - before;
}

/* One capability goes there and comes back. */
static uint64_t cap_calls(uint32_t rounds, uint64_t handle) {
    settle();
    uint64_t answer, deadline = nexus_time() + EDGE_DEADLINE_ECHO_ALL;
    uint64_t before = instructions();
    NEXUS_CAPS[0] = (uint32_t)handle;
    for (uint32_t i = 0; i < rounds; i++) {
        uint64_t status = nexus_call(CAP_ECHO, nexus_word(0, 1, 1), deadline + i, 0, &answer);
        if (status != E_OK || nexus_caps(answer) != 1) need(false, "ipc.call.cap");
    }
    return instructions() - before;
}

static uint64_t notifies(uint32_t rounds, uint64_t handle) {
    settle();
    uint64_t before = instructions();
    for (uint32_t i = 0; i < rounds; i++)
        if (nexus_notify(handle) != E_OK) need(false, "ipc.notify");
    return instructions() - before;
}

static void ipc_rows(void) {
    static const struct { const char *name; uint32_t bytes; } sizes[] = {{"ipc.call.0", 0}, {"ipc.call.32", 32}, {"ipc.call.256", 256}};
    uint64_t handle;
    calls(WARM_UP, 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) say_row(sizes[i].name, calls(ROUNDS, sizes[i].bytes), ROUNDS);
    need(nexus_cap_mint(CAP_NOTIFICATION, BADGE, RIGHT_CALL | RIGHT_GRANT, &handle) == E_OK, "mint");
    say_row("ipc.notify", notifies(ROUNDS, handle), ROUNDS);
    say_row("ipc.call.cap", cap_calls(ROUNDS, handle), ROUNDS);
}

/* What it costs to have pybench make these calls: instructions, and how many of them were waiting (icount counts idle time). */
struct cost { uint64_t all, idle; };

static struct cost python_calls(uint8_t row, uint16_t rounds) {
    settle();
    struct __attribute__((packed)) request { uint8_t version, op; uint16_t length; uint32_t nonce; uint8_t row; uint16_t rounds; };
    *(volatile struct request *)NEXUS_BUFFER = (struct request){WIRE_VERSION, OP_PYBENCH_RUN, 3, NONCE, row, rounds};
    uint64_t idle = usage(USAGE_IDLE_INSTRUCTIONS), answer, deadline = nexus_time() + EDGE_DEADLINE_PYBENCH_ALL;
    uint64_t before = instructions();
    uint64_t status = nexus_call(CAP_PYBENCH, nexus_word(sizeof(struct request), 0, 0), deadline, 0, &answer);
    uint64_t all = instructions() - before;
    need(status == E_OK && nexus_bytes(answer) == WIRE_REPLY_HEADER && NEXUS_BUFFER[2] == STATUS_OK, "pybench");
    return (struct cost){all, usage(USAGE_IDLE_INSTRUCTIONS) - idle};
}

/* The difference to an empty run, so that asking pybench is not counted. */
static void python_row(const char *name, uint8_t row) {
    struct cost none, calls;
    python_calls(row, 1);
    none = python_calls(row, 0);
    calls = python_calls(row, PYTHON_ROUNDS);
    say_row(name, calls.all - calls.idle - (none.all - none.idle), PYTHON_ROUNDS);
}

int user_main(const uint8_t *romfs, size_t romfs_bytes, void *heap, size_t heap_bytes, uint64_t console, uint64_t incarnation,
              uint64_t bring_up, uint64_t stack_bytes) {
    (void)romfs, (void)romfs_bytes, (void)heap, (void)heap_bytes, (void)console, (void)incarnation, (void)bring_up, (void)stack_bytes;
    ipc_rows();
    python_row("py.call.0", ROW_PY_CALL);
    python_row("rngd.request.32", ROW_RNGD_REQUEST);
    python_row("policy.decide", ROW_POLICY_DECIDE);
    python_row("policy.decide.full", ROW_POLICY_DECIDE_FULL);
    python_row("policy.target.1", ROW_POLICY_TARGET_1);
    python_row("policy.target.32", ROW_POLICY_TARGET_32);
    service_rows(); /* first: in a full class of the trail each record costs more */
    refusal_rows();
    bundle_refusals();
    python_calls(ROW_BEGIN_CHILD, 1);
    exec_refusals(CHILD_OF_PYBENCH);
    say_row("kernel.max_path", usage(USAGE_MAX_PATH), 1);
    end(EXIT_OK);
}
