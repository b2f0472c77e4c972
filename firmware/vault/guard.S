/*
 * The key region and the one way in: an operation on the key runs on a stack of its own inside the region. Called by key.c. Nothing
 * that the operation had in a register or on its stack is left when it returns; no system call is ever made in between.
 */
#include "key.h"

    .macro each_saved op
    \op ra, 0*8(sp)
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11
    \op s\n, (1+\n)*8(sp)
    .endr
    .endm
#define SAVED_BYTES 112             /* thirteen registers, in a multiple of 16 */

/*
 * The stack lies at the bottom, so that one that grew too deep runs into read-only pages and stops the process. First in the data
 * segment because no file before this one has data (firmware/native/Makefile links in the order of names).
 */
    .section .data.key, "aw", @progbits
    .balign 4096
    .globl vault_key_start, vault_key_stack_end, vault_key_secret, vault_key_end
vault_key_start:
    .zero KEY_STACK_BYTES
vault_key_stack_end:
vault_key_secret:
    .zero KEY_SECRET_BYTES
    .balign 4096
vault_key_end:

    .section .text.key_guarded, "ax"
    .globl key_guarded
    .type key_guarded, @function
key_guarded:                        /* a0: operation, a1: its argument */
    addi sp, sp, -SAVED_BYTES
    each_saved sd
    mv s0, sp                       /* the operation keeps it, as every function does */
    la sp, vault_key_stack_end
    mv t0, a0
    mv a0, a1
    jalr t0
vault_key_used:                     /* what was left on the stack is still there: a debugger sees how deep it went */
    mv sp, s0
    la t0, vault_key_start
    la t1, vault_key_stack_end
1:  sd zero, 0(t0)
    sd zero, 8(t0)
    sd zero, 16(t0)
    sd zero, 24(t0)
    addi t0, t0, 32
    bne t0, t1, 1b
    each_saved ld                   /* over what the operation had in them */
    addi sp, sp, SAVED_BYTES
    .irp n, 0,1,2,3,4,5,6
    mv t\n, zero
    .endr
    .irp n, 0,1,2,3,4,5,6,7
    mv a\n, zero
    .endr
vault_key_left:                     /* nothing is: a debugger sees that too */
    ret
    .size key_guarded, . - key_guarded
