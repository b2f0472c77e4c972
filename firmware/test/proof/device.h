/* The virtio entropy device as its driver sees it: used by cases that run in the holder. */
#pragma once

#include "proof.h"

/* The handles of one whole draw, so that a case can put a wrong one in one place. */
struct device_handles {
    uint64_t device, setup, post, take, irq;
};
extern const struct device_handles device_right;

enum { DEVICE_RESET, DEVICE_ACKNOWLEDGED, DEVICE_DRIVEN, DEVICE_FEATURES }; /* how far device_begin goes */
enum {
    STATUS_ACKNOWLEDGED = VIRTIO_STATUS_ACKNOWLEDGE,
    STATUS_DRIVEN = STATUS_ACKNOWLEDGED | VIRTIO_STATUS_DRIVER,
    STATUS_FEATURES = STATUS_DRIVEN | VIRTIO_STATUS_FEATURES_OK,
    STATUS_STARTED = STATUS_FEATURES | VIRTIO_STATUS_DRIVER_OK,
};

uint64_t device_start(const struct device_handles *with);
uint64_t device_begin(uint64_t device, uint32_t steps);
uint64_t device_finish(uint64_t queue, uint32_t *id, uint32_t *used, uint64_t ticks);
uint64_t device_draw(const struct device_handles *with, uint64_t *data);
