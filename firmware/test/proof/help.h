/* What helpers do in more than one group of cases, and how an attacker takes part in it. */
#pragma once

#include "proof.h"

uint64_t help_call(uint64_t server);
uint64_t help_block_victim(uint32_t arg, bool right);
uint64_t help_lend_endpoint(uint32_t arg, bool right);
uint64_t borrowed_endpoint(void);
void pause_for(uint64_t ticks);
