/*
 * Reset: QEMU jumps here in M-mode with the hart id in a0. Clears bss (never the locked guard page), sets the stack, calls main.
 * Harts other than 0 sleep for ever.
 */
#include "memlayout.h"

    .section .text.start, "ax"
    .globl _start
_start:
    csrw mie, zero
    bnez a0, park
    la t0, trap_nested           /* until trap_init: any trap is a kernel bug */
    csrw mtvec, t0
    csrw mscratch, zero
    la t0, ld_bss_start
    la t1, ld_bss_end
1:  bgeu t0, t1, 2f
    sd zero, 0(t0)
    addi t0, t0, 8
    j 1b
2:  la sp, ld_stack_top
    call main
park:
    wfi
    j park
