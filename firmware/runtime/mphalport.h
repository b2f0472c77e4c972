/*
 * The few functions that MicroPython expects of its machine and that no file of its own declares. Read by every MicroPython file.
 * There is no pin and no interrupt: hal.c and terminal.c have what the shell needs, the service needs nothing but its console.
 */
#pragma once

void mp_hal_set_interrupt_char(int character);
