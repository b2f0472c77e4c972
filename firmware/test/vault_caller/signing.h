/* Requests to sign and what must come back. Used by main.c and sweep.c of vault's caller. */
#pragma once

#include "help.h"

struct purpose {
    uint16_t id;
    const char *name;
};
extern const struct purpose purposes[];
extern const size_t purpose_count;

/* The bytes of the request at `to`: the purpose and a message that its length tells. */
size_t signing_request(uint8_t *to, uint16_t purpose, size_t message_bytes);

/* Whether the last answer is as long as a signature and names the known key; and whether it is one, over that message. */
bool signing_told(void);
bool signing_right(const struct purpose *purpose, const struct subject *subject, size_t message_bytes);

/* Every purpose, subject and several lengths, one line each for the host, who knows how the message comes about. */
void signing_show(void);

/* So often that the timer interrupts some of them; all must be equal. */
void signing_repeat(void);

/* One over as much as can be. */
void signing_once(void);

/* One that nobody waits for to the end, then another. */
void signing_late(void);

/* One in which vault dies. */
void signing_lost(void);
