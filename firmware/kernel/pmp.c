/*
 * Physical memory protection (privileged spec 3.7). Called once by main. Locked entries outlive a system reset, so this
 * writes the same values each time, and nothing here may touch the guard page.
 */
#include "pmp.h"

#include "kernel.h"

enum { PMP_R = 1, PMP_W = 2, PMP_X = 4, PMP_TOR = 8, PMP_NAPOT = 24, PMP_LOCK = 128, PMP_OFF = 0 };

static uint64_t napot_page(const uint8_t *page) { return ((uint64_t)page >> 2) | ((PAGE_BYTES >> 3) - 1); }
static uint64_t top(uint64_t address) { return address >> 2; }

void pmp_init(void) {
    CSR_WRITE(pmpaddr0, top((uint64_t)ld_text_start));
    CSR_WRITE(pmpaddr1, top((uint64_t)ld_text_end));
    CSR_WRITE(pmpaddr2, napot_page(ld_guard));
    CSR_WRITE(pmpaddr3, top((uint64_t)ld_pool_start));
    CSR_WRITE(pmpaddr4, top((uint64_t)ld_pool_end));
    CSR_WRITE(pmpaddr5, top(RAM_BASE + image.ram_bytes));
    CSR_WRITE(pmpaddr6, top(VIRTIO_BASE));
    CSR_WRITE(pmpaddr7, top(VIRTIO_BASE + VIRTIO_SLOTS * VIRTIO_STRIDE));
    const uint8_t rights[8] = {
        PMP_OFF,
        PMP_LOCK | PMP_TOR | PMP_R | PMP_X,
        PMP_LOCK | PMP_NAPOT,
        PMP_OFF,
        PMP_TOR | PMP_R,
        PMP_TOR | PMP_R | PMP_W | PMP_X,
        PMP_OFF,
        PMP_TOR | PMP_R,
    };
    uint64_t packed = 0;
    for (uint32_t i = 0; i < 8; i++) packed |= (uint64_t)rights[i] << (8 * i);
    CSR_WRITE(pmpcfg0, packed);
}
