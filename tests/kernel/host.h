/*
 * What a case of the kernel's host tests works with: boot the test system, make system calls as one of its processes, look at
 * the kernel's own structures, check. Included by every file of cases; the kernel itself never sees it.
 */
#pragma once

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "ipc.h"
#include "kernel.h"

/* --- the test system (image.c) --- */

enum { ROOT, CLIENT, TWIN, LOW, MIDDLE, SERVER, SYSTEM_PROCESSES, APP = SYSTEM_PROCESSES };
enum { MIDDLE_ENDPOINT, SERVER_ENDPOINT };
enum { WORK_REGION, GIFT_REGION, WORK_PAGES = 6 }; /* more than one step of wiping */
enum { BADGE_STEP = 0x100, GIFT_BADGE = 0x6000 }; /* badge of process i at endpoint e: (e + 1) * BADGE_STEP + i */
enum { DATA_AT = 8192, DATA_BYTES = 4500, DATA_PAGES = 3 }; /* of the program: in the payload, in its file, in memory */
enum { TEST_BUDGET = 500000, TEST_SHARE = 200, DMA_BYTES = 2 * 4096, VIRTIO_RNG = 4, TEST_FEATURE = 5, QUEUES = 2 };

/* Handles at boot; whoever lacks an object has another one in that slot, see image.c. */
enum {
    H_CONSOLE = HANDLE_BOOT, H_NOTE, H_MIDDLE, H_SERVER, H_GIFT, H_GIFT_REGION,
    H_OWN = H_MIDDLE,                       /* MIDDLE */
    H_SPAWN = H_GIFT_REGION + 1, H_REGION,  /* MIDDLE */
    H_SERVER_OWN = H_MIDDLE, H_DEVICE, H_QUEUE, H_DMA, H_IRQ, H_QUEUE_1, /* SERVER */
    H_SYSTEM = H_GIFT, H_SUPERVISE_CLIENT,  /* ROOT: then one for each process in order */
};

extern uint64_t host_time, host_timer, host_satp;
extern char host_uart[1 << 17];
extern uint32_t host_uart_bytes;
extern bool host_uart_reads;   /* false: the host has stopped reading */
extern uint32_t host_uart_slow;  /* looks at the device until a byte that it took is out */
extern uint32_t host_uart_unsent;
extern uint64_t host_uart_ticks; /* time that passes with each look at the device */
extern bool host_uart_asks;    /* it interrupts when it can take more */

void boot(void);               /* everything built, loaded and ready */
void boot_cold(void);          /* everything built, only ROOT loaded */
struct process *proc(uint32_t index);
void resume(uint32_t index);   /* by ROOT, in steps */
void restart(uint32_t index);
void kill_process(uint32_t index);
void tick(uint64_t ticks);     /* time goes on and the timer fires */

/* --- system calls --- */

enum { BLOCKED = 0x10000, STOPPED };

/* Makes the call as this process: its status, or BLOCKED or STOPPED. Results are in its registers, see reg(). */
uint32_t host_syscall(struct process *p, uint64_t number, const uint64_t *arguments);
#define sys(p, number, ...) host_syscall(p, number, (const uint64_t[6]){__VA_ARGS__})
uint32_t outcome(const struct process *p); /* of the call that p is or was in */
uint64_t reg(const struct process *p, uint32_t number);

/* A call in its parts; what is left out is 0. The deadline counts from now, 0 meaning a second. */
struct message { uint64_t to; uint32_t bytes, caps, accept; uint64_t within, behalf; };
uint32_t host_call(struct process *p, struct message m);
#define call(p, handle_, ...) host_call(p, (struct message){.to = handle_, ##__VA_ARGS__})
struct answer { uint64_t to; uint32_t bytes, caps, grants; uint64_t dma, offset, count; };
uint32_t host_reply(struct process *p, struct answer a);
#define reply(p, handle_, ...) host_reply(p, (struct answer){.to = handle_, ##__VA_ARGS__})
uint32_t receive(struct process *p, uint32_t accept); /* on its own endpoint, for ever */
uint32_t receive_until(struct process *p, uint32_t accept, uint64_t deadline);

/* What the last message that p got says. */
static inline uint32_t got_bytes(const struct process *p) { return (uint32_t)reg(p, 1) & 0xffff; }
static inline uint32_t got_caps(const struct process *p) { return (uint32_t)(reg(p, 1) >> 16) & 0xff; }
static inline uint32_t got_flags(const struct process *p) { return (uint32_t)(reg(p, 1) >> 24) & 0xff; }
static inline uint64_t got_reply(const struct process *p) { return reg(p, 2); }
static inline uint64_t got_badge(const struct process *p) { return reg(p, 3); }
static inline uint32_t got_sender(const struct process *p) { return (uint32_t)reg(p, 5) & 0xffff; }

