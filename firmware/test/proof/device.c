/*
 * Driving the entropy device as a well-behaved driver does (virtio 1.2, 3.1.1), step by step, so that cases can stop half-way.
 * Called by cases that run in the holder.
 */
#include "device.h"

#include "holder.h"

enum { WAIT_TICKS = PATIENCE, DRAW_BYTES = 8 };

const struct device_handles device_right = {CAP_DEVICE_RNG, CAP_QUEUE_RNG_0, CAP_QUEUE_RNG_0, CAP_QUEUE_RNG_0, CAP_IRQ_RNG};

static uint64_t set_status(uint64_t device, uint32_t bits) { return nexus_device_write(device, VIRTIO_REG_STATUS, bits); }

static uint64_t accept_version_1(uint64_t device) {
    uint64_t status = nexus_device_write(device, VIRTIO_REG_DRIVER_FEATURES_SEL, VIRTIO_FEATURE_VERSION_1 / 32);
    return status == E_OK ? nexus_device_write(device, VIRTIO_REG_DRIVER_FEATURES, 1u << VIRTIO_FEATURE_VERSION_1 % 32) : status;
}

/* Reset, then the first steps of virtio 1.2, 3.1.1: acknowledge, driver, features accepted. */
uint64_t device_begin(uint64_t device, uint32_t steps) {
    uint64_t status = set_status(device, 0);
    if (status == E_OK && steps >= DEVICE_ACKNOWLEDGED) status = set_status(device, STATUS_ACKNOWLEDGED);
    if (status == E_OK && steps >= DEVICE_DRIVEN) status = set_status(device, STATUS_DRIVEN);
    if (status == E_OK && steps >= DEVICE_FEATURES) status = accept_version_1(device);
    if (status == E_OK && steps >= DEVICE_FEATURES) status = set_status(device, STATUS_FEATURES);
    return status;
}

/* All the way to a device that takes buffers. */
uint64_t device_start(const struct device_handles *with) {
    uint32_t size;
    uint64_t status = device_begin(with->device, DEVICE_FEATURES);
    if (status == E_OK) status = nexus_queue_setup(with->setup, &size);
    if (status == E_OK) status = set_status(with->device, STATUS_STARTED);
    return status;
}

/* Asks until something is finished or the time is up. */
uint64_t device_finish(uint64_t queue, uint32_t *id, uint32_t *used, uint64_t ticks) {
    uint64_t end = deadline_in(ticks), bits, status;
    while ((status = nexus_queue_take(queue, id, used)) == E_AGAIN && nexus_time() < end)
        (void)nexus_wait(CAP_NOTIFICATION, deadline_in(MS), &bits);
    return status;
}

/* Start, post eight bytes, wait for the interrupt, take. */
uint64_t device_draw(const struct device_handles *with, uint64_t *data) {
    const uint64_t segments[LIMIT_QUEUE_SEGMENTS] = {nexus_segment(0, DRAW_BYTES, true)};
    uint32_t id, used;
    uint64_t bits;
    uint64_t status = device_start(with);
    if (status == E_OK) status = nexus_irq_ack(with->irq);
    if (status == E_OK) status = nexus_queue_post(with->post, segments, 1, &id);
    if (status == E_OK) status = nexus_wait(CAP_NOTIFICATION, deadline_in(WAIT_TICKS), &bits);
    if (status == E_OK) status = nexus_queue_take(with->take, &id, &used);
    if (status == E_OK && used == DRAW_BYTES) *data = *(volatile uint64_t *)VA_DMA;
    return status;
}
