# First instructions of every user program: the kernel jumps here with the entry values in a0..a7 (firmware/native/user.h).
# Linked first into each ELF, interpreter and native. Must not touch a0..a7 or the stack before user_main.

#include "contract.h"

    .section .text.start, "ax"
    .globl _start
_start:
    .option push
    .option norelax
    la gp, __global_pointer$
    .option pop
    la tp, user_tls
    call user_main
1:  li a7, SYS_EXIT     # with the status that user_main returned
    ecall
    j 1b
