/*
 * Uses libsodium wrongly: a message longer than the cipher can take. Started by the crypto test, which has to see this process
 * stopped by an instruction that no process may execute; if it ever gets past the call, it exits like one that did well.
 */
#include <sodium/crypto_aead_chacha20poly1305.h>

#include "user.h"

int user_main(const uint8_t *romfs, size_t romfs_bytes, void *heap, size_t heap_bytes, uint64_t console,
    uint64_t incarnation, uint64_t bring_up, uint64_t stack_bytes) {
    (void)romfs, (void)romfs_bytes, (void)heap, (void)heap_bytes, (void)console;
    (void)incarnation, (void)bring_up, (void)stack_bytes;
    static uint8_t octets[64];
    unsigned long long too_long = crypto_aead_chacha20poly1305_ietf_MESSAGEBYTES_MAX + 1ull;
    crypto_aead_chacha20poly1305_ietf_encrypt(octets, NULL, octets, too_long, octets, 0, NULL, octets, octets);
    return 0;
}
