/*
 * Module `frame`: one message in, one message out, with the frame around it (frame.c). Used by guest/lib/server.py and client.py,
 * which give it handlers and exceptions. What is no frame never reaches Python: it is refused here.
 */
#include "frame.h"
#include "kernel_module.h"

#include <string.h>

#include "py/objtuple.h"

/* The request that is being served, and its one reply handle. */
static struct frame serving;
static uint64_t serving_reply;
static uint32_t last_nonce;

/* What the server wants to hear of besides requests, see next(); as at the start of the process until it says otherwise. */
static bool keeps_malformed, keeps_gone;

/*
 * IDLE is told once, when for that long nothing has come. The clock is read once per rest, not per message: a time that has passed
 * while there was something to do is set anew.
 */
static uint64_t idle_ticks; /* 0: not wanted */
static uint64_t wake;       /* the time that is set; 0: none */
static bool busy = true;    /* something has come since it was set */

/* What call() gives instead of a length: minus a STATUS_*, or one of these; the second lies below by an E_*. */
enum { BAD_REPLY = -256, UNREACHABLE = -512 };
/* A status that is none: answer() leaves the request as it is, for reply(). */
enum { LATER = UINT8_MAX + 1 };
/* What next() and answer() give instead of an operation. */
enum { NOTHING = -1, MALFORMED = -2, GONE = -3, IDLE = -4 };
enum { FORM_MAX = 12 };

/* Until when to wait for the next message. */
static uint64_t until(void) {
    if (idle_ticks && busy && wake == 0) {
        wake = nexus_time() + idle_ticks;
        busy = false;
    }
    return wake;
}

static uint64_t refuse(uint64_t endpoint, uint8_t status, struct nexus_delivery *delivery) {
    struct nexus_answer answer = {.bytes = frame_write_reply(NEXUS_BUFFER, &serving, status, 0)};
    return nexus_reply_recv(serving_reply, &answer, endpoint, 0, until(), delivery);
}

/*
 * The operation of the next whole request, NOTHING for notification bits, or IDLE. What is malformed is answered and passed over, and
 * so is an answer that nobody waits for, unless the server keeps them.
 */
static mp_obj_t next(uint64_t endpoint, uint64_t status, struct nexus_delivery *delivery) {
    for (;;) {
        if (status == E_CALLER_GONE) {
            if (keeps_gone) return MP_OBJ_NEW_SMALL_INT(GONE);
            status = nexus_recv(endpoint, 0, until(), delivery);
        }
        if (status == E_DEADLINE) {
            wake = 0;
            if (!busy) return MP_OBJ_NEW_SMALL_INT(IDLE);
            status = nexus_recv(endpoint, 0, until(), delivery);
            continue;
        }
        busy = true;
        int length = kernel_delivered(status, delivery);
        if (length < 0) return MP_OBJ_NEW_SMALL_INT(NOTHING);
        serving_reply = delivery->reply;
        if (frame_read_request(NEXUS_BUFFER, length, &serving)) return MP_OBJ_NEW_SMALL_INT(serving.op);
        if (keeps_malformed) return MP_OBJ_NEW_SMALL_INT(MALFORMED);
        status = refuse(endpoint, STATUS_MALFORMED, delivery);
    }
}

static mp_obj_t frame_next(mp_obj_t endpoint_in) {
    struct nexus_delivery delivery;
    uint64_t endpoint = u64_of(endpoint_in);
    return next(endpoint, nexus_recv(endpoint, 0, until(), &delivery), &delivery);
}
static MP_DEFINE_CONST_FUN_OBJ_1(frame_next_obj, frame_next);

/*
 * endpoint, status, bytes of payload in place, then a piece of the DMA window: handle, offset, bytes; and how many capabilities
 * prepared by kernel.grant. Then as next.
 */
