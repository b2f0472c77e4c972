/*
 * The interrupt controller (PLIC): a device's interrupt becomes bit 0 of its driver's notification and stays masked until
 * irq_ack. Called by trap.c and syscall.c. A source above its rate is cut off, so that no device can take all the time.
 */
#include "kernel.h"

enum { PLIC_PRIORITY = 0, PLIC_ENABLE = 0x2000, PLIC_THRESHOLD = 0x200000, PLIC_CLAIM = 0x200004, DRIVER_BIT = 1 };

static uint32_t enabled = 1u << UART_IRQ;

static void set_enabled(uint32_t irq, bool on) {
    enabled = on ? enabled | 1u << irq : enabled & ~(1u << irq);
    mmio_write32(PLIC_BASE + PLIC_ENABLE, enabled);
}

void irq_init(void) {
    for (uint32_t irq = 1; irq <= UART_IRQ; irq++) mmio_write32(PLIC_BASE + PLIC_PRIORITY + 4 * irq, 1);
    mmio_write32(PLIC_BASE + PLIC_ENABLE, enabled);
    mmio_write32(PLIC_BASE + PLIC_THRESHOLD, 0);
}

static bool above_rate(struct device *d) {
    uint64_t period = arch_time() / LIMIT_SHARE_PERIOD_TICKS;
    if (period != d->irq_period) {
        d->irq_period = period;
        d->irq_count = 0;
    }
    return ++d->irq_count > LIMIT_IRQ_RATE;
}

/* The source stays masked; the driver's next irq_ack says so, and its supervisor is told to look. */
static void cut_off(const struct process *driver) {
    console_say("interrupt cut off label=%s", process_label(driver));
    notify_signal(&processes[driver->supervisor], 1ull << driver->index);
}

static void device_interrupt(uint32_t irq) {
    set_enabled(irq, false);
    for (uint32_t i = 0; i < image.device_count; i++) {
        struct device *d = &devices[i];
        if (d->base == 0 || d->irq != irq) continue;
        if (!d->irq_off && above_rate(d)) {
            d->irq_off = true;
            cut_off(&processes[d->driver]);
        }
        notify_signal(&processes[d->driver], DRIVER_BIT);
    }
}

/*
 * All that are pending, the console's last: it is not masked and would come again at once, one entry after the other. A claimed source
 * is completed at once: masked ones can't come again before irq_ack.
 */
void irq_handle(void) {
    uint32_t irq = 0;
    for (uint32_t i = 0; i <= VIRTIO_SLOTS && irq != UART_IRQ; i++) {
        irq = mmio_read32(PLIC_BASE + PLIC_CLAIM);
        if (irq == 0) return;
        if (irq == UART_IRQ) console_interrupt(); else device_interrupt(irq);
        mmio_write32(PLIC_BASE + PLIC_CLAIM, irq);
    }
}

/* The driver has dealt with it: acknowledge at the device, then let the next one through. */
status_t irq_ack(struct process *p) {
    struct cap *cap;
    status_t status = cap_find(p, p->frame.x[REG_A0], OBJ_IRQ, RIGHT_USE, &cap);
    if (status != E_OK) return status;
    struct device *d = &devices[cap->object];
    if (d->base == 0) return E_STATE;
    if (d->irq_off || d->dead) return E_BROKEN;
    uint32_t pending = mmio_read32(d->base + VIRTIO_REG_INTERRUPT_STATUS);
    if (pending) mmio_write32(d->base + VIRTIO_REG_INTERRUPT_ACK, pending);
    set_enabled(d->irq, true);
    return E_OK;
}
