/*
 * The console as print() sees it: text is gathered into one bounded line and handed to the kernel whole.
 * Called by MicroPython's printer and by main.c. Never waits: a line that the kernel refuses is lost, and the kernel counts it.
 */
#include "nexus.h"
#include "port.h"
#include "py/mphal.h"

static uint64_t console; /* handle, or 0: this process has none */
static char line[LIMIT_WRITE_BYTES];
static size_t used;

void console_init(uint64_t handle) { console = handle; }

uint64_t console_line(const void *text, size_t bytes) {
    return console == 0 ? E_BAD_HANDLE : nexus_console_write(console, text, bytes);
}

void console_flush(void) {
    if (used > 0) console_line(line, used);
    used = 0;
}

void console_text(const char *text, size_t bytes) {
    for (; bytes; bytes--, text++) {
        if (*text != '\n') line[used++] = *text;
        if (*text == '\n' || used == sizeof line) console_flush();
    }
}

#if !NEXUS_SHELL
void mp_hal_stdout_tx_strn_cooked(const char *text, size_t bytes) { console_text(text, bytes); }
#endif
