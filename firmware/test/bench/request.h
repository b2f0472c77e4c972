/* One request to a service as any client makes it, and what it cost. Used by the rows of services and by the comparison of refusals. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { PAYLOAD_MAX = 64 };

struct request {
    uint64_t to;
    uint8_t op;
    uint8_t accept; /* capabilities that the answer has to bring */
    size_t bytes;
    uint8_t payload[PAYLOAD_MAX];
};

/* A request to policyd about this process itself; `name` is the target's. */
struct request check_of(uint16_t action, const char *name);
/* A request to init for a route. */
struct request route_of(const char *name);

/* Instructions of the round trip; its status, and its answer of `answer_bytes` in NEXUS_BUFFER. Ends the run if there is no answer. */
uint64_t ask(const struct request *request);
extern int ask_status;
extern size_t ask_bytes;
