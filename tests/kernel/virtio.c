/*
 * A virtio-mmio entropy device as the kernel meets it (virtio 1.2, 4.2), one that can lie. It notes what would get through the
 * DMA fence: wrong order of set-up, features nobody may have, addresses that are not the kernel's.
 */
#include "host.h"

struct host_device device_model = {.present = true, .version = 2, .queue_max = 1024, .features = {1u << TEST_FEATURE | 1u << 28 | 1u << 29, 5}};

struct descriptor { uint64_t address; uint32_t length; uint16_t flags, next; };
struct available { uint16_t flags, index, ring[LIMIT_QUEUE_SIZE]; };
struct used { uint16_t flags, index; struct { uint32_t id, length; } ring[LIMIT_QUEUE_SIZE]; };
enum { NEXT = 1, WRITE = 2 };

static struct host_queue *selected(struct host_device *d) { return &d->queues[d->queue_sel % QUEUES]; }

uint64_t virtio_read(uint64_t offset) {
    struct host_device *d = &device_model;
    switch (offset) {
    case VIRTIO_REG_MAGIC: return VIRTIO_MAGIC;
    case VIRTIO_REG_VERSION: return d->version;
    case VIRTIO_REG_DEVICE_ID: return VIRTIO_RNG;
    case VIRTIO_REG_DEVICE_FEATURES: return d->features[d->features_sel_read & 1];
    case VIRTIO_REG_QUEUE_NUM_MAX: return d->queue_max;
    case VIRTIO_REG_QUEUE_READY: return selected(d)->ready;
    case VIRTIO_REG_INTERRUPT_STATUS: return d->interrupt_status;
    case VIRTIO_REG_STATUS: return d->status;
    default: return 0;
    }
}

static void write_status(struct host_device *d, uint32_t value) {
    if (value == 0 && d->stuck) return;
    d->status = value;
    if (value) return;
    d->driver_features[0] = d->driver_features[1] = 0;
    for (uint32_t i = 0; i < QUEUES; i++) d->queues[i] = (struct host_queue){.notified = d->queues[i].notified};
}

static void write_features(struct host_device *d, uint32_t value) {
    d->driver_features[d->features_sel & 1] = value;
    bool more = d->driver_features[0] & ~(1u << TEST_FEATURE) || d->driver_features[1] & ~1u;
    if (more || d->status & VIRTIO_STATUS_FEATURES_OK) d->broke_fence = true;
}

static void write_half(uint64_t *address, bool high, uint64_t value) {
    uint64_t mask = high ? 0xffffffff : ~0xffffffffull;
    *address = (*address & mask) | (high ? value << 32 : value);
}

void virtio_write(uint64_t offset, uint64_t value) {
    struct host_device *d = &device_model;
    struct host_queue *q = selected(d);
    if (offset >= VIRTIO_REG_QUEUE_DESC && offset < VIRTIO_REG_QUEUE_DEVICE + 8 && q->ready) d->broke_fence = true;
    switch (offset) {
    case VIRTIO_REG_STATUS: write_status(d, (uint32_t)value); break;
    case VIRTIO_REG_DRIVER_FEATURES: write_features(d, (uint32_t)value); break;
    case VIRTIO_REG_DRIVER_FEATURES_SEL: d->features_sel = (uint32_t)value; break;
    case VIRTIO_REG_DEVICE_FEATURES_SEL: d->features_sel_read = (uint32_t)value; break;
    case VIRTIO_REG_QUEUE_SEL: d->queue_sel = (uint32_t)value; if (value >= QUEUES) d->broke_fence = true; break;
    case VIRTIO_REG_QUEUE_NUM: q->size = (uint32_t)value; break;
    case VIRTIO_REG_QUEUE_READY: q->ready = (uint32_t)value; break;
    case VIRTIO_REG_QUEUE_NOTIFY: d->queues[value % QUEUES].notified++; break;
    case VIRTIO_REG_INTERRUPT_ACK: d->interrupt_status &= ~(uint32_t)value; break;
    case VIRTIO_REG_QUEUE_DESC: case VIRTIO_REG_QUEUE_DESC + 4: write_half(&q->descriptors, offset & 4, value); break;
    case VIRTIO_REG_QUEUE_DRIVER: case VIRTIO_REG_QUEUE_DRIVER + 4: write_half(&q->available, offset & 4, value); break;
    case VIRTIO_REG_QUEUE_DEVICE: case VIRTIO_REG_QUEUE_DEVICE + 4: write_half(&q->used, offset & 4, value); break;
    default: d->broke_fence = true;
    }
}

