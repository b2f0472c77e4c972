/*
 * What the shell's interpreter reads, prints and waits on: the terminal (terminal.h). Before the terminal is open, what is printed goes to
 * the console, where a process has that capability. Called by MicroPython. Every wait here ends with Ctrl-C.
 */
#include <string.h>

#include "clock.h"
#include "port.h"
#include "py/mphal.h"
#include "py/runtime.h"
#include "py/stream.h"
#include "terminal.h"

enum {
    LINE_PIECE = 256, /* of text whose newlines are completed */
    TICKS_PER_MS = LIMIT_TICK_HZ / 1000,
    TICKS_PER_US = LIMIT_TICK_HZ / 1000000,
    NS_PER_TICK = 1000000000 / LIMIT_TICK_HZ,
};

void mp_hal_set_interrupt_char(int character) { terminal_set_interrupt(character); }

int mp_hal_stdin_rx_chr(void) { return terminal_read(); }

uintptr_t mp_hal_stdio_poll(uintptr_t asked) {
    uintptr_t ready = MP_STREAM_POLL_WR;
    if ((asked & MP_STREAM_POLL_RD) && terminal_ready()) ready |= MP_STREAM_POLL_RD;
    return asked & ready;
}

mp_uint_t mp_hal_stdout_tx_strn(const char *text, size_t bytes) {
    if (terminal_is_open()) terminal_write(text, bytes);
    else console_text(text, bytes);
    return bytes;
}

void mp_hal_stdout_tx_str(const char *text) { mp_hal_stdout_tx_strn(text, strlen(text)); }

/* A terminal wants a carriage return before each newline; the console has lines of its own. */
void mp_hal_stdout_tx_strn_cooked(const char *text, size_t bytes) {
    char piece[LINE_PIECE];
    size_t used = 0;
    if (!terminal_is_open()) {
        console_text(text, bytes);
        return;
    }
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '\n') piece[used++] = '\r';
        piece[used++] = text[i];
        if (used + 2 > sizeof piece || i + 1 == bytes) {
            terminal_write(piece, used);
            used = 0;
        }
    }
}

/* ---- Time ---- */

mp_uint_t mp_hal_ticks_ms(void) { return clock_ticks() / TICKS_PER_MS; }
mp_uint_t mp_hal_ticks_us(void) { return clock_ticks() / TICKS_PER_US; }
mp_uint_t mp_hal_ticks_cpu(void) { return clock_ticks(); }
uint64_t mp_hal_time_ns(void) { return clock_ticks() * NS_PER_TICK; }

/* Also runs what was scheduled, and raises an interrupt. */
static void delay(uint64_t ticks) {
    uint64_t end = clock_ticks() + ticks;
    do {
        if (terminal_is_open()) terminal_wait(end);
        mp_handle_pending(true);
    } while (clock_ticks() < end);
}

void mp_hal_delay_ms(mp_uint_t ms) { delay(ms * TICKS_PER_MS); }
void mp_hal_delay_us(mp_uint_t us) { delay(us * TICKS_PER_US); }

void shell_wait(void) {
    if (terminal_is_open()) terminal_wait(clock_ticks() + TICKS_PER_MS);
}
