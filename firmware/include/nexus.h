/*
 * System calls as C functions, for programs in user mode: one static inline function per row of [sys] in abi.toml, with
 * what it needs and gives. Included by the runtime and by native programs; the kernel has no use for it.
 *
 * Every function returns a status (E_OK, ...); results go through pointers and are meaningless unless it is E_OK.
 * The message itself is in the IPC page (IPC_DATA bytes at NEXUS_BUFFER) and never in an argument.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "abi.h"

#define NEXUS_BUFFER ((uint8_t *)(VA_IPC + IPC_DATA))
#define NEXUS_CAPS ((volatile uint32_t *)(VA_IPC + IPC_CAPS))
#define NEXUS_GRANTS ((volatile struct grant *)(VA_IPC + IPC_GRANTS))

/* The word that describes a message in both directions: bytes, capabilities sent or received, capabilities accepted. */
static inline uint64_t nexus_word(uint32_t bytes, uint32_t caps, uint32_t accept) {
    return bytes | (uint64_t)caps << 16 | (uint64_t)accept << 24;
}
static inline uint32_t nexus_bytes(uint64_t word) { return (uint32_t)word & 0xffffu; }
static inline uint32_t nexus_caps(uint64_t word) { return (uint32_t)(word >> 16) & 0xffu; }
static inline uint32_t nexus_flags(uint64_t word) { return (uint32_t)(word >> 24) & 0xffu; }

struct nexus_regs {
    uint64_t a0, a1, a2, a3, a4, a5;
};

#ifndef __riscv
/* Compiled for a host, by tests: what the kernel does is theirs. */
struct nexus_regs nexus_ecall(uint64_t number, uint64_t r0, uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5);
#else
/* The instruction itself. The kernel keeps s0..s11, sp, gp, tp, ra; the rest is lost. */
static inline struct nexus_regs nexus_ecall(uint64_t number, uint64_t r0, uint64_t r1, uint64_t r2, uint64_t r3,
    uint64_t r4, uint64_t r5) {
    register uint64_t a0 __asm__("a0") = r0;
    register uint64_t a1 __asm__("a1") = r1;
    register uint64_t a2 __asm__("a2") = r2;
    register uint64_t a3 __asm__("a3") = r3;
    register uint64_t a4 __asm__("a4") = r4;
    register uint64_t a5 __asm__("a5") = r5;
    register uint64_t a7 __asm__("a7") = number;
    __asm__ volatile("ecall"
                     : "+r"(a0), "+r"(a1), "+r"(a2), "+r"(a3), "+r"(a4), "+r"(a5), "+r"(a7)
                     :
                     : "a6", "t0", "t1", "t2", "t3", "t4", "t5", "t6", "memory");
    return (struct nexus_regs){a0, a1, a2, a3, a4, a5};
}
#endif

/* ---- Messages ---- */

/* What recv and reply_recv deliver. `bits` only when the flags hold DELIVER_NOTIFIED, the rest with DELIVER_MESSAGE. */
struct nexus_delivery {
    uint64_t word;      /* nexus_bytes, nexus_caps, nexus_flags (DELIVER_*) */
    uint64_t reply;     /* one-shot handle; also what `behalf` takes while this call is served */
    uint64_t badge;     /* of the capability that the caller used */
    uint64_t sender_id; /* FNV-1a-64 of the caller's id name */
    uint64_t sender;    /* dense index | KIND_* << 16 */
};
static inline uint64_t nexus_bits(const struct nexus_delivery *d) { return d->badge; }

/* Send `word` and wait for the answer until `deadline` (ticks since reset). `behalf`: live reply handle, or 0. */
static inline uint64_t nexus_call(uint64_t endpoint, uint64_t word, uint64_t deadline, uint64_t behalf, uint64_t *answer) {
    struct nexus_regs r = nexus_ecall(SYS_CALL, endpoint, word, deadline, behalf, 0, 0);
    *answer = r.a1;
    return r.a0;
}

static inline uint64_t nexus_delivered(struct nexus_regs r, struct nexus_delivery *d) {
    *d = (struct nexus_delivery){r.a1, r.a2, r.a3, r.a4, r.a5};
    return r.a0;
}

/* Wait for a call or a notification; deadline 0: for ever. */
static inline uint64_t nexus_recv(uint64_t endpoint, uint32_t accept, uint64_t deadline, struct nexus_delivery *d) {
    return nexus_delivered(nexus_ecall(SYS_RECV, endpoint, nexus_word(0, 0, accept), deadline, 0, 0, 0), d);
}

/* An answer: `grants` objects of NEXUS_GRANTS are minted for the caller, `count` bytes at `offset` of the DMA window follow. */
struct nexus_answer {
    uint32_t bytes, caps, grants;
    uint32_t offset, count;
    uint64_t dma; /* DMA window, or 0 */
};
static inline uint64_t nexus_answer_word(const struct nexus_answer *a) {
    return a->bytes | (uint64_t)a->caps << 16 | (uint64_t)a->grants << 20;
}

