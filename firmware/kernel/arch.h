/*
 * All that the kernel asks of the processor: time, interrupts, address-space switch, CSRs. The host tests bring their
 * own arch.h, so nothing in ipc.c, cap.c or frame.c may reach around it.
 */
#pragma once

#include <stdint.h>

#define CSR_READ(name) ({ uint64_t v_; __asm__ volatile("csrr %0, " #name : "=r"(v_)); v_; })
#define CSR_WRITE(name, value) __asm__ volatile("csrw " #name ", %0" ::"r"((uint64_t)(value)) : "memory")
#define CSR_SET(name, bits) __asm__ volatile("csrs " #name ", %0" ::"r"((uint64_t)(bits)) : "memory")
#define CSR_CLEAR(name, bits) __asm__ volatile("csrc " #name ", %0" ::"r"((uint64_t)(bits)) : "memory")

static inline uint64_t arch_time(void) { return CSR_READ(time); }
static inline uint64_t arch_instructions(void) { return CSR_READ(minstret); }
static inline void arch_wait(void) { __asm__ volatile("wfi" ::: "memory"); }

static inline uint32_t mmio_read32(uint64_t address) { return *(volatile uint32_t *)address; }
static inline void mmio_write32(uint64_t address, uint32_t value) { *(volatile uint32_t *)address = value; }
static inline uint8_t mmio_read8(uint64_t address) { return *(volatile uint8_t *)address; }
static inline void mmio_write8(uint64_t address, uint8_t value) { *(volatile uint8_t *)address = value; }

/* Orders normal memory before device registers and back (virtqueue rings, doorbells). */
static inline void arch_device_fence(void) { __asm__ volatile("fence iorw, iorw" ::: "memory"); }

static inline uint32_t high_bit(uint32_t word) { /* word != 0 */
    uint32_t bit = 0;
    if (word >> 16) { word >>= 16; bit += 16; }
    if (word >> 8) { word >>= 8; bit += 8; }
    if (word >> 4) { word >>= 4; bit += 4; }
    if (word >> 2) { word >>= 2; bit += 2; }
    return bit + (word >> 1);
}
