/*
 * Loads, stores and jumps to where a process has no right to: page 0, its own code, its stack's guard page, other processes,
 * kernel, devices. The kernel's record has the address; the twin does the same where it may. The host compares the kernel's
 * memory with the image afterwards.
 */
#include "attacker.h"
#include "device.h"
#include "effects.h"
#include "holder.h"

enum { LOAD, STORE, JUMP };
enum { STACK_BYTES = 16 * 1024, HEAP_BYTES = 16 * 1024 }; /* of attacker and holder in the recipe */
#define RETURN_INSTRUCTION 0x8082u /* c.jr ra */

static uint64_t target_data[8];
static const uint64_t target_constant = RETURN_INSTRUCTION;
static void target_code(void) { __asm__ volatile(""); }

static void load(uint64_t address) { done_data = *(volatile uint64_t *)address; }
static void store(uint64_t address) { *(volatile uint64_t *)address = RETURN_INSTRUCTION; }
static void jump(uint64_t address) { ((void (*)(void))address)(); }

static uint64_t touch(uint32_t how, uint64_t address) {
    if (how == LOAD) load(address);
    if (how == STORE) store(address);
    if (how == JUMP) jump(address);
    return E_OK;
}

/* Where the same is allowed. */
static uint64_t allowed(uint32_t how) { return how == JUMP ? (uintptr_t)target_code : (uintptr_t)target_data; }

struct place {
    uint32_t how;
    uint64_t address; /* 0 with `own`: a place of the program's own */
    enum { FIXED, OWN_DATA, OWN_CONSTANT, OWN_CODE, OWN_STACK } own;
};

static const struct place places[];

static uint64_t address_of(const struct place *p, uint64_t on_stack) {
    switch (p->own) {
    case OWN_DATA: target_data[0] = RETURN_INSTRUCTION; return (uintptr_t)target_data;
    case OWN_CONSTANT: return (uintptr_t)&target_constant;
    case OWN_CODE: return (uintptr_t)target_code;
    case OWN_STACK: return on_stack;
    default: return p->address;
    }
}

static uint64_t touch_place(uint32_t number, bool right) {
    const struct place *p = &places[number];
    volatile uint64_t on_stack = RETURN_INSTRUCTION;
    return touch(p->how, right ? allowed(p->how) : address_of(p, (uintptr_t)&on_stack));
}

/* --- places that need more than an address --- */

/* Deeper and deeper, without end or only so deep that it fits. */
static uint64_t descend(uint32_t depth) {
    volatile uint64_t frame[32];
    frame[0] = depth;
    return depth ? descend(depth - 1) + frame[0] : 0;
}

static uint64_t overflow_stack(uint32_t arg, bool right) {
    (void)arg;
    return descend(right ? 20 : 1000000) ? E_OK : UNLIKE;
}

static uint64_t map(uint64_t region, bool write) {
    void *address;
    size_t bytes;
    uint64_t status;
    do status = nexus_region_map(region, write, &address, &bytes);
    while (status == E_AGAIN);
    return status;
}

static void give_region_0(uint32_t arg, bool right) {
    (void)arg, (void)right;
    give_region(0, RIGHT_MAP_R | RIGHT_MAP_W | RIGHT_GRANT);
}

static void measure_token(uint32_t arg, bool right) {
    (void)arg, (void)right;
    seen.measured = region_value(judge_region(0)) == seen.token;
}

static uint64_t store_token(uint64_t status) {
    if (status == E_OK) *(volatile uint64_t *)VA_REGION = told.token;
    return status;
}

static uint64_t store_in_readable(uint32_t arg, bool right) {
    (void)arg;
    return store_token(map(given[0], right));
}

/* Sealing takes the write mapping away at once. */
static uint64_t store_in_sealed(uint32_t arg, bool right) {
    (void)arg;
    if (map(given[0], true) != E_OK) return UNLIKE;
    if (!right && nexus_region_seal(given[0]) != E_OK) return UNLIKE;
    return store_token(E_OK);
}

static uint64_t jump_into_region(uint32_t arg, bool right) {
    (void)arg;
    if (map(given[0], true) != E_OK) return UNLIKE;
    store(VA_REGION);
    jump(right ? (uintptr_t)target_code : VA_REGION);
    return E_OK;
}