static mp_obj_t frame_answer(size_t count, const mp_obj_t *args) {
    struct nexus_delivery delivery;
    uint64_t endpoint = u64_of(args[0]);
    uint64_t status = bounded(args[1], LATER);
    if (status == LATER) return frame_next(args[0]);
    size_t bytes = frame_write_reply(NEXUS_BUFFER, &serving, (uint8_t)status, bounded(args[2], IPC_DATA_BYTES - WIRE_REPLY_HEADER));
    struct nexus_answer answer = {
        .bytes = bytes,
        .dma = u64_at(3, count, args),
        .offset = bounded_at(4, count, args, UINT32_MAX),
        .count = bounded_at(5, count, args, IPC_DATA_BYTES),
        .grants = bounded_at(6, count, args, IPC_MAX_CAPS),
    };
    uint64_t sent = nexus_reply_recv(serving_reply, &answer, endpoint, 0, until(), &delivery);
    /* What the kernel would not send, a window that is no longer ours, say, still gets an answer. */
    if (sent != E_OK && sent != E_CALLER_GONE && sent != E_DEADLINE) sent = refuse(endpoint, STATUS_UNAVAILABLE, &delivery);
    return next(endpoint, sent, &delivery);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(frame_answer_obj, 3, 7, frame_answer);

static mp_obj_t frame_keep_malformed(void) {
    keeps_malformed = true;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(frame_keep_malformed_obj, frame_keep_malformed);

static mp_obj_t frame_keep_gone(void) {
    keeps_gone = true;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(frame_keep_gone_obj, frame_keep_gone);

/* After how many ticks without a message to say so; 0: never, as at the start. */
static mp_obj_t frame_idle_after(mp_obj_t ticks) {
    idle_ticks = u64_of(ticks);
    wake = 0;
    busy = true;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(frame_idle_after_obj, frame_idle_after);

/* Of the message that is served; 0 where a malformed one ends before it. */
static mp_obj_t frame_op(void) { return MP_OBJ_NEW_SMALL_INT(serving.op); }
static MP_DEFINE_CONST_FUN_OBJ_0(frame_op_obj, frame_op);

static mp_obj_t frame_nonce(void) { return MP_OBJ_NEW_SMALL_INT(serving.nonce); }
static MP_DEFINE_CONST_FUN_OBJ_0(frame_nonce_obj, frame_nonce);

/* The request that is served, for reply(): its handle and what the answer's frame says of it. */
static mp_obj_t frame_later(void) {
    mp_obj_t items[] = {int_from(serving_reply), MP_OBJ_NEW_SMALL_INT(serving.op), MP_OBJ_NEW_SMALL_INT(serving.nonce)};
    return mp_obj_new_tuple(MP_ARRAY_SIZE(items), items);
}
static MP_DEFINE_CONST_FUN_OBJ_0(frame_later_obj, frame_later);

/* What later() gave, status, bytes of payload in place: answers a request that was put off. False when nobody waits for it any more. */
static mp_obj_t frame_reply(size_t count, const mp_obj_t *args) {
    (void)count;
    struct frame asked = {(uint8_t)bounded(args[1], WIRE_REPLY_BIT - 1), (uint32_t)bounded(args[2], UINT32_MAX), 0};
    uint8_t status = (uint8_t)bounded(args[3], UINT8_MAX);
    uint64_t reply = u64_of(args[0]), payload = bounded(args[4], IPC_DATA_BYTES - WIRE_REPLY_HEADER);
    struct nexus_answer answer = {.bytes = frame_write_reply(NEXUS_BUFFER, &asked, status, payload)};
    return mp_obj_new_bool(nexus_reply(reply, &answer) == E_OK);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(frame_reply_obj, 5, 5, frame_reply);

/*
 * Facet of the badge that the request came with; -1 when it was given to somebody else, as a badge in other hands is worth nothing.
 * The one capability that every app begins with was made before it was known which app that would be.
 */
static mp_obj_t frame_facet(void) {
    const struct nexus_delivery *last = kernel_last();
    uint64_t holder = last->badge & ((1ull << BADGE_FACET_SHIFT) - 1);
    bool anybodys = holder == BADGE_ANY_APP && last->sender >> 16 == KIND_APP;
    if (holder != (last->sender & 0xffff) && !anybodys) return MP_OBJ_NEW_SMALL_INT(-1);
    return MP_OBJ_NEW_SMALL_INT(last->badge >> BADGE_FACET_SHIFT);
}
static MP_DEFINE_CONST_FUN_OBJ_0(frame_facet_obj, frame_facet);

static uint64_t stated(size_t offset) { return *(const volatile uint64_t *)(VA_IPC + offset); }

static uint16_t audit_index(uint64_t who) {
    return (uint16_t)((who & UINT16_MAX) | (who >> 16 & UINT16_MAX ? AUDIT_APP : 0));
}
_Static_assert(KIND_SERVICE == 0, "audit_index");

static void store(uint8_t *to, uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) to[i] = (uint8_t)(value >> 8 * i);
}

/*
 * Fills in an audit record whom the request is about, who asked if that is somebody else, and its nonce: the kernel's words, none of
 * which becomes a number of Python's on the way. Gives the subject's index as records have it.
 */
static mp_obj_t frame_about(mp_obj_t record_in) {
    mp_buffer_info_t record;
    mp_get_buffer_raise(record_in, &record, MP_BUFFER_WRITE);
    if (record.len < AUDIT_AT_COUNT) mp_raise_ValueError(MP_ERROR_TEXT("out of range"));
    const struct nexus_delivery *last = kernel_last();
    bool behalf = nexus_flags(last->word) & DELIVER_BEHALF;
    uint16_t subject = audit_index(behalf ? stated(IPC_SUBJECT) : last->sender);
    uint8_t *to = record.buf;
    store(to + AUDIT_AT_SUBJECT, behalf ? stated(IPC_SUBJECT_ID) : last->sender_id, 8);
    store(to + AUDIT_AT_VIA, behalf ? last->sender_id : 0, 8);
    store(to + AUDIT_AT_SUBJECT_IX, subject, 2);
    store(to + AUDIT_AT_VIA_IX, behalf ? audit_index(last->sender) : AUDIT_NOBODY, 2);
    store(to + AUDIT_AT_NONCE, serving.nonce, 4);
    return MP_OBJ_NEW_SMALL_INT(subject);
}
static MP_DEFINE_CONST_FUN_OBJ_1(frame_about_obj, frame_about);

/*
 * A payload in the notation of the contract: "<BHIQ" little-endian without padding, a last * for any number of further bytes.
 * A tuple of numbers and, for *, a view that holds until the next call or reply; None when the payload does not fit.
 * One argument: of the request that is served; a second: of a reply of so many bytes.
 */
static mp_obj_t frame_unpack(size_t count, const mp_obj_t *args) {
    const char *form = mp_obj_str_get_str(args[0]);
    size_t left = count > 1 ? bounded(args[1], IPC_DATA_BYTES - WIRE_REPLY_HEADER) : serving.count;
    uint8_t *payload = NEXUS_BUFFER + WIRE_REQUEST_HEADER;
    mp_obj_t items[FORM_MAX];
    size_t n = 0;
    if (*form == '<') form++;
    for (; *form && *form != '*'; form++, n++) {
        uint64_t value;
        size_t bytes = n < FORM_MAX ? frame_number(*form, payload, left, &value) : 0;
        if (bytes == 0) return mp_const_none;
        items[n] = int_from(value);
        payload += bytes;
        left -= bytes;
    }
    if (*form == '*' && n < FORM_MAX) items[n++] = view_of(payload, left, true);
    else if (left > 0) return mp_const_none;
    return mp_obj_new_tuple(n, items);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(frame_unpack_obj, 1, 2, frame_unpack);

/* An answer that should not have brought them: they would keep their slots for ever. */
static void drop_received(uint32_t count) {
    for (uint32_t i = 0; i < count; i++) nexus_cap_drop(NEXUS_CAPS[i]);
}

/*
 * handle, op, payload, deadline, reply handle on whose behalf or 0, how many capabilities the answer has to bring: bytes of its
 * payload, which lies behind the header in kernel.buffer; below 0 the way it failed. A refusal brings none. E_RESTARTED
 * means that nothing was sent and is told once per capability and restart, so one repetition is right.
 */
static mp_obj_t frame_call(size_t count, const mp_obj_t *args) {
    mp_buffer_info_t payload;
    mp_get_buffer_raise(args[2], &payload, MP_BUFFER_READ);
    if (payload.len > IPC_DATA_BYTES - WIRE_REQUEST_HEADER) mp_raise_ValueError(MP_ERROR_TEXT("out of range"));
    struct frame request = {bounded(args[1], WIRE_REPLY_BIT - 1), ++last_nonce, payload.len};
    uint64_t handle = u64_of(args[0]), deadline = u64_of(args[3]), behalf = u64_at(4, count, args), answer;
    uint32_t accept = (uint32_t)bounded_at(5, count, args, IPC_MAX_CAPS);
    memmove(NEXUS_BUFFER + WIRE_REQUEST_HEADER, payload.buf, payload.len);
    uint64_t word = nexus_word(frame_write_request(NEXUS_BUFFER, &request), 0, accept);
    uint64_t status = nexus_call(handle, word, deadline, behalf, &answer);
    if (status == E_RESTARTED) status = nexus_call(handle, word, deadline, behalf, &answer);
    if (status != E_OK) return MP_OBJ_NEW_SMALL_INT(UNREACHABLE - (mp_int_t)status);
    int verdict = frame_read_reply(NEXUS_BUFFER, nexus_bytes(answer), &request);
    if (verdict != FRAME_BAD_REPLY && nexus_caps(answer) != (verdict == STATUS_OK ? accept : 0)) verdict = FRAME_BAD_REPLY;
    if (verdict == FRAME_BAD_REPLY) {
        drop_received(nexus_caps(answer));
        return MP_OBJ_NEW_SMALL_INT(BAD_REPLY);
    }
    if (verdict != STATUS_OK) return MP_OBJ_NEW_SMALL_INT(-verdict);
    return MP_OBJ_NEW_SMALL_INT(nexus_bytes(answer) - WIRE_REPLY_HEADER);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(frame_call_obj, 4, 6, frame_call);

/* Searched from the top when the interpreter's cache has lost a name: what every message needs stands first. */
static const mp_rom_map_elem_t frame_table[] = {
    {MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_frame)},
    {MP_ROM_QSTR(MP_QSTR_answer), MP_ROM_PTR(&frame_answer_obj)},
    {MP_ROM_QSTR(MP_QSTR_unpack), MP_ROM_PTR(&frame_unpack_obj)},
    {MP_ROM_QSTR(MP_QSTR_facet), MP_ROM_PTR(&frame_facet_obj)},
    {MP_ROM_QSTR(MP_QSTR_call), MP_ROM_PTR(&frame_call_obj)},
    {MP_ROM_QSTR(MP_QSTR_next), MP_ROM_PTR(&frame_next_obj)},
    {MP_ROM_QSTR(MP_QSTR_op), MP_ROM_PTR(&frame_op_obj)},
    {MP_ROM_QSTR(MP_QSTR_nonce), MP_ROM_PTR(&frame_nonce_obj)},
    {MP_ROM_QSTR(MP_QSTR_about), MP_ROM_PTR(&frame_about_obj)},
    {MP_ROM_QSTR(MP_QSTR_idle_after), MP_ROM_PTR(&frame_idle_after_obj)},
    {MP_ROM_QSTR(MP_QSTR_keep_malformed), MP_ROM_PTR(&frame_keep_malformed_obj)},
    {MP_ROM_QSTR(MP_QSTR_keep_gone), MP_ROM_PTR(&frame_keep_gone_obj)},
    {MP_ROM_QSTR(MP_QSTR_later), MP_ROM_PTR(&frame_later_obj)},
    {MP_ROM_QSTR(MP_QSTR_reply), MP_ROM_PTR(&frame_reply_obj)},
    {MP_ROM_QSTR(MP_QSTR_LATER), MP_ROM_INT(LATER)},
    {MP_ROM_QSTR(MP_QSTR_MALFORMED), MP_ROM_INT(MALFORMED)},
    {MP_ROM_QSTR(MP_QSTR_GONE), MP_ROM_INT(GONE)},
    {MP_ROM_QSTR(MP_QSTR_IDLE), MP_ROM_INT(IDLE)},
    {MP_ROM_QSTR(MP_QSTR_BAD_REPLY), MP_ROM_INT(BAD_REPLY)},
    {MP_ROM_QSTR(MP_QSTR_UNREACHABLE), MP_ROM_INT(UNREACHABLE)},
};
static MP_DEFINE_CONST_DICT(frame_globals, frame_table);

const mp_obj_module_t frame_module = {.base = {&mp_type_module}, .globals = (mp_obj_dict_t *)&frame_globals};
MP_REGISTER_MODULE(MP_QSTR_frame, frame_module);
