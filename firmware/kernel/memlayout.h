/*
 * Where things are in physical memory. The image's own layout is kernel.ld's; this page is the one drawn map.
 *
 *   0x00100000  finisher            0x80000000  text, rodata, image table      PMP R-X, locked
 *   0x02000000  CLINT                           data, bss                      no PMP entry: kernel only
 *   0x0c000000  PLIC                            guard page                     PMP ---, locked
 *   0x10000000  UART                            kernel stack                   no PMP entry
 *   0x10001000  virtio-mmio 0..7   PMP R--      page-table pool                PMP R-- (walks are checked as S-mode)
 *                                               payload: programs, ROMFS       PMP RWX, page tables decide
 *                                               frames up to the end of RAM    PMP RWX, page tables decide
 *                                               (at reset their first bytes hold the launch block, launch.c)
 */
#pragma once

#define RAM_BASE 0x80000000ul
#define PAGE_BYTES 4096ul
#define PAGE_SHIFT 12

#define FINISHER_BASE 0x00100000ul
#define CLINT_MTIMECMP 0x02004000ul
#define PLIC_BASE 0x0c000000ul
#define UART_BASE 0x10000000ul
#define UART_IRQ 10
#define VIRTIO_BASE 0x10001000ul
#define VIRTIO_STRIDE 0x1000ul
#define VIRTIO_SLOTS 8
#define VIRTIO_IRQ 1 /* slot n interrupts as source VIRTIO_IRQ + n */

#ifndef __ASSEMBLER__
#include <stdint.h>
/* Edges of the image, from kernel.ld. */
extern uint8_t ld_text_start[], ld_text_end[], ld_bss_start[], ld_bss_end[], ld_guard[], ld_stack_top[],
    ld_pool_start[], ld_pool_end[], ld_payload_start[], ld_payload_end[];
#endif
