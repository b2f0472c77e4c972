/* The numbers that handles.c (the calls) and handle_cases.c (the cases and their effects) share. */
#pragma once

#include "proof.h"

enum kind { ABSENT, STALE, OTHER, KINDS };

enum {
    USE_CALL, USE_RECV, USE_REPLY, USE_REPLY_RECV, USE_REPLY_RECV_ENDPOINT, USE_BEHALF, USE_NOTIFY, USE_WAIT, USE_CONSOLE, USE_DROP,
    USE_MINT, USE_REVOKE, USE_INFO, USE_DEVICE, USE_SETUP, USE_POST, USE_TAKE, USE_IRQ, USE_DMA, USE_MAP, USE_UNMAP, USE_SEAL,
    USE_FREE, USE_SPAWN, USE_SPAWN_REGION, USE_SUPERVISE, USE_SYSTEM, USE_CAPABILITY, TARGETS
};



uint64_t handle_attack(uint32_t arg, bool right);
