/*
 * What module `machine` needs of this port; compiled into extmod/modmachine.c. mem8, mem16, mem32 reach what the process can reach and
 * no more: any other address is a memory fault, which ends the process. So does reset(): its supervisor starts it anew.
 */
#include "nexus.h"

static void mp_machine_idle(void) {}

NORETURN static void mp_machine_reset(void) { nexus_exit(LEAVE_FAILED); }

static mp_int_t mp_machine_reset_cause(void) { return 0; }
