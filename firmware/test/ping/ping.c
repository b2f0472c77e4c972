/* The smallest system's root process: starts pong, calls it, ends the run with success only if the answer is right. */
#include "nexus.h"
#include "ping.h"
#include "user.h"

enum { SECOND = LIMIT_TICK_HZ, QUESTION = 41 };

static void say(const char *text) {
    size_t n = 0;
    while (text[n]) n++;
    nexus_console_write(CAP_CONSOLE, text, n);
}

static uint64_t resume_pong(void) {
    uint64_t status;
    do status = nexus_supervise(CAP_SUPERVISE_PONG, SUP_RESUME, 0);
    while (status == E_AGAIN);
    return status;
}

/* One more than the question, from another address space. */
static uint64_t ask(void) {
    uint64_t answer;
    *(volatile uint64_t *)NEXUS_BUFFER = QUESTION;
    uint64_t status = nexus_call(CAP_PONG, nexus_word(8, 0, 0), nexus_time() + SECOND, 0, &answer);
    if (status != E_OK || nexus_bytes(answer) != 8) return 0;
    return *(volatile uint64_t *)NEXUS_BUFFER;
}

int user_main(const uint8_t *romfs, size_t romfs_bytes, void *heap, size_t heap_bytes, uint64_t console, uint64_t incarnation,
              uint64_t bring_up, uint64_t stack_bytes) {
    (void)romfs, (void)romfs_bytes, (void)heap, (void)heap_bytes, (void)console, (void)incarnation, (void)bring_up, (void)stack_bytes;
    bool right = resume_pong() == E_OK && ask() == QUESTION + 1;
    uint64_t unused;
    say(right ? "answer right" : "answer wrong");
    nexus_system(CAP_SYSTEM, SYSTEM_SHUTDOWN, right ? EXIT_OK : EXIT_SELFTEST_FAILED, 0, &unused);
    return 1;
}
