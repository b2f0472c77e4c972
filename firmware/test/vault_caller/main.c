/*
 * Root process of system test-vault, in keystored's place (and of test-vault-answers, where it plays rngd too): runs its whole script once, or, when the launch names the first phase as
 * the last, one step at a time as the host tells it by writing into its memory. Every step checks what it can see from here; the
 * host checks the rest (tests/os/test_vault.py).
 */
#include "caller.h"
#include "help.h"
#include "keys.h"
#include "nexus.h"
#include "signing.h"
#include "source.h"
#include "sweep.h"
#include "user.h"

enum { NAME_BYTES = 16, PAUSE = LIMIT_SLICE_TICKS };

static const struct step {
    char name[NAME_BYTES];
    void (*run)(void);
} steps[] = {
    {"setup", keys_setup},       {"seed", keys_seed},      {"show", signing_show},  {"repeat", signing_repeat},
    {"once", signing_once},      {"lost", signing_lost},   {"sweep", sweep},        {"destroy", keys_destroy},
    {"kill", keys_kill},         {"restart", keys_restart}, {"starve", keys_starve}, {"orphan", keys_orphan},
    {"answers", keys_answers},   {"late", signing_late},
};
static const char script[][NAME_BYTES] = {
    "setup", "seed", "show", "repeat", "destroy", "seed", "show", "destroy", "sweep", "seed", "kill", "restart", "seed", "once", "destroy",
    "orphan",
};

/* The host writes a name, then counts the turn up. */
struct host_order {
    volatile uint32_t turn;
    char name[NAME_BYTES];
} host_order;

static void run(const char *name) {
    for (size_t i = 0; i < COUNT(steps); i++) {
        if (memcmp(steps[i].name, name, NAME_BYTES) != 0) continue;
        steps[i].run();
        say(name);
        return;
    }
    check(false, "no such step");
}

static _Noreturn void obey_host(void) {
    for (uint32_t turn = 0;; turn = host_order.turn) {
        uint64_t bits;
        while (host_order.turn == turn) nexus_wait(CAP_NOTIFICATION, nexus_time() + PAUSE, &bits);
        run(host_order.name);
    }
}

int user_main(const uint8_t *romfs, size_t romfs_bytes, void *heap, size_t heap_bytes, uint64_t console, uint64_t incarnation,
              uint64_t bring_up, uint64_t stack_bytes) {
    (void)romfs, (void)romfs_bytes, (void)heap, (void)heap_bytes, (void)console, (void)incarnation, (void)bring_up, (void)stack_bytes;
    uint64_t phase, unused;
    if (source_wanted()) source_serve();
    if (nexus_system(CAP_SYSTEM, SYSTEM_PHASE, 0, 0, &phase) == E_OK && phase == 0) obey_host();
    for (size_t i = 0; i < COUNT(script); i++) run(script[i]);
    nexus_system(CAP_SYSTEM, SYSTEM_SHUTDOWN, EXIT_OK, 0, &unused);
    return LEAVE_FAILED;
}
