/*
 * Trap entry and return. In user mode mscratch holds the running process's trap frame, in the kernel it is 0, so a trap
 * with mscratch 0 is the kernel's own bug and takes the panic stack. Everything of the user's is saved before any C runs.
 */
#include "frame_offsets.h"

    .macro each_saved op
    \op x1, 1*8(sp)
    .irp n, 3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    \op x\n, \n*8(sp)
    .endr
    .endm

    .text
    .balign 4
    .globl trap_entry
trap_entry:
    csrrw sp, mscratch, sp
    beqz sp, kernel_trap
    each_saved sd
    csrrw t0, mscratch, zero
    sd t0, FRAME_SP(sp)
    csrr t1, mepc
    sd t1, FRAME_PC(sp)
    csrr t0, mcause
    addi t0, t0, -FRAME_CAUSE_ECALL
    beqz t0, 1f
    /* Interrupted in the midst of its work: what it had in these must not get onto the kernel's stack and stay there. */
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11
    mv s\n, zero
    .endr
1:  mv a0, sp
    la sp, ld_stack_top
    call trap_handle

    .globl trap_return                /* a0: the trap frame to go on with */
trap_return:
    mv sp, a0
    csrw mscratch, sp
    ld t0, FRAME_PC(sp)
    csrw mepc, t0
    each_saved ld
    ld sp, FRAME_SP(sp)
    mret

kernel_trap:                          /* a trap in M-mode: the stack may be what broke */
    la sp, panic_stack_top
    la t0, trap_nested
    csrw mtvec, t0
    j panic_trap

    .balign 4
    .globl trap_nested
trap_nested:                          /* a trap while panicking: only the finisher is left */
    li t0, 0x100000
    li t1, (EXIT_KERNEL_PANIC << 16) | 0x3333
    sw t1, 0(t0)
1:  j 1b

    .bss
    .balign 16
    .space 2048
panic_stack_top:
