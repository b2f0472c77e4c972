/* Offsets that trap_entry.S uses; trap.c asserts each against struct trap_frame. Register xN is at N * 8, the pc in x0's place. */
#pragma once

#define FRAME_PC 0
#define FRAME_SP 16
#define FRAME_BYTES 256
