/*
 * What one life of a process leaves to the next: nothing, but for the region that its row keeps. The judge restarts the attacker
 * in the middle of a run, and the second life tells what it finds. And what the end of a quiet_fault process tells: its cause alone.
 */
#include "attacker.h"
#include "effects.h"

enum { WORDS = 16 };

static uint64_t in_bss[WORDS];
static uint64_t in_data[WORDS] = {1};

static volatile uint64_t *kept(void) { return (volatile uint64_t *)VA_KEPT; }
static volatile uint64_t *heap(void) { return (volatile uint64_t *)VA_HEAP; }
static volatile uint64_t *deep_stack(void) { return (volatile uint64_t *)(VA_STACK_TOP - 3 * PAGE); }
static volatile uint64_t *ipc_tail(void) { return (volatile uint64_t *)(VA_IPC + 2048); }

static void leave_traces(uint64_t token) {
    kept()[0] = token;
    for (uint32_t i = 0; i < WORDS; i++) {
        ((volatile uint64_t *)in_bss)[i] = ((volatile uint64_t *)in_data)[i] = token;
        heap()[i] = deep_stack()[i] = ipc_tail()[i] = token;
    }
}

static uint64_t traces(void) {
    uint64_t found = in_data[0] != 1;
    for (uint32_t i = 0; i < WORDS; i++)
        found += (((volatile uint64_t *)in_bss)[i] != 0) + (heap()[i] != 0) + (deep_stack()[i] != 0) + (ipc_tail()[i] != 0);
    return found;
}

/* The first life leaves traces and is restarted at its probe; the second one counts them, or (twin) reads what is kept. */
static uint64_t live_twice(uint32_t arg, bool right) {
    (void)arg;
    if (told.life == 0) {
        leave_traces(told.token);
        (void)probe(0);
        return UNLIKE;
    }
    done_data = right ? kept()[0] : traces();
    return E_OK;
}

static void restart_on_probe(uint32_t arg, bool right) {
    (void)arg, (void)right;
    if (seen.probes != 1 || seen.measured) return;
    seen.measured = 1;
    restart_attacker();
}

static int64_t found(uint32_t arg, bool right) {
    (void)arg;
    return right ? seen.data == seen.token : (int64_t)seen.data;
}

/* Where a secret was touched, and by what code, is nobody's business. The twin's row does not ask for that. */
static uint64_t fault_with_secret(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return *(volatile uint8_t *)0x80000000;
}

static int64_t place_told(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return seen.end.pc != 0 && seen.end.value != 0;
}

static const struct proof_case cases[] = {
    {.name = "life.quiet_fault", .attack = fault_with_secret, .who = WHO_QUIET, .twin_who = WHO_EQUAL, .effect = place_told},
    {.name = "life.traces", .attack = live_twice, .poll = restart_on_probe, .effect = found},
};
const struct proof_group life_group = {cases, COUNT(cases)};
