/*
 * The end for a bug of the kernel itself: prints cause, pc and address, never user registers or memory, then the finisher.
 * Called by ASSERT and, on the panic stack, by trap_entry.S. Never used for anything a process did.
 */
#include "kernel.h"

enum { PANIC_POLLS = 100000 };

static void put(char c) {
    for (uint32_t i = 0; i < PANIC_POLLS; i++)
        if (uart_put((uint8_t)c)) return;
}

static void put_text(const char *text) {
    while (*text) put(*text++);
}

static void put_hex(const char *name, uint64_t value) {
    put_text(name);
    for (int shift = 60; shift >= 0; shift -= 4) put("0123456789abcdef"[value >> shift & 15]);
}

void panic(const char *why) {
    extern void trap_nested(void);
    CSR_WRITE(mtvec, (uint64_t)trap_nested);
    put_text("\nkernel: panic ");
    put_text(why);
    put_hex(" cause=", CSR_READ(mcause));
    put_hex(" pc=", CSR_READ(mepc));
    put_hex(" address=", CSR_READ(mtval));
    put('\n');
    for (uint32_t i = 0; i < PANIC_POLLS && !uart_idle(); i++) {}
    finish_now(EXIT_KERNEL_PANIC);
}

void panic_trap(void) { panic("trap in the kernel"); }
