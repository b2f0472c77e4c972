/*
 * Every system call that takes a handle, with handles that are not right: absent (no such slot, or nothing in it), stale
 * (another generation of the right slot), other (each of the attacker's own capabilities of another type).
 * Everything else about the call is right, and the twin makes it with the right handle.
 */
#include "proof.h"

#include "app.h"
#include "attacker.h"
#include "device.h"
#include "effects.h"
#include "handles.h"
#include "holder.h"

enum { BADGE = 0x7700 };

/* One system call: where its right handle comes from, how it is made with a given one, what types it takes. */
struct target {
    uint64_t (*right)(void);
    uint64_t (*use)(uint64_t handle);
    uint32_t types; /* bit per OBJ_* */
    bool optional;  /* handle 0 means none */
};
#define TAKES(type) (1u << OBJ_##type)

/* --- messages --- */

static struct nexus_delivery delivery;

static uint64_t right_call(void) { return judge_handle; }
static uint64_t use_call(uint64_t handle) { return probe_with(handle, 0, 0, 0); }

static uint64_t own_endpoint(void) { return CAP_ENDPOINT; }

/* What the client takes for success. */
static uint64_t answer_with_token(uint64_t reply) {
    const struct nexus_answer answer = {.bytes = sizeof(uint64_t)};
    *(volatile uint64_t *)NEXUS_BUFFER = told.token;
    return nexus_reply(reply, &answer);
}

static uint64_t use_recv(uint64_t handle) {
    uint64_t status = nexus_recv(handle, 0, deadline_in(PATIENCE), &delivery);
    return status == E_OK ? answer_with_token(delivery.reply) : status;
}

/* The client's call, to be answered. */
static uint64_t received(void) {
    uint64_t status = nexus_recv(CAP_ENDPOINT, 0, deadline_in(PATIENCE), &delivery);
    return status == E_OK ? delivery.reply : 0;
}

static uint64_t use_reply(uint64_t handle) { return answer_with_token(handle); }

static uint64_t use_reply_recv(uint64_t handle) {
    const struct nexus_answer answer = {.bytes = sizeof(uint64_t)};
    *(volatile uint64_t *)NEXUS_BUFFER = told.token;
    uint64_t status = nexus_reply_recv(handle, &answer, CAP_ENDPOINT, 0, deadline_in(2 * MS), &delivery);
    return status == E_DEADLINE ? E_OK : status; /* the answer is out, nobody else calls */
}

/* The first call is answered in any case, the next one, with the token, only if the endpoint is right. */
static uint64_t use_reply_recv_endpoint(uint64_t handle) {
    const struct nexus_answer nothing = {0};
    uint64_t first = received();
    uint64_t status = nexus_reply_recv(first, &nothing, handle, 0, deadline_in(PATIENCE), &delivery);
    return status == E_OK ? answer_with_token(delivery.reply) : status;
}

static uint64_t use_behalf(uint64_t handle) { return probe_with(judge_handle, 0, 0, handle); }

/* The judge sets the bit when it sees that the attacker waits, so the attacker sends it the means first. */
static uint64_t right_wait(void) {
    uint64_t notifier;
    if (nexus_cap_mint(CAP_NOTIFICATION, NOTICE_BIT, RIGHT_CALL | RIGHT_GRANT, &notifier) != E_OK) return 0;
    set_cap(0, notifier);
    return probe_with(judge_handle, 0, 1, 0) == E_OK ? CAP_NOTIFICATION : 0;
}

static uint64_t use_wait(uint64_t handle) {
    uint64_t bits;
    return nexus_wait(handle, deadline_in(PATIENCE), &bits);
}

static uint64_t first_gift(void) { return given[0]; }
static uint64_t use_notify(uint64_t handle) { return nexus_notify(handle); }

/* --- capabilities and console --- */

static uint64_t own_console(void) { return CAP_CONSOLE; }

/* The host looks for the token on the console. */
static uint64_t use_console(uint64_t handle) {
    char text[16];
    for (uint32_t i = 0; i < sizeof text; i++) text[i] = "0123456789abcdef"[told.token >> (60 - 4 * i) & 15];
    return nexus_console_write(handle, text, sizeof text);
}

static uint64_t minted(void) { return mint(BADGE, RIGHT_CALL); }
static uint64_t use_drop(uint64_t handle) { return nexus_cap_drop(handle); }

static uint64_t use_mint(uint64_t handle) {
    uint64_t made;
    return nexus_cap_mint(handle, BADGE, RIGHT_CALL, &made);
}

/* The judge holds one with the badge and looks whether it has died. */
static uint64_t right_revoke(void) {
    set_cap(0, mint(BADGE, RIGHT_CALL | RIGHT_GRANT));
    return probe_with(judge_handle, 0, 1, 0) == E_OK ? CAP_ENDPOINT : 0;
}

