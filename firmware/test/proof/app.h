/* Apps as their spawner sees them: used by cases that run in the holder. */
#pragma once

#include "proof.h"

/* What state_app states of every app. */
enum { APP_MASK = 1 << 1 | 1 << 3 | 1 << 4 | 1 << 6, APP_PUBLISHER = 0x1234567, APP_CONTENTS = PAGE };

void put_field(uint8_t *page, uint32_t at, uint64_t value, uint32_t bytes);
void put_id(uint8_t *page, const char *id);
uint8_t *state_app(uint64_t region, const char *id);
void empty_region(uint64_t region);
uint64_t sealed_app(uint64_t region, const char *id);
uint64_t app_region(void);
struct spawn_request app_request(void);
uint64_t spawn_simple(uint64_t spawn, uint64_t region);
