/*
 * What goes through the fence: segments that are not wholly in the DMA window, completions that lie, buffers whose driver is dead,
 * payloads of answers. The host starves the device, plays a device that lies (qtest), feeds it when its driver is gone, and
 * searches all of the machine's memory for what it fed.
 */
#include "client.h"
#include "device.h"
#include "effects.h"
#include "help.h"
#include "holder.h"

enum { WINDOW_BYTES = 2 * PAGE, DRAW = 8 }; /* the recipe's dma */
#define LAST WINDOW_BYTES - 1

/* --- segments --- */

struct post {
    uint64_t segments[LIMIT_QUEUE_SEGMENTS];
    uint64_t count;
};
#define WRITE_TO(offset, bytes) ((uint64_t)(offset) | (uint64_t)(bytes) << 32 | 1ull << 63)
#define READ_FROM(offset, bytes) ((uint64_t)(offset) | (uint64_t)(bytes) << 32)

enum {
    BEHIND, ACROSS_END, OFFSET_WRAPS, LENGTH_HUGE, EMPTY, SECOND_EMPTY, LAST_ACROSS, NONE, FIVE, COUNT_HUGE, READ_AFTER_WRITE, POSTS
};
static const struct post posts[POSTS] = {
    [BEHIND] = {{WRITE_TO(WINDOW_BYTES, 1)}, 1}, [ACROSS_END] = {{WRITE_TO(LAST, 2)}, 1}, [OFFSET_WRAPS] = {{WRITE_TO(0xffffffff, 2)}, 1},
    [LENGTH_HUGE] = {{WRITE_TO(0, 0x7fffffff)}, 1}, [EMPTY] = {{WRITE_TO(0, 0)}, 1}, [SECOND_EMPTY] = {{WRITE_TO(0, 8), WRITE_TO(8, 0)}, 2},
    [LAST_ACROSS] = {{WRITE_TO(0, 8), WRITE_TO(8, 8), WRITE_TO(16, 8), WRITE_TO(WINDOW_BYTES - 8, 9)}, 4}, [NONE] = {{WRITE_TO(0, 8)}, 0},
    [FIVE] = {{WRITE_TO(0, 8), WRITE_TO(8, 8), WRITE_TO(16, 8), WRITE_TO(24, 8)}, 5}, [COUNT_HUGE] = {{WRITE_TO(0, 8)}, 1ull << 32 | 1},
    [READ_AFTER_WRITE] = {{WRITE_TO(0, 8), READ_FROM(8, 8)}, 2},
};

static uint64_t post_raw(const struct post *p) {
    return nexus_ecall(SYS_QUEUE_POST, CAP_QUEUE_RNG_0, p->segments[0], p->segments[1], p->segments[2], p->segments[3], p->count).a0;
}

static uint64_t post_wrongly(uint32_t number, bool right) {
    if (right) return device_draw(&device_right, &done_data);
    return device_start(&device_right) == E_OK ? post_raw(&posts[number]) : UNLIKE;
}

/* Nothing to write for a device that only writes: it breaks, as virtio lets it, and a reset heals it. */
static uint64_t post_readable(uint32_t arg, bool right) {
    (void)arg;
    const struct post readable = {{READ_FROM(0, 8)}, 1};
    uint32_t id, used;
    if (right) return device_draw(&device_right, &done_data);
    if (device_start(&device_right) != E_OK || post_raw(&readable) != E_OK) return UNLIKE;
    return device_finish(CAP_QUEUE_RNG_0, &id, &used, 10 * MS);
}

/* --- payloads of answers: the client gets eight drawn bytes, or nothing --- */

static const struct nexus_answer payloads[] = {
    {.offset = 0, .count = 0}, {.offset = WINDOW_BYTES, .count = 8}, {.offset = WINDOW_BYTES - 4, .count = 8}, {.offset = 0xfffffff8, .count = 16},
    {.offset = 0, .count = IPC_DATA_BYTES + 1}, {.offset = 0, .count = 0xffffffff}, {.bytes = 8, .offset = 0, .count = IPC_DATA_BYTES - 7},
};

static uint64_t receive(uint64_t *reply) {
    struct nexus_delivery d;
    uint64_t status = nexus_recv(CAP_ENDPOINT, 0, deadline_in(PATIENCE), &d);
    *reply = d.reply;
    return status;
}

static uint64_t answer_with(uint32_t number, bool right) {
    const struct nexus_answer nothing = {0};
    struct nexus_answer answer = payloads[number];
    uint64_t reply, drawn;
    if (device_draw(&device_right, &drawn) != E_OK || receive(&reply) != E_OK) return UNLIKE;
    if (right) answer = (struct nexus_answer){.count = DRAW};
    answer.dma = CAP_DMA_RNG;
    uint64_t status = nexus_reply(reply, &answer);
    if (status != E_OK) (void)nexus_reply(reply, &nothing);
    return status;
}

static uint64_t help_holder(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return help_call(CAP_HOLDER);
}

/* What went out as payload is gone from the window; the twin looks before. */
static uint64_t look_after_payload(uint32_t arg, bool right) {
    (void)arg;
    const struct nexus_answer answer = {.dma = CAP_DMA_RNG, .count = DRAW};
    uint64_t reply, drawn, before, status;
    if (device_draw(&device_right, &drawn) != E_OK || receive(&reply) != E_OK) return UNLIKE;
    before = *(volatile uint64_t *)VA_DMA;
    status = nexus_reply(reply, &answer);
    done_data = right ? before != 0 : *(volatile uint64_t *)VA_DMA != 0;
    return status;
}

