/*
 * The few functions that MicroPython expects of its machine. There is no clock, pin or interrupt character here: output goes
 * to the console capability (console.c), input comes through a Python callable (repl.c, shell only).
 */
#pragma once

static inline void mp_hal_set_interrupt_char(char c) { (void)c; }