static uint64_t use_revoke(uint64_t handle) {
    uint64_t count;
    return nexus_cap_revoke(handle, BADGE, &count);
}

/* The badge is the judge's secret, which only the kernel can tell. */
static uint64_t use_info(uint64_t handle) {
    uint32_t type, rights;
    uint64_t badge, status = nexus_cap_info(handle, &type, &rights, &badge);
    if (status == E_OK) done_data = badge;
    return status;
}

/* --- devices: one of the handles of a whole draw is wrong; the host knows the bytes that a draw gives --- */

static uint64_t right_device(void) { return CAP_DEVICE_RNG; }
static uint64_t right_queue(void) { return CAP_QUEUE_RNG_0; }
static uint64_t right_irq(void) { return CAP_IRQ_RNG; }
static uint64_t right_dma(void) { return CAP_DMA_RNG; }

static uint64_t draw_with(struct device_handles with) { return device_draw(&with, &done_data); }
static uint64_t use_device(uint64_t h) { return draw_with((struct device_handles){h, right_queue(), right_queue(), right_queue(), right_irq()}); }
static uint64_t use_setup(uint64_t h) { return draw_with((struct device_handles){right_device(), h, right_queue(), right_queue(), right_irq()}); }
static uint64_t use_post(uint64_t h) { return draw_with((struct device_handles){right_device(), right_queue(), h, right_queue(), right_irq()}); }
static uint64_t use_take(uint64_t h) { return draw_with((struct device_handles){right_device(), right_queue(), right_queue(), h, right_irq()}); }
static uint64_t use_irq(uint64_t h) { return draw_with((struct device_handles){right_device(), right_queue(), right_queue(), right_queue(), h}); }

/* The client gets the drawn bytes straight from the DMA window, or nothing at all. */
static uint64_t use_dma(uint64_t handle) {
    const struct nexus_answer payload = {.dma = handle, .count = sizeof(uint64_t)}, nothing = {0};
    uint64_t status = draw_with((struct device_handles){right_device(), right_queue(), right_queue(), right_queue(), right_irq()});
    done_data = 0; /* the client tells */
    if (status != E_OK) return status;
    uint64_t reply = received();
    status = nexus_reply(reply, &payload);
    if (status != E_OK) (void)nexus_reply(reply, &nothing);
    return status;
}

/* --- regions, processes, the machine --- */

static uint64_t map(uint64_t region, bool write, void **address) {
    size_t bytes;
    uint64_t status;
    do status = nexus_region_map(region, write, address, &bytes);
    while (status == E_AGAIN);
    return status;
}

static uint64_t use_map(uint64_t handle) {
    void *address;
    uint64_t status = map(handle, true, &address);
    if (status == E_OK) *(volatile uint64_t *)address = told.token;
    return status;
}

static uint64_t mapped(void) {
    void *address;
    return map(given[0], true, &address) == E_OK ? given[0] : 0;
}

/* Then touches it: only a mapping that is still there bears that. */
static uint64_t use_unmap(uint64_t handle) {
    uint64_t status = nexus_region_unmap(handle);
    *(volatile uint64_t *)VA_REGION = 1;
    return status;
}

static uint64_t use_seal(uint64_t handle) { return nexus_region_seal(handle); }

/* The judge gets the region and sees whether it can be written. */
static uint64_t use_free(uint64_t handle) {
    uint64_t status;
    do status = nexus_region_free(handle);
    while (status == E_AGAIN);
    set_cap(0, CAP_REGION_0);
    (void)probe_with(judge_handle, 0, 1, 0);
    return status;
}

static uint64_t right_spawn(void) { return app_region() ? CAP_SPAWN : 0; }
static uint64_t use_spawn(uint64_t handle) { return spawn_simple(handle, CAP_REGION_0); }
static uint64_t use_spawn_region(uint64_t handle) { return spawn_simple(CAP_SPAWN, handle); }

static uint64_t right_supervise(void) {
    uint64_t status;
    do status = nexus_supervise(CAP_SUPERVISE_WARD, SUP_RESTART, 0);
    while (status == E_AGAIN);
    return CAP_SUPERVISE_WARD;
}

static uint64_t use_supervise(uint64_t handle) { return nexus_supervise(handle, SUP_KILL, 0); }

static uint64_t right_system(void) { return CAP_SYSTEM; }
static uint64_t use_system(uint64_t handle) { return nexus_system(handle, SYSTEM_PHASE, 0, 0, &done_data); }

static uint64_t use_capability(uint64_t handle) { return last_badge(handle, JUDGE_INDEX, &done_data); }

/* --- the table --- */

