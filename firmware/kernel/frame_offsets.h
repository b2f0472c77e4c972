/* What trap_entry.S needs of trap.c, which asserts each: offsets in struct trap_frame, and the cause of a system call. Register xN is at N * 8, the pc in x0's place. */
#pragma once

#define FRAME_PC 0
#define FRAME_SP 16
#define FRAME_BYTES 256
#define FRAME_CAUSE_ECALL 8
