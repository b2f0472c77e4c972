# First instructions of the bare build: machine mode, no kernel. What the runtime would ask a kernel for comes back refused, but for the
# exit, which ends the machine. Any other trap ends it too.

#include "contract.h"

    .section .text.start, "ax"
    .globl _start
_start:
    .option push
    .option norelax
    la gp, __global_pointer$
    .option pop
    la tp, user_tls
    la sp, user_stack_top
    la t0, trap
    csrw mtvec, t0
    la t0, bss_start
    la t1, bss_end
1:  sd zero, 0(t0)
    addi t0, t0, 8
    bltu t0, t1, 1b
    call board_main
    j end

    .balign 4
trap:
    csrr t0, mcause
    li t1, 11           # a call from machine mode
    bne t0, t1, end
    li t1, SYS_EXIT
    beq a7, t1, end
    li a0, E_BAD_HANDLE
    csrr t0, mepc
    addi t0, t0, 4
    csrw mepc, t0
    mret

end:
    li t0, 0x100000     # the test finisher of -M virt
    li t1, 0x5555
    sw t1, 0(t0)
1:  j 1b