/* The driver's own window: registers are read, never written. */
static uint64_t store_in_window(uint32_t arg, bool right) {
    (void)arg;
    if (right) return nexus_device_read(VIRTIO_REG_MAGIC) == VIRTIO_MAGIC ? E_OK : UNLIKE;
    *(volatile uint32_t *)(VA_DEVICE + VIRTIO_REG_QUEUE_DESC) = 0;
    return E_OK;
}

static uint64_t jump_into_dma(uint32_t arg, bool right) {
    (void)arg;
    store(VA_DMA);
    jump(right ? (uintptr_t)target_code : VA_DMA);
    return E_OK;
}

/* --- the table --- */

#define KERNEL_START 0x80000000ul
#define KERNEL_DATA 0x80010000ul /* inside data or bss of any kernel of a sensible size */
#define FRAMES 0x81000000ul      /* RAM of processes */
#define HALF 0x4000000000ul      /* the first address that Sv39 can't hold in its lower half */

enum {
    LOAD_NULL, LOAD_LOW, LOAD_BEFORE_IMAGE, LOAD_HEAP_END, LOAD_STACK_TOP, LOAD_IPC_END, LOAD_KERNEL, LOAD_KERNEL_DATA, LOAD_FRAMES, LOAD_CLINT,
    LOAD_PLIC, LOAD_FINISHER, LOAD_VIRTIO, LOAD_WINDOW, LOAD_DMA, LOAD_REGION, LOAD_POLICY, LOAD_ROMFS, LOAD_KEPT, LOAD_HALF, LOAD_HIGH,
    STORE_NULL, STORE_CODE, STORE_CONSTANT, STORE_HEAP_END, STORE_KERNEL, STORE_KERNEL_DATA, STORE_FRAMES, STORE_CLINT, STORE_PLIC,
    STORE_FINISHER, STORE_HIGH, JUMP_NULL, JUMP_DATA, JUMP_CONSTANT, JUMP_STACK, JUMP_HEAP, JUMP_IPC, JUMP_KERNEL, JUMP_FRAMES, JUMP_HIGH, PLACES
};

static const struct place places[] = {
    [LOAD_NULL] = {LOAD, 0, FIXED}, [LOAD_LOW] = {LOAD, 0xff8, FIXED}, [LOAD_BEFORE_IMAGE] = {LOAD, VA_IMAGE - 8, FIXED},
    [LOAD_HEAP_END] = {LOAD, VA_HEAP + HEAP_BYTES, FIXED}, [LOAD_STACK_TOP] = {LOAD, VA_STACK_TOP, FIXED},
    [LOAD_IPC_END] = {LOAD, VA_IPC + PAGE, FIXED}, [LOAD_KERNEL] = {LOAD, KERNEL_START, FIXED},
    [LOAD_KERNEL_DATA] = {LOAD, KERNEL_DATA, FIXED}, [LOAD_FRAMES] = {LOAD, FRAMES, FIXED}, [LOAD_CLINT] = {LOAD, 0x200bff8, FIXED},
    [LOAD_PLIC] = {LOAD, 0xc000000, FIXED}, [LOAD_FINISHER] = {LOAD, 0x100000, FIXED}, [LOAD_VIRTIO] = {LOAD, 0x10001000, FIXED},
    [LOAD_WINDOW] = {LOAD, VA_DEVICE, FIXED}, [LOAD_DMA] = {LOAD, VA_DMA, FIXED}, [LOAD_REGION] = {LOAD, VA_REGION, FIXED},
    [LOAD_POLICY] = {LOAD, VA_POLICY, FIXED}, [LOAD_ROMFS] = {LOAD, VA_ROMFS, FIXED}, [LOAD_KEPT] = {LOAD, VA_KEPT, FIXED},
    [LOAD_HALF] = {LOAD, HALF, FIXED}, [LOAD_HIGH] = {LOAD, 0 - 8ull, FIXED},
    [STORE_NULL] = {STORE, 0, FIXED}, [STORE_CODE] = {STORE, 0, OWN_CODE}, [STORE_CONSTANT] = {STORE, 0, OWN_CONSTANT},
    [STORE_HEAP_END] = {STORE, VA_HEAP + HEAP_BYTES, FIXED}, [STORE_KERNEL] = {STORE, KERNEL_START, FIXED},
    [STORE_KERNEL_DATA] = {STORE, KERNEL_DATA, FIXED}, [STORE_FRAMES] = {STORE, FRAMES, FIXED}, [STORE_CLINT] = {STORE, 0x2004000, FIXED},
    [STORE_PLIC] = {STORE, 0xc002000, FIXED}, [STORE_FINISHER] = {STORE, 0x100000, FIXED}, [STORE_HIGH] = {STORE, 0 - 8ull, FIXED},
    [JUMP_NULL] = {JUMP, 0, FIXED}, [JUMP_DATA] = {JUMP, 0, OWN_DATA}, [JUMP_CONSTANT] = {JUMP, 0, OWN_CONSTANT},
    [JUMP_STACK] = {JUMP, 0, OWN_STACK}, [JUMP_HEAP] = {JUMP, VA_HEAP, FIXED}, [JUMP_IPC] = {JUMP, VA_IPC, FIXED},
    [JUMP_KERNEL] = {JUMP, KERNEL_START, FIXED}, [JUMP_FRAMES] = {JUMP, FRAMES, FIXED}, [JUMP_HIGH] = {JUMP, 0 - 8ull, FIXED},
};

