/*
 * The DMA fence: split virtqueues (virtio 1.2, 2.7) whose rings and descriptors are the kernel's alone. Called by syscall.c.
 * A driver names segments of its own DMA window; what the device answers is checked before anybody believes it.
 */
#include "kernel.h"

struct queue queues[LIMIT_QUEUES];

enum { BUFFERS = LIMIT_QUEUE_SIZE / LIMIT_QUEUE_SEGMENTS }; /* buffer i has descriptors i * SEGMENTS.. */
enum { AVAIL_OFFSET = 1024, USED_OFFSET = 2048 };
enum { DESC_NEXT = 1, DESC_WRITE = 2 };

struct descriptor { uint64_t address; uint32_t length; uint16_t flags, next; };
struct avail_ring { uint16_t flags, index, ring[LIMIT_QUEUE_SIZE]; };
struct used_element { uint32_t id, length; };
struct used_ring { uint16_t flags, index; struct used_element ring[LIMIT_QUEUE_SIZE]; };
struct segment { uint32_t offset, length; bool write; };
_Static_assert(sizeof(struct descriptor) * LIMIT_QUEUE_SIZE <= AVAIL_OFFSET, "descriptors overlap the available ring");
_Static_assert(AVAIL_OFFSET + sizeof(struct avail_ring) <= USED_OFFSET, "available overlaps the used ring");

static volatile struct descriptor *descriptors(struct queue *q) { return (volatile struct descriptor *)q->rings; }
static volatile struct avail_ring *avail(struct queue *q) { return (volatile struct avail_ring *)(q->rings + AVAIL_OFFSET); }
static volatile struct used_ring *used(struct queue *q) { return (volatile struct used_ring *)(q->rings + USED_OFFSET); }

void queue_init(void) {
    for (uint32_t i = 0; i < image.device_count; i++) {
        const struct image_device *row = &image.devices[i];
        for (uint32_t n = 0; n < row->queue_count; n++) {
            struct queue *q = &queues[row->first_queue + n];
            q->device = (uint16_t)i;
            q->number = (uint8_t)n;
            q->rings = frame_take_run(1, FRAME_RINGS, 0xff);
            ASSERT(q->rings != 0);
        }
    }
}

/* The device has been reset: nothing is in flight and no queue is set up. */
void queue_forget(struct device *d) {
    for (uint32_t i = 0; i < image.queue_count; i++) {
        if (&devices[queues[i].device] != d) continue;
        queues[i].ready = false;
        queues[i].in_flight = 0;
    }
}

static status_t find(struct process *p, struct queue **q, struct device **d) {
    struct cap *cap;
    status_t status = cap_find(p, p->frame.x[REG_A0], OBJ_QUEUE, RIGHT_USE, &cap);
    if (status != E_OK) return status;
    *q = &queues[cap->object];
    *d = &devices[(*q)->device];
    if ((*d)->base == 0) return E_STATE;
    return (*d)->broken || (*d)->dead ? E_BROKEN : E_OK;
}

static void write_address(uint64_t base, uint32_t offset, const volatile void *address) {
    mmio_write32(base + offset, (uint32_t)(uint64_t)address);
    mmio_write32(base + offset + 4, (uint32_t)((uint64_t)address >> 32));
}

static void program(struct queue *q, uint64_t base) {
    mmio_write32(base + VIRTIO_REG_QUEUE_NUM, LIMIT_QUEUE_SIZE);
    write_address(base, VIRTIO_REG_QUEUE_DESC, descriptors(q));
    write_address(base, VIRTIO_REG_QUEUE_DRIVER, avail(q));
    write_address(base, VIRTIO_REG_QUEUE_DEVICE, used(q));
    mmio_write32(base + VIRTIO_REG_QUEUE_READY, 1);
}

/* Between FEATURES_OK and DRIVER_OK (virtio 1.2, 3.1.1 step 7). */
status_t queue_setup(struct process *p) {
    struct queue *q;
    struct device *d;
    status_t status = find(p, &q, &d);
    if (status != E_OK) return status;
    if (!(d->status & VIRTIO_STATUS_FEATURES_OK) || d->status & VIRTIO_STATUS_DRIVER_OK || q->ready) return E_STATE;
    mmio_write32(d->base + VIRTIO_REG_QUEUE_SEL, q->number);
    if (mmio_read32(d->base + VIRTIO_REG_QUEUE_READY) != 0 ||
        mmio_read32(d->base + VIRTIO_REG_QUEUE_NUM_MAX) < LIMIT_QUEUE_SIZE) return E_BROKEN;
    page_zero(q->rings);
    q->avail_index = q->used_index = 0;
    q->in_flight = 0;
    program(q, d->base);
    q->ready = true;
    p->frame.x[REG_A1] = LIMIT_QUEUE_SIZE;
    return E_OK;
}

