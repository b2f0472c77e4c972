/*
 * virtio-mmio windows: probed once at boot, one per image row, modern devices only (virtio 1.2, 4.2). The driver sees the window
 * read-only; its register writes come through here and are allow-listed, so that no register can move the DMA fence.
 */
#include "kernel.h"

struct device devices[LIMIT_DEVICES];

static uint32_t reg(const struct device *d, uint32_t offset) { return mmio_read32(d->base + offset); }
static void set_reg(const struct device *d, uint32_t offset, uint32_t value) { mmio_write32(d->base + offset, value); }

/* --- probing --- */

static uint64_t slot_base(uint32_t slot) { return VIRTIO_BASE + slot * VIRTIO_STRIDE; }

static bool slot_holds(uint32_t slot, uint32_t virtio_id) {
    return mmio_read32(slot_base(slot) + VIRTIO_REG_MAGIC) == VIRTIO_MAGIC &&
           mmio_read32(slot_base(slot) + VIRTIO_REG_DEVICE_ID) == virtio_id;
}

/* The one slot with this device; two of a kind are refused, as a driver could not tell which it has. */
static bool find_slot(uint32_t virtio_id, uint32_t *found) {
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < VIRTIO_SLOTS; slot++) {
        if (!slot_holds(slot, virtio_id)) continue;
        *found = slot;
        count++;
    }
    if (count == 0) console_say("device id=%u absent", virtio_id);
    if (count > 1) console_say("device id=%u refused: %u of them", virtio_id, count);
    return count == 1;
}

static bool is_modern(uint32_t slot, uint32_t virtio_id) {
    if (mmio_read32(slot_base(slot) + VIRTIO_REG_VERSION) == 2) return true;
    console_say("device id=%u legacy: start QEMU with -global virtio-mmio.force-legacy=false", virtio_id);
    return false;
}

static void probe(uint32_t index) {
    const struct image_device *row = &image.devices[index];
    struct device *d = &devices[index];
    uint32_t slot;
    d->driver = (uint16_t)row->owner;
    if (!find_slot(row->virtio_id, &slot) || !is_modern(slot, row->virtio_id)) return;
    d->dma = frame_take_run(row->dma_pages, FRAME_DMA, row->owner);
    ASSERT(d->dma != 0);
    d->dma_bytes = row->dma_pages * PAGE_BYTES;
    d->base = slot_base(slot);
    d->irq = (uint16_t)(VIRTIO_IRQ + slot);
    device_reset(d);
}

void device_init(void) {
    for (uint32_t i = 0; i < image.device_count; i++) probe(i);
}

/* --- reset --- */

/* Back to its first state, and read back as such, before its memory may be touched; one that won't is dead, its frames kept away. */
void device_reset(struct device *d) {
    if (d->base == 0 || d->dead) return;
    set_reg(d, VIRTIO_REG_STATUS, 0);
    d->status = 0;
    d->version_1 = false;
    queue_forget(d);
    for (uint32_t i = 0; i < LIMIT_RESET_POLLS; i++)
        if (reg(d, VIRTIO_REG_STATUS) == 0) return;
    d->dead = true;
    frame_set((uint64_t)d->dma, d->dma_bytes, FRAME_QUARANTINE, d->driver);
    console_say("device id=%u dead: does not reset", image.devices[d - devices].virtio_id);
}

void device_broken(struct device *d, const char *why) {
    console_say("device id=%u broken: %s", image.devices[d - devices].virtio_id, why);
    d->broken = true;
    device_reset(d);
}

/* The driver is gone: no DMA may be going on when its memory is used again. */
void device_driver_stopped(struct process *p) {
    for (uint32_t i = 0; i < image.device_count; i++) {
        struct device *d = &devices[i];
        if (d->driver != p->index || d->base == 0) continue;
        device_reset(d);
        d->broken = false;
        if (!d->dead)
            for (uint32_t at = 0; at < d->dma_bytes; at += PAGE_BYTES) page_zero(d->dma + at);
    }
}

/* --- register writes --- */

/* Bits are added in the order of virtio 1.2, 3.1.1; DRIVER_OK starts the device, so its queues have to be the kernel's by then. */
static status_t write_status(struct device *d, uint64_t value) {
    if (value == 0) {
        device_reset(d);
        return d->dead ? E_BROKEN : E_OK;
    }
    uint64_t known = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK |
                     VIRTIO_STATUS_FAILED;
    if (value & ~known || (value & d->status) != d->status) return E_BAD_ARGUMENT;
    if (value & VIRTIO_STATUS_FEATURES_OK && !d->version_1) return E_BAD_ARGUMENT;
    if (value & VIRTIO_STATUS_DRIVER_OK && !(d->status & VIRTIO_STATUS_FEATURES_OK)) return E_BAD_ARGUMENT;
    d->status = (uint8_t)value;
    set_reg(d, VIRTIO_REG_STATUS, (uint32_t)value);
    return E_OK;
}

/* Only VERSION_1 and what the row allows: never INDIRECT, EVENT_IDX or PACKED, which would take the rings out of the fence. */
static status_t write_features(struct device *d, uint64_t value) {
    uint64_t allowed = image.devices[d - devices].features | 1ull << VIRTIO_FEATURE_VERSION_1;
    uint32_t window = d->driver_features_sel ? (uint32_t)(allowed >> 32) : (uint32_t)allowed;
    if (value & ~(uint64_t)window || d->status & VIRTIO_STATUS_FEATURES_OK) return E_BAD_ARGUMENT;
    if (d->driver_features_sel) d->version_1 = value & 1;
    set_reg(d, VIRTIO_REG_DRIVER_FEATURES_SEL, d->driver_features_sel); /* a reset may have moved the device's */
    set_reg(d, VIRTIO_REG_DRIVER_FEATURES, (uint32_t)value);
    return E_OK;
}

static status_t write_driver_select(struct device *d, uint64_t value) {
    if (value > 1) return E_BAD_ARGUMENT;
    d->driver_features_sel = (uint8_t)value;
    set_reg(d, VIRTIO_REG_DRIVER_FEATURES_SEL, (uint32_t)value);
    return E_OK;
}

status_t device_write(struct process *p) {
    struct cap *cap;
    uint64_t value = p->frame.x[REG_A2];
    status_t status = cap_find(p, p->frame.x[REG_A0], OBJ_DEVICE, RIGHT_USE, &cap);
    if (status != E_OK) return status;
    struct device *d = &devices[cap->object];
    if (d->base == 0) return E_STATE;
    if (d->dead || (d->broken && p->frame.x[REG_A1] != VIRTIO_REG_STATUS)) return E_BROKEN;
    switch (p->frame.x[REG_A1]) {
    case VIRTIO_REG_STATUS:
        if (value == 0) d->broken = false;
        return d->broken ? E_BROKEN : write_status(d, value);
    case VIRTIO_REG_DRIVER_FEATURES: return write_features(d, value);
    case VIRTIO_REG_DRIVER_FEATURES_SEL: return write_driver_select(d, value);
    case VIRTIO_REG_DEVICE_FEATURES_SEL:
        if (value > 1) return E_BAD_ARGUMENT;
        set_reg(d, VIRTIO_REG_DEVICE_FEATURES_SEL, (uint32_t)value);
        return E_OK;
    default: return E_BAD_ARGUMENT; /* queue registers, notify, interrupt and configuration are the kernel's */
    }
}
