/*
 * The shell's interpreter without a system under it: UART0 and the machine timer of QEMU -M virt, in machine mode. What the isolated
 * shell is measured against: the same files and flags, with this in place of terminal.c, clock.c and the kernel.
 * Never part of an image. Like upstream's port it polls, and so can't be interrupted.
 */
#include "clock.h"
#include "py/obj.h"
#include "terminal.h"
#include "user.h"

#define UART(offset) (*(volatile uint8_t *)(0x10000000ul + (offset)))
#define MTIME (*(const volatile uint64_t *)0x200bff8ul)

enum { DATA = 0, LINE_STATUS = 5, RECEIVED = 1, SENDABLE = 0x20 };
enum { HEAP_BYTES = 204800, STACK_BYTES = 65536, ROMFS_MAGIC = 0x31cdd2 };

extern const uint8_t board_romfs[]; /* where the host may have loaded one */

/* Module `terminal` is linked in by its name. */
extern const mp_obj_module_t terminal_module;
const mp_obj_module_t terminal_module = {.base = {&mp_type_module}, .globals = (mp_obj_dict_t *)&mp_const_empty_dict_obj};

static uint64_t heap[HEAP_BYTES / sizeof(uint64_t)];

uint64_t clock_ticks(void) { return MTIME; }

bool terminal_is_open(void) { return true; }
bool terminal_ready(void) { return UART(LINE_STATUS) & RECEIVED; }
void terminal_poll(void) {}
void terminal_wait(uint64_t deadline) { (void)deadline; }
void terminal_set_interrupt(int character) { (void)character; }

int terminal_read(void) {
    while (!terminal_ready()) continue;
    return UART(DATA);
}

void terminal_write(const char *text, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        while (!(UART(LINE_STATUS) & SENDABLE)) continue;
        UART(DATA) = (uint8_t)text[i];
    }
}

/* A ROMFS begins with its magic and says how long it is, in seven bits a byte; none is there unless the host has put one. */
static size_t romfs_bytes(void) {
    const uint8_t *at = board_romfs;
    if ((at[0] | at[1] << 8 | at[2] << 16) != ROMFS_MAGIC) return 0;
    size_t bytes = 0;
    at += 3;
    do bytes = bytes << 7 | (*at & 0x7f);
    while (*at++ & 0x80);
    return bytes + (size_t)(at - board_romfs);
}

void board_main(void);
void board_main(void) { user_main(board_romfs, romfs_bytes(), heap, sizeof heap, 0, 1, 0, STACK_BYTES); }