/* Answer a call; never blocks. E_CALLER_GONE: nobody waits for it any more. */
static inline uint64_t nexus_reply(uint64_t reply, const struct nexus_answer *a) {
    return nexus_ecall(SYS_REPLY, reply, nexus_answer_word(a), 0, 0, a->dma, a->offset | (uint64_t)a->count << 32).a0;
}

/* Answer and wait for the next call in one entry. */
static inline uint64_t nexus_reply_recv(uint64_t reply, const struct nexus_answer *a, uint64_t endpoint, uint32_t accept,
    uint64_t deadline, struct nexus_delivery *d) {
    uint64_t word = nexus_answer_word(a) | (uint64_t)accept << 24;
    uint64_t payload = a->offset | (uint64_t)a->count << 32;
    return nexus_delivered(nexus_ecall(SYS_REPLY_RECV, reply, word, endpoint, deadline, a->dma, payload), d);
}

/* Set the bit that a notification capability stands for. Never blocks. */
static inline uint64_t nexus_notify(uint64_t notification) {
    return nexus_ecall(SYS_NOTIFY, notification, 0, 0, 0, 0, 0).a0;
}

/* Wait for notification bits and take them all; deadline 0: for ever, or as long as the call being served has. */
static inline uint64_t nexus_wait(uint64_t notification, uint64_t deadline, uint64_t *bits) {
    struct nexus_regs r = nexus_ecall(SYS_WAIT, notification, deadline, 0, 0, 0, 0);
    *bits = r.a1;
    return r.a0;
}

/* ---- Itself ---- */

static inline _Noreturn void nexus_exit(uint64_t status) {
    for (;;) nexus_ecall(SYS_EXIT, status, 0, 0, 0, 0, 0);
}

/* Ticks of LIMIT_TICK_HZ since reset. */
static inline uint64_t nexus_time(void) { return nexus_ecall(SYS_TIME, 0, 0, 0, 0, 0, 0).a1; }

/* Ticks of CPU that this process has used. */
static inline uint64_t nexus_cpu_time(void) { return nexus_ecall(SYS_TIME, 0, 0, 0, 0, 0, 0).a2; }

/* Print one line, without newline; whole or, with E_FULL, not at all. */
static inline uint64_t nexus_console_write(uint64_t console, const void *text, size_t bytes) {
    return nexus_ecall(SYS_CONSOLE_WRITE, console, (uintptr_t)text, bytes, 0, 0, 0).a0;
}

/* Whether the host can know the entropy of this run; valid from the first instruction on, and nobody else can change it. */
static inline bool nexus_test_entropy(void) {
    return *(const volatile uint64_t *)(VA_IPC + IPC_LAUNCH_FLAGS) & FLAG_TEST_ENTROPY;
}

/* IPC_ENTRY_BYTES that say which module an app begins with, filled up with zeros; all zero for a service. */
#define NEXUS_ENTRY ((const char *)(VA_IPC + IPC_ENTRY))

/* Whether the latch is open; read anew each time, as the kernel closes it under whoever runs. */
static inline bool nexus_bring_up(void) { return *(const volatile uint64_t *)(VA_IPC + IPC_BRING_UP) != 0; }

/* Notification bits that wait, without asking the kernel, which sets them under whoever runs; only nexus_wait and nexus_recv take them. */
static inline uint64_t nexus_pending(void) { return *(const volatile uint64_t *)(VA_IPC + IPC_PENDING); }

/* ---- Capabilities ---- */

static inline uint64_t nexus_cap_drop(uint64_t handle) { return nexus_ecall(SYS_CAP_DROP, handle, 0, 0, 0, 0, 0).a0; }

/* A new capability to the caller's own endpoint. */
static inline uint64_t nexus_cap_mint(uint64_t endpoint, uint64_t badge, uint64_t rights, uint64_t *handle) {
    struct nexus_regs r = nexus_ecall(SYS_CAP_MINT, endpoint, badge, rights, 0, 0, 0);
    *handle = r.a1;
    return r.a0;
}

/* Kill every capability to the caller's own endpoint that has this badge, wherever it is. */
static inline uint64_t nexus_cap_revoke(uint64_t endpoint, uint64_t badge, uint64_t *count) {
    struct nexus_regs r = nexus_ecall(SYS_CAP_REVOKE, endpoint, badge, 0, 0, 0, 0);
    *count = r.a1;
    return r.a0;
}

/* Object type, rights and badge of a capability of the caller. */
static inline uint64_t nexus_cap_info(uint64_t handle, uint32_t *type, uint32_t *rights, uint64_t *badge) {
    struct nexus_regs r = nexus_ecall(SYS_CAP_INFO, handle, 0, 0, 0, 0, 0);
    *type = (uint32_t)r.a1 & 0xffu;
    *rights = (uint32_t)r.a1 >> 8;
    *badge = r.a2;
    return r.a0;
}

/* ---- Devices ---- */

