/*
 * Structures that the kernel and user programs both read. Numbers come from the generated contract.h;
 * included by the kernel, the runtime and native programs. Never holds anything of the kernel alone.
 */
#pragma once

#include <stdint.h>
#include "contract.h"

/* One granted object of a reply (IPC page, IPC_GRANTS): the kernel mints {object, badge, rights} for the caller. */
struct grant {
    uint32_t handle;
    uint32_t rights;
    uint64_t badge;
};

/* What is known of a process (SUP_STATUS, SYSTEM_PROCESS). Ticks are of LIMIT_TICK_HZ. */
struct process_status {
    uint32_t state;       /* STATE_* */
    uint32_t fault;       /* FAULT_* */
    uint64_t value;       /* exit status, or the address of a memory fault */
    uint64_t pc;          /* where it stopped; 0 for a quiet_fault process */
    uint64_t cpu_ticks;
    uint64_t service_id;
    uint32_t incarnation; /* how often it has been started */
    uint32_t rank;
    uint32_t frames;      /* pages it owns */
    uint32_t slots;       /* capabilities it holds */
    uint64_t messages;    /* calls that were delivered to it since the system began, over all its lives; notifications are none */
};
_Static_assert(sizeof(struct process_status) == 64, "SUP_STATUS is read by generated guest code");

/*
 * How to start an app (SYS_SPAWN). Who it is, what it may ask for, its heap and its program are not here: the sealed region's first
 * page states them (bundle.toml), and the kernel takes nobody else's word.
 */
struct spawn_request {
    uint32_t stack_pages;
    uint32_t share;       /* per mille of CPU */
    uint32_t endpoint;    /* handle passed on to the app as its third capability (needs GRANT); 0: none */
    uint32_t unused;      /* 0 */
};