static int64_t data_told(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return (int64_t)seen.data;
}

/* --- a device that lies: the host writes the used ring while the driver waits --- */

static const char *const lies[] = {"forge-index", "forge-id", "forge-idle", "forge-inside", "forge-length", "forge-backwards"};

static uint64_t post_and_take(uint32_t arg, bool right) {
    (void)arg, (void)right;
    const uint64_t segments[LIMIT_QUEUE_SEGMENTS] = {nexus_segment(0, DRAW, true)};
    uint32_t id, used;
    if (probe(0) != E_OK || device_start(&device_right) != E_OK) return UNLIKE;
    if (nexus_queue_post(CAP_QUEUE_RNG_0, segments, 1, &id) != E_OK || probe(0) != E_OK) return UNLIKE;
    uint64_t status = nexus_queue_take(CAP_QUEUE_RNG_0, &id, &used);
    if (status == E_OK) done_data = used;
    return status;
}

/* First probe: the device gets no bytes. Second: the ring says that it is done all the same. */
static void let_host_forge(uint32_t which, bool right) {
    if (seen.probes == 1 && seen.measured == 0) {
        seen.measured = 1;
        let_host_look("starve");
    }
    if (seen.probes != 2 || seen.measured != 1) return;
    seen.measured = 2;
    let_host_look(right ? "forge-honest" : lies[which]);
}

/* --- posting, then dying: the device writes when the buffer's owner is gone --- */

enum death { BY_EXIT, BY_FAULT, BY_KILL };

static uint64_t post_and_die(uint32_t how, bool right) {
    const uint64_t segments[LIMIT_QUEUE_SEGMENTS] = {nexus_segment(0, PAGE, true)};
    uint32_t id;
    if (probe(0) != E_OK || device_start(&device_right) != E_OK) return UNLIKE;
    if (nexus_queue_post(CAP_QUEUE_RNG_0, segments, 1, &id) != E_OK) return UNLIKE;
    if (right) return E_OK;
    if (how == BY_EXIT) nexus_exit(E_STATE);
    if (how == BY_FAULT) __builtin_trap();
    (void)probe(0);
    return UNLIKE;
}

static void starve_then_kill(uint32_t how, bool right) {
    if (seen.probes == 1 && seen.measured == 0) {
        seen.measured = 1;
        let_host_look("starve");
    }
    if (how == BY_KILL && !right && seen.probes == 2 && seen.measured == 1) {
        seen.measured = 2;
        (void)kill(WHO_HOLDER);
    }
}

/* The twin's driver is alive when the bytes come (at its DONE); the others are dead. */
static int64_t let_host_feed(uint32_t arg, bool right) {
    (void)arg;
    if (!right) let_host_look("feed");
    return right;
}

static void feed_alive(uint32_t arg, bool right) {
    (void)arg;
    if (right) let_host_look("feed");
}

#define POST(title, number) {.name = "segment." title, .attack = post_wrongly, .arg = number, .who = WHO_HOLDER, .look = "fence"}
#define PAYLOAD(title, number) \
    {.name = "payload." title, .attack = answer_with, .arg = number, .who = WHO_HOLDER, .helper = WHO_CLIENT, .help = help_holder, .effect = helper_succeeded}
#define LIE(title, number) {.name = "completion." title, .attack = post_and_take, .arg = number, .who = WHO_HOLDER, .poll = let_host_forge, .look = "forged"}
#define DEATH(title, how) \
    {.name = "death." title, .attack = post_and_die, .arg = how, .who = WHO_HOLDER, .poll = starve_then_kill, .at_done = feed_alive, .effect = let_host_feed}
static const struct proof_case cases[] = {
    POST("behind", BEHIND), POST("across_end", ACROSS_END), POST("offset_wraps", OFFSET_WRAPS), POST("length_huge", LENGTH_HUGE), POST("empty", EMPTY),
    POST("second_empty", SECOND_EMPTY), POST("last_across", LAST_ACROSS), POST("none", NONE), POST("five", FIVE), POST("count_huge", COUNT_HUGE),
    POST("read_after_write", READ_AFTER_WRITE), {.name = "segment.only_readable", .attack = post_readable, .who = WHO_HOLDER, .look = "fence"},
    PAYLOAD("empty", 0), PAYLOAD("behind", 1), PAYLOAD("across_end", 2), PAYLOAD("offset_wraps", 3), PAYLOAD("too_long", 4), PAYLOAD("huge", 5),
    PAYLOAD("message_full", 6),
    {.name = "payload.residue", .attack = look_after_payload, .who = WHO_HOLDER, .helper = WHO_CLIENT, .help = help_holder, .effect = data_told},
    LIE("index_jumps", 0), LIE("id_unknown", 1), LIE("id_idle", 2), LIE("id_inside", 3), LIE("length", 4), LIE("index_back", 5),
    DEATH("exit", BY_EXIT), DEATH("fault", BY_FAULT), DEATH("killed", BY_KILL),
};
const struct proof_group queue_group = {cases, COUNT(cases)};
