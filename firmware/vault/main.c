/*
 * vault: holds the device key, makes it of entropy from rngd, signs with it, and gives nobody any of it. Called by keystored only,
 * on behalf of its client, and once by init (READY). No interpreter, no heap; prints two fixed lines at most and never a byte of
 * a request. Order of checks: frame and payload, then badge and subject, then the rest.
 */
#include <string.h>

#include "frame.h"
#include "key.h"
#include "nexus.h"
#include "signed.h"
#include "user.h"
#include "vault.h"

/* What is being served, and what the kernel stated when it came. */
static struct nexus_delivery asked;
static struct frame request;
static uint8_t mode;
static uint32_t restarts, made; /* by the kernel; keys since then */
static uint32_t generation;     /* of the key that there is */
static bool told_ready;

#define SAY(line) nexus_console_write(CAP_CONSOLE, line, sizeof line - 1)
#define PAYLOAD (NEXUS_BUFFER + WIRE_REQUEST_HEADER)
_Static_assert(WIRE_REQUEST_HEADER == WIRE_REPLY_HEADER, "a reply's payload lies where the request's lay");
enum { GENERATION_MAX = (1 << KEY_GENERATION_SHIFT) - 1, SAME_CALL_MAX = 3 };

static uint64_t stated(size_t offset) { return *(const volatile uint64_t *)(VA_IPC + offset); }

static void put_number(uint8_t *to, uint64_t number, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) to[i] = (uint8_t)(number >> 8 * i);
}


/* ---- entropy ---- */

/* STATUS_OK: exactly KEY_SEED_BYTES of entropy are the payload in the buffer. Else nothing of an answer is left there. */
static uint8_t draw(void) {
    struct frame question = {OP_RNGD_GET_ENTROPY, made, sizeof(uint16_t)};
    uint64_t answer = 0, status = E_RESTARTED;
    for (int i = 0; i < SAME_CALL_MAX && status == E_RESTARTED; i++) {
        put_number(PAYLOAD, KEY_SEED_BYTES, sizeof(uint16_t));
        size_t bytes = frame_write_request(NEXUS_BUFFER, &question);
        uint64_t deadline = nexus_time() + EDGE_DEADLINE_RNGD_VAULT;
        status = nexus_call(CAP_RNGD, nexus_word(bytes, 0, 0), deadline, asked.reply, &answer);
    }
    int said = status == E_OK ? frame_read_reply(NEXUS_BUFFER, nexus_bytes(answer), &question) : FRAME_BAD_REPLY;
    if (said == STATUS_OK && nexus_bytes(answer) == WIRE_REPLY_HEADER + KEY_SEED_BYTES) return STATUS_OK;
    memset(NEXUS_BUFFER, 0, IPC_DATA_BYTES);
    return said == STATUS_DENIED || said == STATUS_RATE_LIMITED ? (uint8_t)said : STATUS_UNAVAILABLE;
}

/* ---- operations: a status, and on STATUS_OK the payload and its length ---- */

/* What every answer about the key begins with. */
static size_t put_key(void) {
    put_number(PAYLOAD, generation, sizeof generation);
    PAYLOAD[sizeof generation] = mode;
    memcpy(PAYLOAD + sizeof generation + 1, key_facts()->id, KEY_ID_BYTES);
    return sizeof generation + 1 + KEY_ID_BYTES;
}

static uint8_t on_pubkey(size_t *bytes) {
    if (!key_exists()) return STATUS_NOT_FOUND;
    *bytes = put_key();
    memcpy(PAYLOAD + *bytes, key_facts()->public_key, KEY_PUBLIC_BYTES);
    *bytes += KEY_PUBLIC_BYTES;
    return STATUS_OK;
}

static uint8_t on_seed(size_t *bytes) {
    if (key_exists()) return STATUS_EXISTS;
    if (made == GENERATION_MAX || restarts > GENERATION_MAX) return STATUS_UNAVAILABLE; /* no generation comes twice */
    uint8_t status = draw();
    if (status != STATUS_OK) return status;
    key_make(PAYLOAD);
    generation = restarts << KEY_GENERATION_SHIFT | ++made;
    return on_pubkey(bytes);
}