/* --- posting --- */

/* Segments inside the DMA window, device-readable ones first (virtio 1.2, 2.7.4.2); none has changed anything yet. */
static status_t read_segments(struct process *p, const struct device *d, struct segment *segments, uint64_t count) {
    if (count == 0 || count > LIMIT_QUEUE_SEGMENTS) return E_BAD_ARGUMENT;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t word = p->frame.x[REG_A1 + i];
        struct segment s = {(uint32_t)word, (uint32_t)(word >> 32) & 0x7fffffff, word >> 63};
        if (s.length == 0 || (uint64_t)s.offset + s.length > d->dma_bytes) return E_BAD_ARGUMENT;
        if (i > 0 && segments[i - 1].write && !s.write) return E_BAD_ARGUMENT;
        segments[i] = s;
    }
    return E_OK;
}

static uint32_t fill_descriptors(struct queue *q, const struct device *d, uint32_t id, const struct segment *segments, uint32_t count) {
    uint32_t writable = 0, first = id * LIMIT_QUEUE_SEGMENTS;
    for (uint32_t i = 0; i < count; i++) {
        volatile struct descriptor *descriptor = &descriptors(q)[first + i];
        descriptor->address = (uint64_t)d->dma + segments[i].offset;
        descriptor->length = segments[i].length;
        descriptor->flags = (uint16_t)((segments[i].write ? DESC_WRITE : 0) | (i + 1 < count ? DESC_NEXT : 0));
        descriptor->next = (uint16_t)(i + 1 < count ? first + i + 1 : 0);
        if (segments[i].write) writable += segments[i].length;
    }
    return writable;
}

static uint32_t free_buffer(const struct queue *q) {
    uint32_t id = 0;
    while (id < BUFFERS && q->in_flight >> id & 1) id++;
    return id;
}

status_t queue_post(struct process *p) {
    struct queue *q;
    struct device *d;
    struct segment segments[LIMIT_QUEUE_SEGMENTS];
    uint64_t count = p->frame.x[REG_A5];
    status_t status = find(p, &q, &d);
    if (status != E_OK) return status;
    if (!q->ready || !(d->status & VIRTIO_STATUS_DRIVER_OK)) return E_STATE;
    status = read_segments(p, d, segments, count);
    if (status != E_OK) return status;
    uint32_t id = free_buffer(q);
    if (id == BUFFERS) return E_FULL;
    q->posted[id] = fill_descriptors(q, d, id, segments, (uint32_t)count);
    q->in_flight |= (uint8_t)(1 << id);
    avail(q)->ring[q->avail_index % LIMIT_QUEUE_SIZE] = (uint16_t)(id * LIMIT_QUEUE_SEGMENTS);
    arch_device_fence();
    avail(q)->index = ++q->avail_index;
    arch_device_fence();
    mmio_write32(d->base + VIRTIO_REG_QUEUE_NOTIFY, q->number);
    p->frame.x[REG_A1] = id;
    return E_OK;
}

/* --- taking --- */

static uint32_t in_flight(const struct queue *q) {
    uint32_t count = 0;
    for (uint32_t id = 0; id < BUFFERS; id++) count += q->in_flight >> id & 1;
    return count;
}

/* Why a completion can't be true, or 0. The device may say anything; only what was posted and is in flight is believed. */
static const char *lie(const struct queue *q, uint16_t index, struct used_element element) {
    uint16_t ahead = (uint16_t)(index - q->used_index);
    if (ahead > in_flight(q)) return "used index";
    uint32_t id = element.id / LIMIT_QUEUE_SEGMENTS;
    if (element.id % LIMIT_QUEUE_SEGMENTS || id >= BUFFERS || !(q->in_flight >> id & 1)) return "used id";
    if (element.length > q->posted[id]) return "used length";
    return 0;
}

status_t queue_take(struct process *p) {
    struct queue *q;
    struct device *d;
    status_t status = find(p, &q, &d);
    if (status != E_OK) return status;
    if (!q->ready) return E_STATE;
    uint16_t index = used(q)->index;
    if (index == q->used_index) return E_AGAIN;
    arch_device_fence();
    volatile struct used_element *entry = &used(q)->ring[q->used_index % LIMIT_QUEUE_SIZE];
    struct used_element element = {entry->id, entry->length};
    const char *why = lie(q, index, element);
    if (why) {
        device_broken(d, why);
        return E_BROKEN;
    }
    uint32_t id = element.id / LIMIT_QUEUE_SEGMENTS;
    q->in_flight &= (uint8_t)~(1 << id);
    q->used_index++;
    p->frame.x[REG_A1] = id;
    p->frame.x[REG_A2] = element.length;
    return E_OK;
}
