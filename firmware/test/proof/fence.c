/*
 * The fence around the device, from the driver's side: every register that is not the driver's, features and status bits out of
 * turn, queues at the wrong time. While the attacker waits in its DONE the host asks QEMU where the device's queues are and what
 * was negotiated: only the kernel's rings, only VERSION_1. The twin draws bytes that the host knows.
 */
#include "device.h"
#include "effects.h"
#include "holder.h"

#define HIGH_BITS 1ull << 32 /* a value that only its low half would make harmless */

/* A write that the fence must refuse, after so many steps of setting up. */
struct wrong_write {
    uint32_t steps; /* DEVICE_*, or STARTED */
    uint64_t reg, value;
    uint32_t half;  /* features: which 32 bits are selected first */
};
enum { STARTED = DEVICE_FEATURES + 1, FEATURES_HIGH = 1 };
enum { INDIRECT = 28, EVENT_IDX = 29, PLATFORM = 33, PACKED = 34, RING_RESET = 40 };
#define FEATURE(number) FEATURES_AT_DRIVEN, VIRTIO_REG_DRIVER_FEATURES, 1u << (number) % 32, (number) / 32
#define FEATURES_AT_DRIVEN DEVICE_DRIVEN
#define REG(at) STARTED, at, 0x1000, 0

enum {
    QUEUE_SEL, QUEUE_NUM, QUEUE_READY, QUEUE_NOTIFY, DESC_LOW, DESC_HIGH, DRIVER_LOW, DRIVER_HIGH, DEVICE_LOW, DEVICE_HIGH, INTERRUPT_ACK, CONFIG,
    MAGIC, SHM_SEL, QUEUE_RESET, UNALIGNED, BEYOND, WRAPPED, STATUS_UNKNOWN, STATUS_NEEDS_RESET, STATUS_HIGH, STATUS_CLEARED, STATUS_EARLY_OK,
    STATUS_ALL_AT_ONCE, STATUS_NO_VERSION, SELECT_2, DEVICE_SELECT_2, WANT_INDIRECT, WANT_EVENT_IDX, WANT_PLATFORM, WANT_PACKED, WANT_RING_RESET,
    WANT_LOW_ALL, WANT_HIGH_BITS, FEATURES_LATE, WRITES
};

static const struct wrong_write writes[WRITES] = {
    [QUEUE_SEL] = {REG(VIRTIO_REG_QUEUE_SEL)}, [QUEUE_NUM] = {REG(VIRTIO_REG_QUEUE_NUM)}, [QUEUE_READY] = {REG(VIRTIO_REG_QUEUE_READY)},
    [QUEUE_NOTIFY] = {STARTED, VIRTIO_REG_QUEUE_NOTIFY, 0, 0}, [DESC_LOW] = {REG(VIRTIO_REG_QUEUE_DESC)}, [DESC_HIGH] = {REG(VIRTIO_REG_QUEUE_DESC + 4)},
    [DRIVER_LOW] = {REG(VIRTIO_REG_QUEUE_DRIVER)}, [DRIVER_HIGH] = {REG(VIRTIO_REG_QUEUE_DRIVER + 4)},
    [DEVICE_LOW] = {REG(VIRTIO_REG_QUEUE_DEVICE)}, [DEVICE_HIGH] = {REG(VIRTIO_REG_QUEUE_DEVICE + 4)},
    [INTERRUPT_ACK] = {STARTED, VIRTIO_REG_INTERRUPT_ACK, 1, 0}, [CONFIG] = {REG(VIRTIO_REG_CONFIG)}, [MAGIC] = {REG(VIRTIO_REG_MAGIC)},
    [SHM_SEL] = {REG(0xac)}, [QUEUE_RESET] = {STARTED, 0xc0, 1, 0}, [UNALIGNED] = {REG(VIRTIO_REG_QUEUE_DESC + 1)}, [BEYOND] = {REG(0x1000)},
    [WRAPPED] = {STARTED, HIGH_BITS | VIRTIO_REG_STATUS, STATUS_STARTED, 0}, [STATUS_UNKNOWN] = {STARTED, VIRTIO_REG_STATUS, STATUS_STARTED | 32, 0},
    [STATUS_NEEDS_RESET] = {STARTED, VIRTIO_REG_STATUS, STATUS_STARTED | VIRTIO_STATUS_NEEDS_RESET, 0},
    [STATUS_HIGH] = {STARTED, VIRTIO_REG_STATUS, HIGH_BITS | STATUS_STARTED, 0}, [STATUS_CLEARED] = {STARTED, VIRTIO_REG_STATUS, STATUS_FEATURES, 0},
    [STATUS_EARLY_OK] = {DEVICE_DRIVEN, VIRTIO_REG_STATUS, STATUS_DRIVEN | VIRTIO_STATUS_DRIVER_OK, 0},
    [STATUS_ALL_AT_ONCE] = {DEVICE_RESET, VIRTIO_REG_STATUS, STATUS_STARTED, 0},
    [STATUS_NO_VERSION] = {DEVICE_DRIVEN, VIRTIO_REG_STATUS, STATUS_FEATURES, 0}, [SELECT_2] = {STARTED, VIRTIO_REG_DRIVER_FEATURES_SEL, 2, 0},
    [DEVICE_SELECT_2] = {STARTED, VIRTIO_REG_DEVICE_FEATURES_SEL, 2, 0}, [WANT_INDIRECT] = {FEATURE(INDIRECT)},
    [WANT_EVENT_IDX] = {FEATURE(EVENT_IDX)}, [WANT_PLATFORM] = {FEATURE(PLATFORM)}, [WANT_PACKED] = {FEATURE(PACKED)},
    [WANT_RING_RESET] = {FEATURE(RING_RESET)}, [WANT_LOW_ALL] = {DEVICE_DRIVEN, VIRTIO_REG_DRIVER_FEATURES, ~0u, 0},
    [WANT_HIGH_BITS] = {DEVICE_DRIVEN, VIRTIO_REG_DRIVER_FEATURES, HIGH_BITS, FEATURES_HIGH},
    [FEATURES_LATE] = {STARTED, VIRTIO_REG_DRIVER_FEATURES, 1, FEATURES_HIGH},
};

