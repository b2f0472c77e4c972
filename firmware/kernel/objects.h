/*
 * The kernel's own structures: process, capability, endpoint, device, region. Included by every kernel file and by the
 * host tests of ipc.c, cap.c and frame.c. Nothing here is visible to user mode (that is firmware/include/abi.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"
#include "image.h"

#define PROCESS_SLOTS (LIMIT_PROCESSES + LIMIT_APP_SLOTS)
#define NOBODY 0xffffu /* no process, no object */

/* Saved registers; trap_entry.S writes them at these offsets (FRAME_* in frame_offsets.h). */
struct trap_frame {
    uint64_t x[32]; /* x[0] holds the pc */
};
enum { REG_PC = 0, REG_SP = 2, REG_A0 = 10, REG_A1, REG_A2, REG_A3, REG_A4, REG_A5, REG_A6, REG_A7 };

/* One slot of a capability table. A free slot keeps its generation, so that an old handle never fits a new use. */
struct cap {
    uint8_t type;        /* OBJ_*; OBJ_NONE: free */
    uint8_t rights;      /* RIGHT_* */
    uint16_t object;     /* number of the object; of a reply: the caller, or NOBODY once it is gone */
    uint32_t generation; /* 24 bits, never 0 */
    uint64_t badge;
    uint32_t seen;       /* endpoint: the server's incarnation that this capability knows of; notification: its process's life */
    uint32_t next_free;
};

enum { NO_SLOT = LIMIT_CAP_SLOTS };

struct process {
    struct trap_frame frame; /* first: trap_entry.S finds it through mscratch */

    /* What it is: fixed at boot or at spawn. */
    const struct image_process *row;
    uint64_t service_id;
    uint64_t mask;      /* apps: grantable actions */
    uint64_t publisher; /* apps */
    uint16_t index;
    uint8_t kind;       /* KIND_* */
    uint8_t rank;
    uint16_t supervisor;
    uint16_t region;    /* apps: the sealed region they run from */

    /* Where its memory is. */
    uint64_t satp;
    uint64_t *root;
    uint8_t *ipc;       /* its IPC page, as the kernel sees it */
    uint32_t frames;

    /* Scheduling. */
    uint8_t state;      /* STATE_* */
    bool queued;        /* in a ready queue */
    bool throttled;     /* has used up its share of this period */
    bool serves;        /* owns an endpoint: others wait for it */
    uint16_t console_of; /* does not run until less of what this server has written waits for the host; NOBODY */
    uint64_t stalled_until; /* or until then */
    struct process *next, *prev;                     /* ready queue or endpoint queue */
    struct process *deadline_next, *deadline_prev;   /* deadline list */
    uint64_t deadline;  /* 0: not in the list */
    uint64_t cpu_ticks;
    uint64_t since_recv;
    uint64_t received_at; /* receiving: since when */
    uint64_t share_used;
    uint16_t payer;     /* whose share pays for what runs now */

    /* IPC. */
    struct endpoint *queued_on; /* calling, not yet delivered */
    struct endpoint *receives;  /* receiving on */
    uint64_t call_badge;
    uint32_t call_word;         /* length | caps<<16 | accept<<24 of the pending call or recv */
    uint8_t behalf_slot;        /* the reply or child on whose behalf it is made; NO_SLOT */
    uint16_t server;            /* calling and delivered: who holds the reply */
    uint8_t reply_slot;         /* and in which slot */
    uint16_t serving;           /* caller of the last message received and not yet answered */
    uint64_t bits;              /* pending notification bits */
    uint64_t messages;          /* calls delivered to it, over all its lives */

    /* Capabilities. */
    struct cap caps[LIMIT_CAP_SLOTS];
    uint8_t free_slot;
    uint8_t free_slots;

    /* Life. */
    uint32_t incarnation;
    uint32_t life;       /* apps: which user of this slot it is; what was given to reach an earlier one is dead */
    uint32_t fault;
    uint64_t fault_value;
    uint64_t fault_pc;
    uint32_t load_page;  /* cursor of the loading or releasing step */
    uint32_t stale_regions; /* still in its page tables since it stopped */
    bool orphan;         /* its spawner died: the kernel gives its memory back */
    bool end_untold;     /* and it ended with it, of which the console has no line yet */
    uint32_t console_used;
    uint32_t console_lost;
};

struct endpoint {
    uint16_t owner;
    struct process *head, *tail; /* callers: highest rank first, then first come */
};

struct queue {
    uint16_t device;
    uint8_t number;
    bool ready;
    uint8_t *rings;      /* one kernel frame: descriptors, available, used */
    uint8_t in_flight;   /* bit per buffer id */
    uint16_t avail_index, used_index;
    uint32_t posted[4];  /* bytes the device may write, per buffer id */
};

struct device {
    uint64_t base;       /* 0: absent */
    uint16_t driver;
    uint16_t irq;
    uint8_t status;      /* what the driver has set so far */
    uint8_t driver_features_sel;
    bool version_1;      /* the driver accepted VERSION_1 */
    bool broken, dead;
    bool irq_off;        /* cut off: above its rate */
    uint32_t irq_count;
    uint64_t irq_period;
    uint8_t *dma;
    uint32_t dma_bytes;
};

struct region {
    uint16_t owner;
    uint32_t pages;
    uint8_t *base;
    bool sealed;
    bool wiping;             /* not zero yet */
    uint32_t refs;           /* capabilities, and apps that run from it */
    uint64_t readers, writers; /* bit per process index that has it mapped */
    uint32_t wipe_page;
};

/* What a region states of the app in it. */
struct manifest {
    char name[LIMIT_SPAWN_NAME_BYTES + 1]; /* "app:" and the id; ends with a zero */
    uint8_t entry[IPC_ENTRY_BYTES];
    uint64_t service_id; /* of the name */
    uint64_t publisher;
    uint64_t mask;       /* of the actions asked for */
    uint32_t heap_pages;
    uint32_t contents_bytes; /* from the region's second page on */
};

enum frame_type {
    FRAME_FREE, FRAME_KERNEL, FRAME_IMAGE, FRAME_TABLE, FRAME_USER, FRAME_IPC, FRAME_DMA, FRAME_KEPT, FRAME_REGION,
    FRAME_RINGS, FRAME_QUARANTINE,
};

struct frame {
    uint8_t type;
    uint8_t owner;  /* process index, 0xff: the kernel */
    uint16_t next;  /* free list */
};

extern struct process processes[PROCESS_SLOTS];
extern struct endpoint endpoints[LIMIT_ENDPOINTS];
extern struct device devices[LIMIT_DEVICES];
extern struct queue queues[LIMIT_QUEUES];
extern struct region regions[LIMIT_REGIONS];
extern struct process *current;
