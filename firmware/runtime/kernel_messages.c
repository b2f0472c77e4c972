/*
 * kernel.call, recv, reply and what the last delivery said. Called by Python on every message, so nothing here allocates
 * as long as numbers fit a small int. The message is in kernel.buffer before and after.
 */
#include "kernel_module.h"

/* What the last recv or reply_recv delivered; sender fields stay those of the last message while notifications come in. */
static struct nexus_delivery last;
static uint64_t last_bits;

static mp_obj_t kernel_call(size_t count, const mp_obj_t *args) {
    uint64_t endpoint = u64_of(args[0]);
    uint64_t bytes = bounded(args[1], IPC_DATA_BYTES);
    uint64_t deadline = u64_of(args[2]);
    uint64_t behalf = u64_at(3, count, args);
    uint64_t sent = bounded_at(4, count, args, IPC_MAX_CAPS);
    uint64_t accept = bounded_at(5, count, args, IPC_MAX_CAPS);
    uint64_t answer;
    kernel_check(nexus_call(endpoint, nexus_word(bytes, sent, accept), deadline, behalf, &answer));
    return MP_OBJ_NEW_SMALL_INT(nexus_bytes(answer));
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(kernel_call_obj, 3, 6, kernel_call);

const struct nexus_delivery *kernel_last(void) { return &last; }

int kernel_delivered(uint64_t status, const struct nexus_delivery *delivery) {
    kernel_check(status);
    last_bits = nexus_flags(delivery->word) & DELIVER_NOTIFIED ? nexus_bits(delivery) : 0;
    if (!(nexus_flags(delivery->word) & DELIVER_MESSAGE)) return -1;
    last = *delivery;
    return (int)nexus_bytes(delivery->word);
}

static mp_obj_t delivered(uint64_t status, const struct nexus_delivery *delivery) {
    return MP_OBJ_NEW_SMALL_INT(kernel_delivered(status, delivery));
}

static mp_obj_t kernel_recv(size_t count, const mp_obj_t *args) {
    struct nexus_delivery delivery;
    uint64_t accept = bounded_at(2, count, args, IPC_MAX_CAPS);
    return delivered(nexus_recv(u64_of(args[0]), accept, u64_at(1, count, args), &delivery), &delivery);
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(kernel_recv_obj, 1, 3, kernel_recv);

/* The length, and from args[rest] on: sent, grants, dma, offset, count. */
static struct nexus_answer answer_of(mp_obj_t length, size_t rest, size_t count, const mp_obj_t *args) {
    return (struct nexus_answer){
        .bytes = bounded(length, IPC_DATA_BYTES),
        .caps = bounded_at(rest, count, args, IPC_MAX_CAPS),
        .grants = bounded_at(rest + 1, count, args, IPC_MAX_CAPS),
        .dma = u64_at(rest + 2, count, args),
        .offset = bounded_at(rest + 3, count, args, UINT32_MAX),
        .count = bounded_at(rest + 4, count, args, IPC_DATA_BYTES),
    };
}

static mp_obj_t kernel_reply(size_t count, const mp_obj_t *args) {
    struct nexus_answer answer = answer_of(args[1], 2, count, args);
    kernel_check(nexus_reply(u64_of(args[0]), &answer));
    return mp_const_none;
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(kernel_reply_obj, 2, 7, kernel_reply);

static mp_obj_t kernel_reply_recv(size_t count, const mp_obj_t *args) {
    struct nexus_delivery delivery;
    struct nexus_answer answer = answer_of(args[1], 5, count, args);
    uint64_t deadline = u64_at(3, count, args);
    uint64_t accept = bounded_at(4, count, args, IPC_MAX_CAPS);
    uint64_t status = nexus_reply_recv(u64_of(args[0]), &answer, u64_of(args[2]), accept, deadline, &delivery);
    return delivered(status, &delivery);
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(kernel_reply_recv_obj, 3, 10, kernel_reply_recv);

/* ---- What the kernel stated with the last message ---- */

static uint64_t stated(size_t offset) { return *(const volatile uint64_t *)(VA_IPC + offset); }
static bool flagged(uint32_t flag) { return nexus_flags(last.word) & flag; }
enum { SENDER_INDEX_MASK = 0xffff, SENDER_KIND_SHIFT = 16 };

static mp_obj_t kernel_handle(void) { return int_from(last.reply); }
MP_DEFINE_CONST_FUN_OBJ_0(kernel_handle_obj, kernel_handle);

static mp_obj_t kernel_badge(void) { return int_from(last.badge); }
MP_DEFINE_CONST_FUN_OBJ_0(kernel_badge_obj, kernel_badge);

static mp_obj_t kernel_sender(void) { return MP_OBJ_NEW_SMALL_INT(last.sender & SENDER_INDEX_MASK); }
MP_DEFINE_CONST_FUN_OBJ_0(kernel_sender_obj, kernel_sender);

static mp_obj_t kernel_kind(void) { return MP_OBJ_NEW_SMALL_INT(last.sender >> SENDER_KIND_SHIFT & SENDER_INDEX_MASK); }
MP_DEFINE_CONST_FUN_OBJ_0(kernel_kind_obj, kernel_kind);

static mp_obj_t kernel_sender_id(void) { return int_from(last.sender_id); }
MP_DEFINE_CONST_FUN_OBJ_0(kernel_sender_id_obj, kernel_sender_id);

static mp_obj_t kernel_bits(void) { return int_from(last_bits); }
MP_DEFINE_CONST_FUN_OBJ_0(kernel_bits_obj, kernel_bits);

/* Dense index of the one on whose behalf the sender asks, or -1. */
static mp_obj_t kernel_subject(void) {
    return MP_OBJ_NEW_SMALL_INT(flagged(DELIVER_BEHALF) ? (mp_int_t)(stated(IPC_SUBJECT) & SENDER_INDEX_MASK) : -1);
}
MP_DEFINE_CONST_FUN_OBJ_0(kernel_subject_obj, kernel_subject);

static mp_obj_t kernel_subject_kind(void) {
    return MP_OBJ_NEW_SMALL_INT(flagged(DELIVER_BEHALF) ? (mp_int_t)(stated(IPC_SUBJECT) >> SENDER_KIND_SHIFT & SENDER_INDEX_MASK) : -1);
}
MP_DEFINE_CONST_FUN_OBJ_0(kernel_subject_kind_obj, kernel_subject_kind);

static mp_obj_t kernel_subject_id(void) { return int_from(flagged(DELIVER_BEHALF) ? stated(IPC_SUBJECT_ID) : 0); }
MP_DEFINE_CONST_FUN_OBJ_0(kernel_subject_id_obj, kernel_subject_id);

/* The actions that an app's manifest asks for; 0 for a service. */
static mp_obj_t kernel_sender_mask(void) { return int_from(flagged(DELIVER_APP) ? stated(IPC_SENDER_MASK) : 0); }
MP_DEFINE_CONST_FUN_OBJ_0(kernel_sender_mask_obj, kernel_sender_mask);

static mp_obj_t kernel_subject_mask(void) { return int_from(flagged(DELIVER_BEHALF) ? stated(IPC_SUBJECT_MASK) : 0); }
MP_DEFINE_CONST_FUN_OBJ_0(kernel_subject_mask_obj, kernel_subject_mask);

/* Who published an app; 0 for a service. */
static mp_obj_t kernel_sender_publisher(void) { return int_from(flagged(DELIVER_APP) ? stated(IPC_SENDER_PUBLISHER) : 0); }
MP_DEFINE_CONST_FUN_OBJ_0(kernel_sender_publisher_obj, kernel_sender_publisher);

static mp_obj_t kernel_subject_publisher(void) { return int_from(flagged(DELIVER_BEHALF) ? stated(IPC_SUBJECT_PUBLISHER) : 0); }
MP_DEFINE_CONST_FUN_OBJ_0(kernel_subject_publisher_obj, kernel_subject_publisher);

/* ---- Capabilities that travel, notifications ---- */

static mp_obj_t kernel_caps(mp_obj_t index) { return int_from(NEXUS_CAPS[bounded(index, IPC_MAX_CAPS - 1)]); }
MP_DEFINE_CONST_FUN_OBJ_1(kernel_caps_obj, kernel_caps);

static mp_obj_t kernel_send_cap(mp_obj_t index, mp_obj_t handle) {
    NEXUS_CAPS[bounded(index, IPC_MAX_CAPS - 1)] = (uint32_t)bounded(handle, UINT32_MAX);
    return mp_const_none;
}
MP_DEFINE_CONST_FUN_OBJ_2(kernel_send_cap_obj, kernel_send_cap);

static mp_obj_t kernel_grant(size_t count, const mp_obj_t *args) {
    (void)count;
    volatile struct grant *grant = &NEXUS_GRANTS[bounded(args[0], IPC_MAX_CAPS - 1)];
    grant->handle = (uint32_t)bounded(args[1], UINT32_MAX);
    grant->rights = (uint32_t)bounded(args[2], UINT32_MAX);
    grant->badge = u64_of(args[3]);
    return mp_const_none;
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(kernel_grant_obj, 4, 4, kernel_grant);

static mp_obj_t kernel_notify(mp_obj_t notification) {
    kernel_check(nexus_notify(u64_of(notification)));
    return mp_const_none;
}
MP_DEFINE_CONST_FUN_OBJ_1(kernel_notify_obj, kernel_notify);

static mp_obj_t kernel_wait(size_t count, const mp_obj_t *args) {
    uint64_t bits;
    kernel_check(nexus_wait(u64_of(args[0]), u64_at(1, count, args), &bits));
    return int_from(bits);
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(kernel_wait_obj, 1, 2, kernel_wait);
