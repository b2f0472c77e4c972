/*
 * The processor and the memory map as the kernel sees them in the host tests: put in front of every kernel file by -include, so
 * that the very sources of firmware/kernel compile for this computer. Must change nothing but what touches the machine.
 */
#pragma once

#include <stdint.h>

/* The kernel's own arch.h, with the functions that are RISC-V instructions moved out of the way. */
#define arch_time riscv_time
#define arch_instructions riscv_instructions
#define arch_wait riscv_wait
#define arch_device_fence riscv_device_fence
#define mmio_read32 riscv_mmio_read32
#define mmio_write32 riscv_mmio_write32
#define mmio_read8 riscv_mmio_read8
#define mmio_write8 riscv_mmio_write8
#include "kernel/arch.h"
#undef arch_time
#undef arch_instructions
#undef arch_wait
#undef arch_device_fence
#undef mmio_read32
#undef mmio_write32
#undef mmio_read8
#undef mmio_write8
#undef CSR_READ
#undef CSR_WRITE
#undef CSR_SET
#undef CSR_CLEAR

extern uint64_t host_time;
uint64_t host_mmio_read(uint64_t address);
void host_mmio_write(uint64_t address, uint64_t value);
void host_wait(void);

extern uint64_t host_satp;
#define CSR_WRITE(name, value) (host_##name = (value))
static inline uint64_t arch_time(void) { return host_time; }
static inline uint64_t arch_instructions(void) { return host_time; }
static inline void arch_wait(void) { host_wait(); }
static inline void arch_device_fence(void) {}
static inline uint32_t mmio_read32(uint64_t address) { return (uint32_t)host_mmio_read(address); }
static inline void mmio_write32(uint64_t address, uint32_t value) { host_mmio_write(address, value); }
static inline uint8_t mmio_read8(uint64_t address) { return (uint8_t)host_mmio_read(address); }
static inline void mmio_write8(uint64_t address, uint8_t value) { host_mmio_write(address, value); }

/* map.c says its fences in assembly; this computer's assembler takes them as macros that do nothing. */
__asm__(".macro sfence.vma\n.endm\n.macro fence.i\n.endm\n");

/* Memory: an array in place of RAM, with the page-table pool and the payload in it. */
#include "contract.h"
#include "kernel/memlayout.h"

enum { HOST_POOL_AT = 0x10000, HOST_PAYLOAD_AT = HOST_POOL_AT + LIMIT_POOL_PAGES * 4096, HOST_PAYLOAD_BYTES = 0x8000 };
enum { HOST_RAM_BYTES = 8 << 20 };
extern uint8_t host_ram[HOST_RAM_BYTES];
extern uint64_t host_timer;

#undef RAM_BASE
#undef CLINT_MTIMECMP
#define RAM_BASE ((uint64_t)host_ram)
#define CLINT_MTIMECMP ((uint64_t)&host_timer)
#define ld_pool_start (host_ram + HOST_POOL_AT)
#define ld_pool_end (host_ram + HOST_PAYLOAD_AT)
#define ld_payload_start (host_ram + HOST_PAYLOAD_AT)
#define ld_payload_end (host_ram + HOST_PAYLOAD_AT + HOST_PAYLOAD_BYTES)