static const struct target targets[TARGETS] = {
    [USE_CALL] = {right_call, use_call, TAKES(ENDPOINT), false},
    [USE_RECV] = {own_endpoint, use_recv, TAKES(ENDPOINT), false},
    [USE_REPLY] = {received, use_reply, TAKES(REPLY), false},
    [USE_REPLY_RECV] = {received, use_reply_recv, TAKES(REPLY), false},
    [USE_REPLY_RECV_ENDPOINT] = {own_endpoint, use_reply_recv_endpoint, TAKES(ENDPOINT), false},
    [USE_BEHALF] = {received, use_behalf, TAKES(REPLY) | TAKES(SUPERVISE), true},
    [USE_NOTIFY] = {first_gift, use_notify, TAKES(NOTIFICATION), false},
    [USE_WAIT] = {right_wait, use_wait, TAKES(NOTIFICATION), false},
    [USE_CONSOLE] = {own_console, use_console, TAKES(CONSOLE), false},
    [USE_DROP] = {minted, use_drop, ~0u, false},
    [USE_MINT] = {own_endpoint, use_mint, TAKES(ENDPOINT) | TAKES(NOTIFICATION), false},
    [USE_REVOKE] = {right_revoke, use_revoke, TAKES(ENDPOINT), false},
    [USE_INFO] = {first_gift, use_info, ~0u, false},
    [USE_DEVICE] = {right_device, use_device, TAKES(DEVICE), false},
    [USE_SETUP] = {right_queue, use_setup, TAKES(QUEUE), false},
    [USE_POST] = {right_queue, use_post, TAKES(QUEUE), false},
    [USE_TAKE] = {right_queue, use_take, TAKES(QUEUE), false},
    [USE_IRQ] = {right_irq, use_irq, TAKES(IRQ), false},
    [USE_DMA] = {right_dma, use_dma, TAKES(DMA), true},
    [USE_MAP] = {first_gift, use_map, TAKES(REGION), false},
    [USE_UNMAP] = {mapped, use_unmap, TAKES(REGION), false},
    [USE_SEAL] = {first_gift, use_seal, TAKES(REGION), false},
    [USE_FREE] = {app_region, use_free, TAKES(REGION), false},
    [USE_SPAWN] = {right_spawn, use_spawn, TAKES(SPAWN), false},
    [USE_SPAWN_REGION] = {app_region, use_spawn_region, TAKES(REGION), false},
    [USE_SUPERVISE] = {right_supervise, use_supervise, TAKES(SUPERVISE), false},
    [USE_SYSTEM] = {right_system, use_system, TAKES(SYSTEM), false},
    [USE_CAPABILITY] = {right_system, use_capability, TAKES(SYSTEM), false},
};

/* --- wrong handles --- */

/* Free slots, slots that no table has, bits where a handle has none. */
static uint64_t try_absent(const struct target *t, uint64_t right) {
    const uint64_t absent[] = {
        HANDLE_BOOT + LIMIT_CAP_SLOTS - 1, HANDLE_BOOT + LIMIT_CAP_SLOTS, HANDLE_BOOT + 0xff, right & 0xff,
        right | 1ull << 32, right | 1ull << 63, ~0ull,
    };
    uint64_t status = t->optional ? E_AGAIN : one_of(E_AGAIN, t->use(0));
    for (uint32_t i = 0; i < COUNT(absent); i++) status = one_of(status, t->use(absent[i]));
    return status;
}

/* The slot is right and taken, the generation is another: the ones beside it, and one that the slot did have. */
static uint64_t try_stale(const struct target *t, uint64_t right) {
    uint64_t dropped = mint(BADGE, RIGHT_CALL);
    (void)nexus_cap_drop(dropped);
    uint64_t again = mint(BADGE, RIGHT_CALL);
    uint64_t status = one_of(E_AGAIN, t->use(right + HANDLE_STEP));
    status = one_of(status, t->use(right - HANDLE_STEP));
    status = one_of(status, t->use(dropped));
    (void)nexus_cap_drop(again);
    return status;
}

static uint64_t try_other(const struct target *t) {
    uint64_t status = E_AGAIN, badge;
    uint32_t type, rights;
    for (uint64_t handle = HANDLE_BOOT; handle < HANDLE_BOOT + LIMIT_CAP_SLOTS; handle++) {
        if (nexus_cap_info(handle, &type, &rights, &badge) != E_OK || t->types >> type & 1) continue;
        status = one_of(status, t->use(handle));
    }
    return status;
}

uint64_t handle_attack(uint32_t arg, bool right) {
    const struct target *t = &targets[arg / KINDS];
    uint64_t handle = t->right();
    if (right) return t->use(handle);
    if (arg % KINDS == ABSENT) return try_absent(t, handle);
    return arg % KINDS == STALE ? try_stale(t, handle) : try_other(t);
}
