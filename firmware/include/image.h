/*
 * The static description of one system: what the builder writes (image_table.c) and the kernel builds processes from.
 * Lives in the kernel's locked text region, so nothing can change it after reset. Holds no policy, only rows.
 */
#pragma once

#include <stdint.h>
#include "contract.h"

#define IMAGE_DIGEST_BYTES 32

enum image_access { IMAGE_R = 1, IMAGE_W = 2, IMAGE_X = 4 };

/* A part of the payload: page-aligned in the image, zero-padded to whole pages. */
struct image_part {
    const uint8_t *start;
    uint64_t bytes;
};

/* Read-only segments are mapped in place and shared; writable ones are copied at each (re)start. */
struct image_segment {
    uint64_t va; /* page-aligned */
    const uint8_t *data;
    uint32_t file_bytes;
    uint32_t memory_bytes;
    uint32_t access; /* IMAGE_R, _W, _X; never W and X */
};

/* One ELF: a runtime that many processes share, or a native program. */
struct image_program {
    const char *name;
    uint64_t entry;
    const struct image_segment *segments;
    uint32_t segment_count;
    const uint8_t *contract_digest; /* inside the program's own read-only data */
};

/* A capability at boot; its place in the row's list is its slot, its handle is IMAGE_HANDLE(slot). */
struct image_cap {
    uint8_t type;    /* OBJ_* */
    uint8_t rights;  /* RIGHT_* */
    uint16_t object; /* endpoint, region, device or queue number, or dense index of a process */
    uint64_t badge;
};
#define IMAGE_HANDLE(slot) (HANDLE_BOOT + (slot))

enum image_flags {
    IMAGE_ROOT = 1,             /* init: starts running, its death ends the system */
    IMAGE_CRITICAL = 2,         /* beyond restart = shutdown with EXIT_CRITICAL_DIED (init decides) */
    IMAGE_CONSOLE_RESERVED = 4, /* has the reserved part of the console FIFO */
    IMAGE_QUIET_FAULT = 8,      /* fault details are never printed nor told */
    IMAGE_COUNTERS = 16,        /* system-wide: user mode may read cycle, time, instret (bench, equivalence) */
};

/* One process; its place in image.processes is its dense index. */
struct image_process {
    const char *label;   /* console label */
    const char *id_name; /* policy name */
    uint64_t service_id; /* FNV-1a-64 of id_name */
    uint32_t flags;
    uint32_t rank;       /* 0 lowest .. 31; also its priority */
    const struct image_program *program;
    struct image_part romfs; /* bytes 0: none */
    uint32_t heap_pages;
    uint32_t stack_pages;
    uint32_t kept_pages;
    uint32_t policy;         /* 1: image.policy is mapped into it */
    uint32_t share;          /* per mille of CPU; 0: unlimited */
    uint64_t request_budget; /* ticks since the last recv; 0: none */
    uint32_t supervisor;     /* dense index; of itself: nobody */
    const struct image_cap *caps;
    uint32_t cap_count;
};

/* One endpoint; its place in image.endpoints is its number. */
struct image_endpoint {
    uint32_t owner;
};

/* A virtio-mmio device that a row names: window, queues and DMA window are its driver's. */
struct image_device {
    uint32_t virtio_id;
    uint32_t owner;
    uint32_t queue_count; /* queues number from first_queue on */
    uint32_t first_queue;
    uint32_t dma_pages;
    uint64_t features;    /* device feature bits a driver may accept, besides VERSION_1 */
};

struct image_region {
    uint32_t owner;
    uint32_t pages;
};

struct image {
    uint64_t ram_bytes;
    uint32_t flags; /* IMAGE_COUNTERS */
    const uint8_t *contract_digest;
    struct image_part policy; /* bytes 0: none */
    const uint8_t *policy_digest;
    const struct image_process *processes;
    uint32_t process_count;
    const struct image_endpoint *endpoints;
    uint32_t endpoint_count;
    const struct image_device *devices;
    uint32_t device_count;
    uint32_t queue_count;
    const struct image_region *regions;
    uint32_t region_count;
    const struct image_program *app_program; /* the runtime of spawned apps; 0: none */
};

extern const struct image image;