static inline uint8_t *data_of(struct process *p) { return p->ipc + IPC_DATA; }
static inline uint32_t *caps_of(struct process *p) { return (uint32_t *)(p->ipc + IPC_CAPS); }
static inline struct grant *grants_of(struct process *p) { return (struct grant *)(p->ipc + IPC_GRANTS); }
static inline uint64_t word_of(const struct process *p, uint32_t offset) { return *(const uint64_t *)(p->ipc + offset); }
void fill(struct process *p, uint8_t with);              /* its whole IPC page */
void write_text(struct process *p, const char *text);    /* as its message */
uint8_t *user(struct process *p, uint64_t va);           /* its memory, as the tests see it */

/* --- capabilities --- */

uint32_t give(struct process *p, uint8_t type, uint8_t rights, uint16_t object, uint64_t badge);
struct cap *cap_at(struct process *p, uint64_t handle);  /* 0: the handle is dead */
uint32_t leave_free(struct process *p, uint32_t slots);  /* fills the table but for so many; the first handle put in */
uint32_t used_slots(void);
uint32_t count_caps(uint8_t type, uint16_t object);      /* in all tables */

/* --- checks --- */

void check_invariants(void);   /* invariants.c; after every system call and event too, unless told otherwise */
extern bool host_checks_each_step;
void check_frames(void);       /* cases_frames.c: every page that a process maps is of a type and an owner that may be there */
void host_fail(const char *file, int line, const char *format, ...) __attribute__((noreturn, format(printf, 3, 4)));
extern void (*host_tell_more)(void); /* what led to a failure; 0: nothing to say */
#define FAIL(...) host_fail(__FILE__, __LINE__, __VA_ARGS__)
#define CHECK(condition) do { if (!(condition)) FAIL("%s", #condition); } while (0)
#define CHECK_EQ(found, expected) \
    do { \
        uint64_t found_ = (uint64_t)(found), expected_ = (uint64_t)(expected); \
        if (found_ != expected_) \
            FAIL("%s: found %llu (0x%llx), expected %llu (0x%llx)", #found, (unsigned long long)found_, \
                 (unsigned long long)found_, (unsigned long long)expected_, (unsigned long long)expected_); \
    } while (0)

/* Runs the statement, which has to end in a panic or in the finisher; what it said is in host_last_words. */
extern jmp_buf host_end;
extern bool host_end_expected;
extern const char *host_last_words;
extern uint32_t host_exit_code;
#define CHECK_ENDS(statement) \
    do { \
        host_end_expected = true; \
        if (setjmp(host_end) == 0) { statement; FAIL("%s went on", #statement); } \
        host_end_expected = false; \
    } while (0)

/* --- the virtio device (virtio.c) --- */

struct host_queue { uint32_t ready, size, notified, seen, pending; uint64_t descriptors, available, used; }; /* pending: bit per buffer */
extern struct host_device {
    bool present, twice, stuck; /* stuck: does not reset */
    uint32_t version, status, features[2], driver_features[2], features_sel, features_sel_read, interrupt_status;
    uint32_t queue_sel, queue_max;
    struct host_queue queues[QUEUES];
    bool broke_fence;           /* a register was written that only the kernel may write, or in a wrong state */
} device_model;
uint64_t virtio_read(uint64_t offset);
void virtio_write(uint64_t offset, uint64_t value);
void virtio_complete_on(uint32_t queue, uint32_t id, uint32_t bytes);                  /* as the device says */
void virtio_answer_on(uint32_t queue, uint32_t buffer, uint32_t bytes, uint8_t with); /* honestly: fills what was posted */
void virtio_complete(uint32_t id, uint32_t bytes);                  /* on the first queue */
void virtio_answer(uint32_t buffer, uint32_t bytes, uint8_t with);
void driver_up(void);           /* SERVER takes the device to DRIVER_OK with its queues set up */
extern uint32_t host_irq_pending, host_irq_enabled; /* bit per source */

/* --- cases --- */

struct test_case { const char *name; void (*run)(void); struct test_case *next; };
void register_case(struct test_case *one);
#define CASE(name_) \
    static void name_(void); \
    static struct test_case case_##name_ = {#name_, name_, 0}; \
    __attribute__((constructor)) static void register_##name_(void) { register_case(&case_##name_); } \
    static void name_(void)
