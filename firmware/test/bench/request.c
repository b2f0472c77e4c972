/* One request, framed as firmware/native/frame.c has it. */
#include "request.h"

#include "bench.h"
#include "frame.h"
#include "measure.h"
#include "nexus.h"
#include "user.h"

enum { PATIENCE_TICKS = 100000000 };

int ask_status;
size_t ask_bytes;
static uint32_t nonce;

static size_t put_name(uint8_t *to, const char *name) {
    size_t n = 0;
    for (; name[n] && n < POLICY_LIMIT_NAME_BYTES; n++) to[n] = (uint8_t)name[n];
    return n;
}

struct request check_of(uint16_t action, const char *name) {
    struct request request = {CAP_POLICYD, OP_POLICYD_CHECK, 0, 0, {(uint8_t)action, (uint8_t)(action >> 8)}};
    request.bytes = 2 + put_name(request.payload + 2, name);
    return request;
}

struct request route_of(const char *name) {
    struct request request = {CAP_INIT, OP_INIT_ROUTE_GET, 1, 0, {0}};
    request.bytes = put_name(request.payload, name);
    return request;
}

uint64_t ask(const struct request *request) {
    struct frame frame = {request->op, ++nonce, (uint32_t)request->bytes};
    uint64_t answer, deadline = nexus_time() + PATIENCE_TICKS;
    memcpy(NEXUS_BUFFER + WIRE_REQUEST_HEADER, request->payload, request->bytes);
    uint64_t word = nexus_word((uint32_t)frame_write_request(NEXUS_BUFFER, &frame), 0, request->accept);
    uint64_t before = instructions();
    uint64_t status = nexus_call(request->to, word, deadline, 0, &answer);
    uint64_t cost = instructions() - before;
    need(status == E_OK, "ask");
    ask_bytes = nexus_bytes(answer);
    ask_status = frame_read_reply(NEXUS_BUFFER, ask_bytes, &frame);
    need(ask_status != FRAME_BAD_REPLY, "reply");
    return cost;
}
