/* One request, lines for the host, and for whom can be asked. Used by every part of vault's caller. */
#include "help.h"

#include "caller.h"
#include "frame.h"
#include "nexus.h"
#include "user.h"

struct known known;
struct subject subjects[SUBJECTS];

/* ---- numbers ---- */

uint64_t get_number(const uint8_t *from, size_t bytes) {
    uint64_t number = 0;
    while (bytes--) number = number << 8 | from[bytes];
    return number;
}

size_t put_number(uint8_t *to, uint64_t number, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) to[i] = (uint8_t)(number >> 8 * i);
    return bytes;
}

/* ---- lines ---- */

static size_t put_text(char *line, const char *text) {
    size_t n = 0;
    for (; text[n] && n < LIMIT_WRITE_BYTES; n++) line[n] = text[n];
    return n;
}

void say(const char *text) { say_hex(text, 0, 0); }

void say_hex(const char *text, const uint8_t *bytes, size_t count) {
    char line[LIMIT_WRITE_BYTES];
    size_t n = put_text(line, text);
    for (size_t i = 0; i < count && n + 2 <= sizeof line; i++) {
        line[n++] = "0123456789abcdef"[bytes[i] >> 4];
        line[n++] = "0123456789abcdef"[bytes[i] & 15];
    }
    while (nexus_console_write(CAP_CONSOLE, line, n) == E_FULL) {
        uint64_t bits;
        nexus_wait(CAP_NOTIFICATION, nexus_time() + LIMIT_SLICE_TICKS, &bits);
    }
}

void check(bool right, const char *what) {
    uint64_t unused;
    if (right) return;
    say("FAIL, see the next line");
    say(what);
    nexus_system(CAP_SYSTEM, SYSTEM_SHUTDOWN, EXIT_SELFTEST_FAILED, 0, &unused);
}

/* ---- requests ---- */

static struct frame request;
static size_t answer_bytes;

size_t ask_bytes(void) { return answer_bytes; }

size_t ask_head(uint8_t op, size_t count) {
    request = (struct frame){op, request.nonce + 1, (uint32_t)count};
    return frame_write_request(NEXUS_BUFFER, &request);
}

/* A refusal bears the operation and the nonce as far as the message went. */
int ask_send(uint64_t server, size_t bytes, uint64_t behalf) {
    struct frame seen = {bytes > 1 ? request.op : 0, bytes < WIRE_REQUEST_HEADER ? 0 : request.nonce, 0};
    uint64_t answer, deadline = nexus_time() + EDGE_DEADLINE_VAULT_ALL;
    uint64_t status = nexus_call(server, nexus_word((uint32_t)bytes, 0, 0), deadline, behalf, &answer);
    if (status != E_OK) return ASK_BROKEN - (int)status;
    answer_bytes = nexus_bytes(answer) - WIRE_REPLY_HEADER;
    return frame_read_reply(NEXUS_BUFFER, nexus_bytes(answer), &seen);
}

int ask(uint64_t server, uint8_t op, size_t count, uint64_t behalf) {
    return ask_send(server, ask_head(op, count), behalf);
}

/* ---- subjects ---- */

static void learn(size_t index, uint64_t handle, uint8_t kind) {
    struct process_status status;
    check(nexus_supervise(handle, SUP_STATUS, &status) == E_OK, "status of a subject");
    subjects[index] = (struct subject){handle, status.service_id, kind};
}

/* The least that the kernel makes an app of. It is never started, so the byte that it has as its program does not matter. */
static void state_app(uint8_t *page) {
    memcpy(page + BUNDLE_AT_MAGIC, BUNDLE_MAGIC, sizeof BUNDLE_MAGIC - 1);
    memcpy(page + BUNDLE_AT_ID, "one", 3);
    page[BUNDLE_AT_FORMAT] = BUNDLE_FORMAT;
    page[BUNDLE_AT_MANIFEST_BYTES] = BUNDLE_HEADER_BYTES;
    page[BUNDLE_AT_CONTENTS_BYTES] = 1;
    page[BUNDLE_AT_HEAP_PAGES] = 1;
}

static uint64_t spawn_app(void) {
    struct spawn_request request = {.stack_pages = 1, .share = 1};
    uint64_t handle, status;
    void *region;
    size_t region_bytes;
    do status = nexus_region_map(CAP_REGION_0, true, &region, &region_bytes);
    while (status == E_AGAIN);
    check(status == E_OK, "region mapped");
    state_app(region);
    check(nexus_region_seal(CAP_REGION_0) == E_OK, "region sealed");
    do status = nexus_spawn(CAP_SPAWN, CAP_REGION_0, &request, &handle);
    while (status == E_AGAIN);
    check(status == E_OK, "app made");
    return handle;
}

void subjects_make(void) {
    learn(0, CAP_SUPERVISE_FIRST, KIND_SERVICE);
    learn(1, CAP_SUPERVISE_SECOND, KIND_SERVICE);
    learn(2, spawn_app(), KIND_APP);
}
