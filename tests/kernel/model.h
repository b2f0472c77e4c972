/*
 * What KERNEL.md says of calls, capabilities, deadlines and deaths, as the simplest program that says it: no slots, no lists, no
 * registers. explore.c takes this and the kernel through the same steps and compares. Must share no code with the kernel.
 */
#pragma once

#include "host.h"

enum { TOKENS = 192, NO_TOKEN = 0xffff, SPARE = 8, GIFTS = 4, ACTORS = SYSTEM_PROCESSES };
enum mode { DEAD, RUNS, RECEIVES, CALLS, WAITS };

/* How a step has told an actor something, besides DELIVER_*: an answer, plain bits, a count, a new handle. */
enum { TOLD_ANSWER = 0x100, TOLD_BITS = 0x200, TOLD_COUNT = 0x400, TOLD_HANDLE = 0x800 };

/* A capability: it is held by exactly one process, or by NOBODY once it is dead. */
struct token {
    uint8_t type, rights;
    uint16_t holder, object; /* object of a reply: the caller, or NOBODY once it is gone */
    uint64_t badge;
    uint32_t seen;
    uint64_t handle;         /* by which the kernel knows it */
};

struct actor {
    enum mode mode;
    uint32_t incarnation, filler;
    uint64_t bits, deadline; /* 0: none */
    uint16_t serving;
    uint32_t accept;

    /* The call that it is in. */
    uint16_t endpoint, server; /* server: NOBODY while it waits in the queue */
    uint64_t order, badge;
    uint32_t length, seed, gift_count;
    uint16_t gifts[GIFTS], behalf;

    /* What this step has told it. */
    bool told;
    uint32_t status, flags, got_length, got_seed, arrived_count;
    uint64_t got_badge;
    uint16_t got_sender, subject, reply, arrived[GIFTS];
};

struct model {
    uint64_t now, orders;
    struct actor actors[ACTORS];
    struct token tokens[TOKENS];
};

/* One step: what is tried, by whom, with what. Tokens are numbers in the table. */
enum kind { STEP_CALL, STEP_RECV, STEP_REPLY, STEP_REPLY_RECV, STEP_NOTIFY, STEP_WAIT, STEP_DROP, STEP_MINT, STEP_REVOKE, STEP_TIME,
            STEP_KILL, STEP_RESTART, STEP_KINDS };
struct step {
    enum kind kind;
    uint16_t actor, token, behalf; /* actor of kill and restart: who ends */
    uint32_t accept, gift_count, grants, length, seed, rights;
    uint16_t gifts[GIFTS];
    uint64_t until, badge;         /* until: a point in time; 0 where a wait may last for ever */
};

void model_start(struct model *m);
void model_boot_tokens(struct model *m, uint16_t index); /* in explore.c, which gives the kernel the same */
uint16_t model_token(struct model *m, uint16_t holder, uint8_t type, uint8_t rights, uint16_t object, uint64_t badge);
uint32_t model_held(const struct model *m, uint16_t index);
void model_step(struct model *m, const struct step *s);
