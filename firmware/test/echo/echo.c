/*
 * The server of the IPC rows of nexus bench: answers each call with as many bytes and capabilities as it got. It does what every
 * service does per call (reply and receive in one entry) and nothing more.
 */
#include "echo.h"
#include "nexus.h"
#include "user.h"

/* init asks once per incarnation, and takes the request's own header with the reply bit for an answer. */
static void answer_ready(const struct nexus_delivery *d) {
    if (d->badge >> BADGE_FACET_SHIFT != BADGE_FACET_READY) return;
    NEXUS_BUFFER[1] |= WIRE_REPLY_BIT;
    NEXUS_BUFFER[2] = STATUS_OK;
}

int user_main(const uint8_t *romfs, size_t romfs_bytes, void *heap, size_t heap_bytes, uint64_t console, uint64_t incarnation,
              uint64_t bring_up, uint64_t stack_bytes) {
    (void)romfs, (void)romfs_bytes, (void)heap, (void)heap_bytes, (void)console, (void)incarnation, (void)bring_up, (void)stack_bytes;
    struct nexus_delivery d;
    uint64_t status = nexus_recv(CAP_ENDPOINT, 1, 0, &d);
    while (status == E_OK) {
        answer_ready(&d);
        const struct nexus_answer answer = {.bytes = nexus_bytes(d.word), .caps = nexus_caps(d.word)};
        status = nexus_reply_recv(d.reply, &answer, CAP_ENDPOINT, 1, 0, &d);
    }
    return (int)status;
}
