/*
 * The end of a run: last console line, FIFO drained within a bound, finisher device. Called for the system capability's
 * shutdown, for init's death and, without the drain, by panic.
 */
#include "kernel.h"

enum { FINISHER_FAIL = 0x3333, FINISHER_RESET = 0x7777 };

void finish_now(uint32_t code) {
    mmio_write32(FINISHER_BASE, code << 16 | FINISHER_FAIL); /* QEMU exits with the code */
    for (;;) arch_wait();
}

void finish(uint32_t code) {
    console_say("end run=%s code=%u", launch_nonce(), code);
    console_drain();
    finish_now(code);
}

void finish_reboot(void) {
    console_drain();
    mmio_write32(FINISHER_BASE, FINISHER_RESET);
    for (;;) arch_wait();
}
