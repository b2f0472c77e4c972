/*
 * Time as the shell's interpreter sees it: ticks of LIMIT_TICK_HZ since reset. A system call in the shell (hal.c), a register in the bare
 * build (bare/board.c).
 */
#pragma once

#include <stdint.h>

#include "contract.h"

uint64_t clock_ticks(void);
