/* Apps as their spawner sees them: used by cases that run in the holder. */
#pragma once

#include "proof.h"

struct spawn_request app_request(const char *name);
uint64_t sealed_region(uint64_t region);
uint64_t app_region(void);
uint64_t spawn_simple(uint64_t spawn, uint64_t region);