static uint8_t on_sign(size_t *bytes) {
    static uint8_t covered[SIGNED_BYTES_MAX];
    size_t count = request.count - sizeof(uint16_t);
    if (!(nexus_flags(asked.word) & DELIVER_BEHALF)) return STATUS_DENIED;
    if (count > LIMIT_SIGN_MESSAGE_BYTES) return STATUS_TOO_LARGE;
    const struct signed_purpose *purpose = signed_purpose((uint16_t)(PAYLOAD[0] | PAYLOAD[1] << 8));
    if (purpose == 0) return STATUS_UNSUPPORTED;
    if (!key_exists()) return STATUS_NOT_FOUND;
    struct signed_subject subject = {stated(IPC_SUBJECT_ID), (uint8_t)(stated(IPC_SUBJECT) >> 16)};
    size_t length = signed_bytes(covered, purpose, &subject, mode, PAYLOAD + sizeof(uint16_t), count);
    *bytes = put_key();
    key_sign(PAYLOAD + *bytes, covered, length);
    *bytes += KEY_SIGNATURE_BYTES;
    return STATUS_OK;
}

static uint8_t on_destroy(size_t *bytes) {
    if (!key_exists()) return STATUS_NOT_FOUND;
    key_destroy();
    put_number(PAYLOAD, generation, sizeof generation);
    *bytes = sizeof generation;
    return STATUS_OK;
}

static uint8_t on_ready(size_t *bytes) {
    (void)bytes;
    if (told_ready) return STATUS_EXISTS;
    told_ready = true;
    if (mode == KEY_MODE_TEST_ENTROPY) SAY(LINE_VAULT_TEST_ENTROPY);
    SAY(MARK_VAULT_READY);
    return STATUS_OK;
}

static uint8_t on_unknown(size_t *bytes) {
    (void)bytes;
    return STATUS_UNSUPPORTED;
}

/* ---- one request ---- */

struct row {
    uint8_t op;
    uint64_t facet;
    size_t least, most; /* bytes of payload */
    uint8_t (*serve)(size_t *bytes);
};
enum { ANY = IPC_DATA_BYTES };
static const struct row rows[] = {
    {OP_VAULT_SEED, BADGE_FACET_ANY, 0, 0, on_seed},
    {OP_VAULT_SIGN, BADGE_FACET_ANY, sizeof(uint16_t), ANY, on_sign},
    {OP_VAULT_PUBKEY, BADGE_FACET_ANY, 0, 0, on_pubkey},
    {OP_VAULT_DESTROY, BADGE_FACET_ANY, 0, 0, on_destroy},
    {OP_ALL_READY, BADGE_FACET_READY, 0, 0, on_ready},
};
static const struct row unknown = {0, BADGE_FACET_ANY, 0, ANY, on_unknown};

static const struct row *row_of(uint8_t op) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].op == op) return &rows[i];
    return &unknown;
}

/* A badge that somebody else holds than it was given to is worth nothing. */
static bool holds(uint64_t facet) {
    return asked.badge == (facet << BADGE_FACET_SHIFT | (asked.sender & 0xffff));
}

static uint8_t serve(size_t *bytes) {
    if (!frame_read_request(NEXUS_BUFFER, nexus_bytes(asked.word), &request)) return STATUS_MALFORMED;
    const struct row *row = row_of(request.op);
    if (request.count < row->least || request.count > row->most) return STATUS_MALFORMED;
    if (!holds(row->facet)) return STATUS_DENIED;
    return row->serve(bytes);
}

/* Answers what was asked and waits for the next; a caller that is gone is no reason to stop. */
static uint64_t answer_and_wait(void) {
    size_t count = 0;
    uint8_t status = serve(&count);
    struct nexus_answer answer = {.bytes = frame_write_reply(NEXUS_BUFFER, &request, status, count)};
    uint64_t result = nexus_reply_recv(asked.reply, &answer, CAP_ENDPOINT, 0, 0, &asked);
    return result == E_CALLER_GONE ? nexus_recv(CAP_ENDPOINT, 0, 0, &asked) : result;
}

int user_main(const uint8_t *romfs, size_t romfs_bytes, void *heap, size_t heap_bytes, uint64_t console, uint64_t incarnation,
    uint64_t bring_up, uint64_t stack_bytes) {
    (void)romfs, (void)romfs_bytes, (void)heap, (void)heap_bytes, (void)console, (void)bring_up, (void)stack_bytes;
    restarts = (uint32_t)incarnation - 1;
    mode = nexus_test_entropy() ? KEY_MODE_TEST_ENTROPY : KEY_MODE_DEVICE;
    uint64_t status = nexus_recv(CAP_ENDPOINT, 0, 0, &asked);
    while (status == E_OK) {
        if (nexus_flags(asked.word) & DELIVER_MESSAGE) status = answer_and_wait();
        else status = nexus_recv(CAP_ENDPOINT, 0, 0, &asked);
    }
    return LEAVE_FAILED;
}