void virtio_complete_on(uint32_t queue, uint32_t id, uint32_t bytes) {
    struct used *used = (struct used *)device_model.queues[queue].used;
    CHECK(used != 0);
    used->ring[used->index % LIMIT_QUEUE_SIZE].id = id;
    used->ring[used->index % LIMIT_QUEUE_SIZE].length = bytes;
    used->index++;
    device_model.interrupt_status = 1;
}

void virtio_complete(uint32_t id, uint32_t bytes) { virtio_complete_on(0, id, bytes); }

/* What the driver's side has made available since the device last looked. */
static void look(struct host_queue *q) {
    const struct available *available = (const struct available *)q->available;
    CHECK(q->notified > 0);
    for (; (uint16_t)q->seen != available->index; q->seen++) {
        uint32_t head = available->ring[q->seen % LIMIT_QUEUE_SIZE];
        CHECK(head % LIMIT_QUEUE_SEGMENTS == 0 && head < LIMIT_QUEUE_SIZE);
        q->pending |= 1u << head / LIMIT_QUEUE_SEGMENTS;
    }
}

void virtio_answer_on(uint32_t queue, uint32_t buffer, uint32_t bytes, uint8_t with) {
    struct host_queue *q = &device_model.queues[queue];
    look(q);
    CHECK(q->pending >> buffer & 1);
    q->pending &= ~(1u << buffer);
    struct descriptor *table = (struct descriptor *)device_model.queues[queue].descriptors;
    uint32_t left = bytes;
    for (struct descriptor *d = &table[buffer * LIMIT_QUEUE_SEGMENTS];; d = &table[d->next]) {
        uint32_t n = d->flags & WRITE ? (left < d->length ? left : d->length) : 0;
        CHECK(frame_of(d->address) && frame_of(d->address)->type == FRAME_DMA);
        CHECK(frame_of(d->address + d->length - 1)->type == FRAME_DMA);
        memset((void *)d->address, with, n);
        left -= n;
        if (!(d->flags & NEXT)) break;
    }
    CHECK_EQ(left, 0);
    virtio_complete_on(queue, buffer * LIMIT_QUEUE_SEGMENTS, bytes);
}

void virtio_answer(uint32_t buffer, uint32_t bytes, uint8_t with) { virtio_answer_on(0, buffer, bytes, with); }

void driver_up(void) {
    struct process *p = proc(SERVER);
    uint64_t status = 0;
    const uint64_t steps[] = {VIRTIO_STATUS_ACKNOWLEDGE, VIRTIO_STATUS_DRIVER, VIRTIO_STATUS_FEATURES_OK, VIRTIO_STATUS_DRIVER_OK};
    CHECK_EQ(sys(p, SYS_DEVICE_WRITE, H_DEVICE, VIRTIO_REG_STATUS, 0), E_OK);
    for (uint32_t i = 0; i < 4; i++) {
        if (steps[i] == VIRTIO_STATUS_FEATURES_OK) {
            CHECK_EQ(sys(p, SYS_DEVICE_WRITE, H_DEVICE, VIRTIO_REG_DRIVER_FEATURES_SEL, 1), E_OK);
            CHECK_EQ(sys(p, SYS_DEVICE_WRITE, H_DEVICE, VIRTIO_REG_DRIVER_FEATURES, 1), E_OK);
        }
        if (steps[i] == VIRTIO_STATUS_DRIVER_OK) {
            CHECK_EQ(sys(p, SYS_QUEUE_SETUP, H_QUEUE), E_OK);
            CHECK_EQ(reg(p, 1), LIMIT_QUEUE_SIZE);
            CHECK_EQ(sys(p, SYS_QUEUE_SETUP, H_QUEUE_1), E_OK);
        }
        status |= steps[i];
        CHECK_EQ(sys(p, SYS_DEVICE_WRITE, H_DEVICE, VIRTIO_REG_STATUS, status), E_OK);
    }
    CHECK(!device_model.broke_fence);
}
