/* Answers each call with its first eight bytes, counted up by one. The other half of ping. */
#include "nexus.h"
#include "pong.h"
#include "user.h"

int user_main(const uint8_t *romfs, size_t romfs_bytes, void *heap, size_t heap_bytes, uint64_t console, uint64_t incarnation,
              uint64_t bring_up, uint64_t stack_bytes) {
    (void)romfs, (void)romfs_bytes, (void)heap, (void)heap_bytes, (void)console, (void)incarnation, (void)bring_up, (void)stack_bytes;
    struct nexus_delivery d;
    const struct nexus_answer answer = {.bytes = 8};
    uint64_t status = nexus_recv(CAP_ENDPOINT, 0, 0, &d);
    while (status == E_OK) {
        *(volatile uint64_t *)NEXUS_BUFFER += 1;
        status = nexus_reply_recv(d.reply, &answer, CAP_ENDPOINT, 0, 0, &d);
    }
    return (int)status;
}