#define PLACE(title, number) {.name = "memory." title, .attack = touch_place, .arg = number}
static const struct proof_case cases[] = {
    PLACE("load_null", LOAD_NULL), PLACE("load_page_0", LOAD_LOW), PLACE("load_before_image", LOAD_BEFORE_IMAGE),
    PLACE("load_heap_end", LOAD_HEAP_END), PLACE("load_stack_top", LOAD_STACK_TOP), PLACE("load_ipc_end", LOAD_IPC_END),
    PLACE("load_kernel", LOAD_KERNEL), PLACE("load_kernel_data", LOAD_KERNEL_DATA), PLACE("load_frames", LOAD_FRAMES),
    PLACE("load_clint", LOAD_CLINT), PLACE("load_plic", LOAD_PLIC), PLACE("load_finisher", LOAD_FINISHER), PLACE("load_virtio", LOAD_VIRTIO),
    PLACE("load_window", LOAD_WINDOW), PLACE("load_dma", LOAD_DMA), PLACE("load_region", LOAD_REGION), PLACE("load_policy", LOAD_POLICY),
    PLACE("load_romfs", LOAD_ROMFS), {.name = "memory.load_kept", .attack = touch_place, .arg = LOAD_KEPT, .who = WHO_EQUAL},
    PLACE("load_half", LOAD_HALF), PLACE("load_high", LOAD_HIGH), PLACE("store_null", STORE_NULL), PLACE("store_code", STORE_CODE),
    PLACE("store_constant", STORE_CONSTANT), PLACE("store_heap_end", STORE_HEAP_END), PLACE("store_kernel", STORE_KERNEL),
    PLACE("store_kernel_data", STORE_KERNEL_DATA), PLACE("store_frames", STORE_FRAMES), PLACE("store_clint", STORE_CLINT),
    PLACE("store_plic", STORE_PLIC), PLACE("store_finisher", STORE_FINISHER), PLACE("store_high", STORE_HIGH), PLACE("jump_null", JUMP_NULL),
    PLACE("jump_data", JUMP_DATA), PLACE("jump_constant", JUMP_CONSTANT), PLACE("jump_stack", JUMP_STACK), PLACE("jump_heap", JUMP_HEAP),
    PLACE("jump_ipc", JUMP_IPC), PLACE("jump_kernel", JUMP_KERNEL), PLACE("jump_frames", JUMP_FRAMES), PLACE("jump_high", JUMP_HIGH),
    {.name = "memory.stack_overflow", .attack = overflow_stack},
    {.name = "memory.store_readable_region", .attack = store_in_readable, .arrange = give_region_0, .at_done = measure_token, .effect = was_measured},
    {.name = "memory.store_sealed_region", .attack = store_in_sealed, .arrange = give_region_0, .at_done = measure_token, .effect = was_measured},
    {.name = "memory.jump_region", .attack = jump_into_region, .arrange = give_region_0},
    {.name = "memory.store_window", .attack = store_in_window, .who = WHO_HOLDER},
    {.name = "memory.jump_dma", .attack = jump_into_dma, .who = WHO_HOLDER},
};
const struct proof_group memory_group = {cases, COUNT(cases)};
