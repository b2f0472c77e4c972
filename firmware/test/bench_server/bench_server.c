/*
 * The server of the IPC rows of nexus bench: answers each call with as many bytes and capabilities as it got. It does what every
 * service does per call (reply and receive in one entry) and nothing more.
 */
#include "bench_server.h"
#include "nexus.h"
#include "user.h"

int user_main(const uint8_t *romfs, size_t romfs_bytes, void *heap, size_t heap_bytes, uint64_t console, uint64_t incarnation,
              uint64_t bring_up, uint64_t stack_bytes) {
    (void)romfs, (void)romfs_bytes, (void)heap, (void)heap_bytes, (void)console, (void)incarnation, (void)bring_up, (void)stack_bytes;
    struct nexus_delivery d;
    uint64_t status = nexus_recv(CAP_ENDPOINT, 1, 0, &d);
    while (status == E_OK) {
        const struct nexus_answer answer = {.bytes = nexus_bytes(d.word), .caps = nexus_caps(d.word)};
        status = nexus_reply_recv(d.reply, &answer, CAP_ENDPOINT, 1, 0, &d);
    }
    return (int)status;
}