static uint64_t draw(void) { return device_draw(&device_right, &done_data); }

static uint64_t set_up(uint32_t steps) { return steps == STARTED ? device_start(&device_right) : device_begin(CAP_DEVICE_RNG, steps); }

static uint64_t write_wrongly(uint32_t number, bool right) {
    const struct wrong_write *w = &writes[number];
    if (right) return draw();
    if (set_up(w->steps) != E_OK) return UNLIKE;
    if (w->reg == VIRTIO_REG_DRIVER_FEATURES && nexus_device_write(CAP_DEVICE_RNG, VIRTIO_REG_DRIVER_FEATURES_SEL, w->half) != E_OK) return UNLIKE;
    return nexus_ecall(SYS_DEVICE_WRITE, CAP_DEVICE_RNG, w->reg, w->value, 0, 0, 0).a0;
}

/* --- queues out of turn --- */

enum early { SETUP_EARLY, SETUP_LATE, SETUP_TWICE, POST_EARLY, POST_UNSTARTED, TAKE_EARLY };

static uint64_t queue_out_of_turn(uint32_t which, bool right) {
    const uint64_t segments[LIMIT_QUEUE_SEGMENTS] = {nexus_segment(0, 8, true)};
    uint32_t id, size;
    if (right) return draw();
    switch ((enum early)which) {
    case SETUP_EARLY: return set_up(DEVICE_DRIVEN) == E_OK ? nexus_queue_setup(CAP_QUEUE_RNG_0, &size) : UNLIKE;
    case SETUP_LATE: return set_up(STARTED) == E_OK ? nexus_queue_setup(CAP_QUEUE_RNG_0, &size) : UNLIKE;
    case SETUP_TWICE:
        if (set_up(DEVICE_FEATURES) != E_OK || nexus_queue_setup(CAP_QUEUE_RNG_0, &size) != E_OK) return UNLIKE;
        return nexus_queue_setup(CAP_QUEUE_RNG_0, &size);
    case POST_EARLY: return set_up(DEVICE_FEATURES) == E_OK ? nexus_queue_post(CAP_QUEUE_RNG_0, segments, 1, &id) : UNLIKE;
    case POST_UNSTARTED:
        if (set_up(DEVICE_FEATURES) != E_OK || nexus_queue_setup(CAP_QUEUE_RNG_0, &size) != E_OK) return UNLIKE;
        return nexus_queue_post(CAP_QUEUE_RNG_0, segments, 1, &id);
    case TAKE_EARLY: return set_up(DEVICE_FEATURES) == E_OK ? nexus_queue_take(CAP_QUEUE_RNG_0, &id, &size) : UNLIKE;
    }
    return UNLIKE;
}

#define WRITE(title, number) {.name = "fence." title, .attack = write_wrongly, .arg = number, .who = WHO_HOLDER, .look = "fence"}
#define TURN(title, which) {.name = "fence." title, .attack = queue_out_of_turn, .arg = which, .who = WHO_HOLDER, .look = "fence"}
static const struct proof_case cases[] = {
    WRITE("queue_sel", QUEUE_SEL), WRITE("queue_num", QUEUE_NUM), WRITE("queue_ready", QUEUE_READY), WRITE("queue_notify", QUEUE_NOTIFY),
    WRITE("desc_low", DESC_LOW), WRITE("desc_high", DESC_HIGH), WRITE("driver_low", DRIVER_LOW), WRITE("driver_high", DRIVER_HIGH),
    WRITE("device_low", DEVICE_LOW), WRITE("device_high", DEVICE_HIGH), WRITE("interrupt_ack", INTERRUPT_ACK), WRITE("config", CONFIG),
    WRITE("magic", MAGIC), WRITE("shm_sel", SHM_SEL), WRITE("queue_reset", QUEUE_RESET), WRITE("unaligned", UNALIGNED), WRITE("beyond", BEYOND),
    WRITE("wrapped", WRAPPED), WRITE("status_unknown", STATUS_UNKNOWN), WRITE("status_needs_reset", STATUS_NEEDS_RESET),
    WRITE("status_high", STATUS_HIGH), WRITE("status_cleared", STATUS_CLEARED), WRITE("status_early_ok", STATUS_EARLY_OK),
    WRITE("status_all_at_once", STATUS_ALL_AT_ONCE), WRITE("status_no_version", STATUS_NO_VERSION), WRITE("select_2", SELECT_2),
    WRITE("device_select_2", DEVICE_SELECT_2), WRITE("want_indirect", WANT_INDIRECT), WRITE("want_event_idx", WANT_EVENT_IDX),
    WRITE("want_platform", WANT_PLATFORM), WRITE("want_packed", WANT_PACKED), WRITE("want_ring_reset", WANT_RING_RESET),
    WRITE("want_low_all", WANT_LOW_ALL), WRITE("want_high_bits", WANT_HIGH_BITS), WRITE("features_late", FEATURES_LATE),
    TURN("setup_early", SETUP_EARLY), TURN("setup_late", SETUP_LATE), TURN("setup_twice", SETUP_TWICE), TURN("post_early", POST_EARLY),
    TURN("post_unstarted", POST_UNSTARTED), TURN("take_early", TAKE_EARLY),
};
const struct proof_group fence_group = {cases, COUNT(cases)};
