/*
 * A process in the host's hand: sends what the host writes into its memory, to whatever it has a capability for, and keeps what comes
 * back where the host can read it. Runs in system test-attack, once with every right that policy gives and once with none
 * (tests/os). Knows nothing of any server.
 */
#include "frame.h"
#include "nexus.h"
#include "probe.h"
#include "user.h"

enum { PAUSE = LIMIT_SLICE_TICKS, WAIT = 400 * LIMIT_SLICE_TICKS * 10, HEAD = WIRE_REQUEST_HEADER, OPS = 256, STATUSES = 16 };
enum { REPLIES = 1 << 20, BROKEN = STATUSES - 1 };

/* The host writes all of it, then counts the turn up. `what`: one message as it is; or all whole frames of these operations and
 * payload lengths, with one byte changed where `damage` says; or the first so many bytes of each such frame's head. */
enum { SEND, SWEEP, CUT };
struct host_order {
    volatile uint32_t turn;
    uint32_t what;
    uint64_t server;
    uint32_t bytes, accept;
    uint32_t first_op, last_op, least, most, damage;
    uint8_t message[IPC_DATA_BYTES]; /* of a sweep: the first two bytes of each payload */
} host_order;

/* The last answer; of a sweep, how often each operation was answered with each status. */
struct host_answer {
    uint64_t status; /* E_* */
    uint32_t bytes, caps;
    uint64_t received;
    uint8_t message[IPC_DATA_BYTES];
} host_answer;
uint32_t host_seen[OPS][STATUSES];

/* Every answer that is more, or other, than a refusal of exactly that request. */
uint8_t host_replies[REPLIES];
uint32_t host_replies_bytes;

static uint32_t nonce;

static void keep(const uint8_t *from, uint32_t bytes) {
    if (host_replies_bytes + bytes > REPLIES) host_replies_bytes = 0; /* the oldest make room */
    __builtin_memcpy(host_replies + host_replies_bytes, from, bytes);
    host_replies_bytes += bytes;
}

static void send(uint32_t bytes) {
    uint64_t word = 0;
    host_answer.status = nexus_call(host_order.server, nexus_word(bytes, 0, host_order.accept), nexus_time() + WAIT, 0, &word);
    host_answer.bytes = host_answer.status == E_OK ? nexus_bytes(word) : 0;
    host_answer.caps = host_answer.status == E_OK ? nexus_caps(word) : 0;
    host_answer.received = host_answer.caps ? NEXUS_CAPS[0] : 0;
    __builtin_memcpy(host_answer.message, NEXUS_BUFFER, IPC_DATA_BYTES);
}

/* ---- one message ---- */

static void send_one(void) {
    __builtin_memcpy(NEXUS_BUFFER, host_order.message, IPC_DATA_BYTES);
    send(host_order.bytes);
    keep(host_answer.message, host_answer.bytes);
}

/* ---- all of them ---- */

/* A refusal has the head alone, and in it nothing that was not asked. */
static void count_answer(const struct frame *asked) {
    uint32_t *row = host_seen[asked->op];
    int said = host_answer.status == E_OK ? frame_read_reply(host_answer.message, host_answer.bytes, asked) : -1;
    row[said < 0 || said >= BROKEN ? BROKEN : said]++;
    if (said <= 0) keep(host_answer.message, host_answer.bytes);
}

static void ask(uint32_t op, uint32_t count) {
    struct frame asked = {(uint8_t)op, ++nonce, count};
    uint32_t bytes = (uint32_t)frame_write_request(NEXUS_BUFFER, &asked);
    for (uint32_t i = 0; i < count; i++) NEXUS_BUFFER[HEAD + i] = i < 2 ? host_order.message[i] : (uint8_t)(7 * i + count);
    if (host_order.what == CUT) {
        bytes = count;
        asked.op = count > 1 ? asked.op : 0;
        asked.nonce = 0;
    }
    if (host_order.damage < HEAD) NEXUS_BUFFER[host_order.damage] ^= 1;
    send(bytes);
    count_answer(&asked);
}

static void sweep(void) {
    __builtin_memset(host_seen, 0, sizeof host_seen);
    for (uint32_t op = host_order.first_op; op <= host_order.last_op; op++)
        for (uint32_t count = host_order.least; count <= host_order.most; count++) ask(op, count);
}

int user_main(const uint8_t *romfs, size_t romfs_bytes, void *heap, size_t heap_bytes, uint64_t console, uint64_t incarnation,
    uint64_t bring_up, uint64_t stack_bytes) {
    (void)romfs, (void)romfs_bytes, (void)heap, (void)heap_bytes, (void)console, (void)incarnation, (void)bring_up, (void)stack_bytes;
    static const char done[] = "done";
    for (uint32_t turn = 0;;) {
        uint64_t bits;
        while (host_order.turn == turn) nexus_wait(CAP_NOTIFICATION, nexus_time() + PAUSE, &bits);
        turn = host_order.turn; /* here: once `done` is out, the next order can come at any moment */
        if (host_order.what == SEND) send_one();
        else sweep();
        while (nexus_console_write(CAP_CONSOLE, done, sizeof done - 1) == E_FULL)
            nexus_wait(CAP_NOTIFICATION, nexus_time() + PAUSE, &bits);
    }
}