/* Registers are read straight from the window (read-only mapping at VA_DEVICE). */
static inline uint32_t nexus_device_read(uint32_t reg) { return *(const volatile uint32_t *)(VA_DEVICE + (uintptr_t)reg); }

static inline uint64_t nexus_device_write(uint64_t device, uint32_t reg, uint32_t value) {
    return nexus_ecall(SYS_DEVICE_WRITE, device, reg, value, 0, 0, 0).a0;
}

static inline uint64_t nexus_queue_setup(uint64_t queue, uint32_t *size) {
    struct nexus_regs r = nexus_ecall(SYS_QUEUE_SETUP, queue, 0, 0, 0, 0, 0);
    *size = (uint32_t)r.a1;
    return r.a0;
}

/* A piece of the caller's DMA window; `write`: the device may write it. */
static inline uint64_t nexus_segment(uint32_t offset, uint32_t bytes, bool write) {
    return offset | (uint64_t)(bytes & 0x7fffffffu) << 32 | (uint64_t)write << 63;
}

static inline uint64_t nexus_queue_post(uint64_t queue, const uint64_t segments[LIMIT_QUEUE_SEGMENTS], uint32_t count,
    uint32_t *id) {
    struct nexus_regs r = nexus_ecall(SYS_QUEUE_POST, queue, segments[0], segments[1], segments[2], segments[3], count);
    *id = (uint32_t)r.a1;
    return r.a0;
}

/* A finished buffer and how much the device wrote into it; E_AGAIN when nothing is done. */
static inline uint64_t nexus_queue_take(uint64_t queue, uint32_t *id, uint32_t *used) {
    struct nexus_regs r = nexus_ecall(SYS_QUEUE_TAKE, queue, 0, 0, 0, 0, 0);
    *id = (uint32_t)r.a1;
    *used = (uint32_t)r.a2;
    return r.a0;
}

/* Let the interrupt come again. */
static inline uint64_t nexus_irq_ack(uint64_t irq) { return nexus_ecall(SYS_IRQ_ACK, irq, 0, 0, 0, 0, 0).a0; }

/* ---- Memory regions ---- */

static inline uint64_t nexus_region_map(uint64_t region, bool write, void **address, size_t *bytes) {
    struct nexus_regs r = nexus_ecall(SYS_REGION_MAP, region, write, 0, 0, 0, 0);
    *address = (void *)r.a1;
    *bytes = r.a2;
    return r.a0;
}
static inline uint64_t nexus_region_unmap(uint64_t region) { return nexus_ecall(SYS_REGION_UNMAP, region, 0, 0, 0, 0, 0).a0; }
static inline uint64_t nexus_region_seal(uint64_t region) { return nexus_ecall(SYS_REGION_SEAL, region, 0, 0, 0, 0, 0).a0; }

/* Back to empty and unsealed, in steps (E_AGAIN: call again). */
static inline uint64_t nexus_region_free(uint64_t region) { return nexus_ecall(SYS_REGION_FREE, region, 0, 0, 0, 0, 0).a0; }

/* ---- Other processes ---- */

/*
 * An app from a sealed region, not yet running. E_BAD_ARGUMENT: the request, or what the region's first page states, is no app.
 * E_AGAIN: call again, the kernel is giving back the memory of apps whose spawner died.
 */
static inline uint64_t nexus_spawn(uint64_t spawn, uint64_t region, const struct spawn_request *request, uint64_t *supervise) {
    struct nexus_regs r = nexus_ecall(SYS_SPAWN, spawn, region, (uintptr_t)request, sizeof *request, 0, 0);
    *supervise = r.a1;
    return r.a0;
}

/* One step of SUP_*; E_AGAIN: call again. `status` is filled by SUP_STATUS and may be 0 otherwise. */
static inline uint64_t nexus_supervise(uint64_t handle, uint64_t operation, struct process_status *status) {
    return nexus_ecall(SYS_SUPERVISE, handle, operation, (uintptr_t)status, sizeof *status, 0, 0).a0;
}

/* SYSTEM_*. */
static inline uint64_t nexus_system(uint64_t handle, uint64_t operation, uint64_t a, uint64_t b, uint64_t *result) {
    struct nexus_regs r = nexus_ecall(SYS_SYSTEM, handle, operation, a, b, 0, 0);
    *result = r.a1;
    return r.a0;
}

/* What a slot of anybody's capability table holds; type OBJ_NONE: nothing. */
struct nexus_held {
    uint32_t type, rights, object;
    uint64_t badge;
};
static inline uint64_t nexus_capability(uint64_t system, uint32_t index, uint32_t slot, struct nexus_held *held) {
    struct nexus_regs r = nexus_ecall(SYS_SYSTEM, system, SYSTEM_CAPABILITY, (index & 0xffu) | (uint64_t)slot << 8, 0, 0, 0);
    *held = (struct nexus_held){(uint32_t)r.a1 & 0xffu, (uint32_t)(r.a1 >> 8) & 0xffu, (uint32_t)(r.a1 >> 16), r.a2};
    return r.a0;
}
