/*
 * The judge's own tools: what only judge.c, measure.c and report.c use. The cases' functions that run in the judge have the
 * rest in proof.h.
 */
#pragma once

#include "judge.h"
#include "proof.h"

enum { MAX_ACCEPT = IPC_MAX_CAPS };
#define CHILDREN_BITS 0xffffffffull /* of the judge's notification: deaths of its children */

struct usage {
    uint64_t frames, slots;
};

void measure_begin(void);
struct usage usage_now(void);
uint64_t next_random(void);
enum who who_is(const struct nexus_delivery *d);
bool take_token_behind(void);
void answer(const struct nexus_delivery *d, uint32_t bytes, uint32_t grants);
uint32_t gifts_put(void);
void gifts_forget(void);
void keep(uint64_t handle);
void drop_kept(void);
void stop_all(void);
void free_judge_regions(void);
void repair_servers(void);

void say_run(uint32_t number, const char *name, bool right, int64_t effect, const struct usage *before, const struct usage *after);
void say_look(uint32_t number, const char *what, bool right);
void say_end(const struct usage *before, const struct usage *after);
