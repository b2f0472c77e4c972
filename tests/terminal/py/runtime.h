/*
 * What firmware/runtime/terminal.c asks of MicroPython, for a computer on which there is none: defined in terminal_host.c. Stands in for
 * the header of that name when tests/unit/test_terminal_bytes.py compiles it; never part of an image.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

extern void *pending_exception;
#define MP_OBJ_NULL NULL
#define MP_STATE_MAIN_THREAD(field) pending_exception

void mp_sched_keyboard_interrupt(void);
void mp_handle_pending(bool raise);
