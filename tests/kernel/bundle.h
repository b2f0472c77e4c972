/* A manifest as the host tests write it into a region; used by cases_spawn.c and cases_manifest.c. */
#pragma once

#include "host.h"

enum { MASK = 1 << 1 | 1 << 6 | 1 << 13, PUBLISHER = 0x7071, HEAP = 3, CONTENTS = 6000 }; /* as good_manifest states them */
#define ENTRY "start_here"

struct row { uint16_t action; uint8_t reason; };
void put(uint8_t *page, uint32_t at, uint64_t value, uint32_t bytes);
uint32_t put_rows(uint8_t *page, const struct row *rows, uint32_t count); /* and how many, and the bytes of the manifest */
void put_name(uint8_t *page, const char *id);
void good_manifest(uint8_t *page, const char *id);

struct spawn_request good_request(void);
uint8_t *staged(void);             /* MIDDLE's region is sealed and states a good app, "probe"; its first page, for the test to change */
uint32_t spawn(struct spawn_request r);
uint64_t spawned(const char *id);  /* stated first; the supervise handle */
uint32_t steps(uint64_t handle, uint64_t operation);
