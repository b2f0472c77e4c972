/*
 * What ipc.c and notify.c share: how a message's register word is laid out (SYS_CALL, SYS_RECV, SYS_REPLY in recipes/contract/abi.toml),
 * how the kernel writes into an IPC page, who can be told anything, until when one that serves may wait. Also included by their tests.
 */
#pragma once
#include "kernel.h"

enum {
    WORD_LENGTH_MASK = 0xffff,
    WORD_CAPS = 16,       /* 4 bits: capabilities moved */
    WORD_GRANTS = 20,     /* 4 bits: objects granted, replies only */
    WORD_ACCEPT = 24,     /* 8 bits: capabilities accepted */
    WORD_COUNT_MAX = 0xf,
    WORD_ACCEPT_MAX = 0xff,
};
#define WORD_CALL_BITS 0xff0ffffful

static inline bool running(const struct process *p) {
    return p->state >= STATE_READY && p->state <= STATE_WAITING;
}

static inline void ipc_set(struct process *p, uint32_t offset, uint64_t value) { *(uint64_t *)(p->ipc + offset) = value; }

/* A call or wait of one that serves a call can't outlast that one. */
static inline uint64_t capped_deadline(const struct process *p, uint64_t deadline) {
    if (p->serving == NOBODY) return deadline;
    uint64_t limit = processes[p->serving].deadline;
    return limit && limit < deadline ? limit : deadline;
}
