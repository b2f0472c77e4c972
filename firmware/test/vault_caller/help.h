/*
 * What the parts of vault's caller share: one exact request, lines for the host, for whom can be asked, and what vault must know.
 * The program plays keystored in system test-vault and knows of vault only what the contract says.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define PAYLOAD ((uint8_t *)(VA_IPC + IPC_DATA) + WIRE_REPLY_HEADER)

/* The key that vault has to have now. */
struct known {
    bool present;
    uint32_t generation;
    uint8_t mode; /* as it was first told */
    uint8_t id[KEY_ID_BYTES];
    uint8_t public_key[KEY_PUBLIC_BYTES];
};
extern struct known known;

/*
 * One request, whose `count` bytes of payload are at PAYLOAD: the answer's status, or ASK_NO_FRAME, or ASK_BROKEN less the E_* that
 * came instead of an answer. In two steps it can be damaged or cut in between; ask_head gives its length.
 */
enum { ASK_NO_FRAME = -1, ASK_BROKEN = -256 };
int ask(uint64_t server, uint8_t op, size_t count, uint64_t behalf);
size_t ask_head(uint8_t op, size_t count);
int ask_send(uint64_t server, size_t bytes, uint64_t behalf);
size_t ask_bytes(void); /* of the last answer's payload */

void say(const char *text);
void say_hex(const char *text, const uint8_t *bytes, size_t count);
void check(bool right, const char *what); /* if not, says so and ends the run */

uint64_t get_number(const uint8_t *from, size_t bytes);
size_t put_number(uint8_t *to, uint64_t number, size_t bytes);

/* On whose behalf is asked: two services and an app, none of which ever runs. */
struct subject {
    uint64_t handle;
    uint64_t service_id; /* by the kernel */
    uint8_t kind;
};
enum { SUBJECTS = 3 };
extern struct subject subjects[SUBJECTS];
void subjects_make(void);
