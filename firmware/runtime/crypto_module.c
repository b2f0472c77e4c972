/*
 * Module `crypto`: libsodium's hashes, signature check and AEAD, and the health tests of the entropy device. Imported by
 * services. Holds no key, makes no signature, has no randomness; keys are what callers pass in, for the time of the call.
 */
#include <sodium/crypto_aead_chacha20poly1305.h>
#include <sodium/crypto_generichash_blake2b.h>
#include <sodium/crypto_hash_sha256.h>
#include <sodium/crypto_hash_sha512.h>
#include <sodium/crypto_sign_ed25519.h>
#include <sodium/utils.h>

#include "abi.h"
#include "health.h"
#include "py/objstr.h"
#include "py/runtime.h"

enum {
    KEY_BYTES = crypto_aead_chacha20poly1305_ietf_KEYBYTES,
    NONCE_BYTES = crypto_aead_chacha20poly1305_ietf_NPUBBYTES,
    TAG_BYTES = crypto_aead_chacha20poly1305_ietf_ABYTES,
    BLAKE2B_DEFAULT_BYTES = 32,
    DMA_BYTES_MAX = LIMIT_DMA_PAGES * 4096,
};

static mp_buffer_info_t bytes_of(mp_obj_t object) {
    mp_buffer_info_t buffer;
    mp_get_buffer_raise(object, &buffer, MP_BUFFER_READ);
    return buffer;
}

static const uint8_t *exactly(mp_obj_t object, size_t bytes) {
    mp_buffer_info_t buffer = bytes_of(object);
    if (buffer.len != bytes) mp_raise_ValueError(MP_ERROR_TEXT("wrong length"));
    return buffer.buf;
}

static mp_obj_t bytes_from(vstr_t *vstr) { return mp_obj_new_bytes_from_vstr(vstr); }

static mp_obj_t crypto_sha256(mp_obj_t data) {
    mp_buffer_info_t input = bytes_of(data);
    uint8_t digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(digest, input.buf, input.len);
    return mp_obj_new_bytes(digest, sizeof digest);
}
static MP_DEFINE_CONST_FUN_OBJ_1(crypto_sha256_obj, crypto_sha256);

static mp_obj_t crypto_sha512(mp_obj_t data) {
    mp_buffer_info_t input = bytes_of(data);
    uint8_t digest[crypto_hash_sha512_BYTES];
    crypto_hash_sha512(digest, input.buf, input.len);
    return mp_obj_new_bytes(digest, sizeof digest);
}
static MP_DEFINE_CONST_FUN_OBJ_1(crypto_sha512_obj, crypto_sha512);

static mp_obj_t crypto_blake2b(size_t count, const mp_obj_t *args) {
    mp_buffer_info_t input = bytes_of(args[0]);
    mp_int_t bytes = count > 1 ? mp_obj_get_int(args[1]) : BLAKE2B_DEFAULT_BYTES;
    if (bytes < 1 || bytes > (mp_int_t)crypto_generichash_blake2b_BYTES_MAX) {
        mp_raise_ValueError(MP_ERROR_TEXT("wrong length"));
    }
    uint8_t digest[crypto_generichash_blake2b_BYTES_MAX];
    crypto_generichash_blake2b(digest, bytes, input.buf, input.len, NULL, 0);
    return mp_obj_new_bytes(digest, bytes);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(crypto_blake2b_obj, 1, 2, crypto_blake2b);

/* Ed25519, RFC 8032. Whatever is wrong with key or signature, their length too, the answer is False. */
static mp_obj_t crypto_verify(mp_obj_t key_in, mp_obj_t message_in, mp_obj_t signature_in) {
    mp_buffer_info_t key = bytes_of(key_in), message = bytes_of(message_in), signature = bytes_of(signature_in);
    bool good = key.len == crypto_sign_ed25519_PUBLICKEYBYTES && signature.len == crypto_sign_ed25519_BYTES &&
        crypto_sign_ed25519_verify_detached(signature.buf, message.buf, message.len, key.buf) == 0;
    return mp_obj_new_bool(good);
}
static MP_DEFINE_CONST_FUN_OBJ_3(crypto_verify_obj, crypto_verify);

/* ChaCha20-Poly1305, RFC 8439: ciphertext and tag. The caller never uses a nonce twice with a key. */
static mp_obj_t crypto_seal(size_t count, const mp_obj_t *args) {
    (void)count;
    const uint8_t *key = exactly(args[0], KEY_BYTES), *nonce = exactly(args[1], NONCE_BYTES);
    mp_buffer_info_t plain = bytes_of(args[2]), extra = bytes_of(args[3]);
    vstr_t sealed;
    vstr_init_len(&sealed, plain.len + TAG_BYTES);
    crypto_aead_chacha20poly1305_ietf_encrypt(
        (uint8_t *)sealed.buf, NULL, plain.buf, plain.len, extra.buf, extra.len, NULL, nonce, key);
    return bytes_from(&sealed);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(crypto_seal_obj, 4, 4, crypto_seal);

/* The plaintext, or None: nothing of a box that was refused is ever decrypted. */
static mp_obj_t crypto_open(size_t count, const mp_obj_t *args) {
    (void)count;
    const uint8_t *key = exactly(args[0], KEY_BYTES), *nonce = exactly(args[1], NONCE_BYTES);
    mp_buffer_info_t boxed = bytes_of(args[2]), extra = bytes_of(args[3]);
    if (boxed.len < TAG_BYTES) return mp_const_none;
    vstr_t plain;
    vstr_init_len(&plain, boxed.len - TAG_BYTES);
    int refused = crypto_aead_chacha20poly1305_ietf_decrypt(
        (uint8_t *)plain.buf, NULL, NULL, boxed.buf, boxed.len, extra.buf, extra.len, nonce, key);
    return refused ? mp_const_none : bytes_from(&plain);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(crypto_open_obj, 4, 4, crypto_open);

static mp_obj_t crypto_wipe(mp_obj_t buffer_in) {
    mp_buffer_info_t buffer;
    mp_get_buffer_raise(buffer_in, &buffer, MP_BUFFER_WRITE);
    sodium_memzero(buffer.buf, buffer.len);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(crypto_wipe_obj, crypto_wipe);

void health_digest(uint8_t digest[HEALTH_DIGEST_BYTES], const uint8_t *samples, size_t count) {
    crypto_hash_sha256(digest, samples, count);
}

static mp_obj_t crypto_health_start(void) {
    health_start();
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(crypto_health_start_obj, crypto_health_start);

/* A block at an offset of the process's own DMA window; the bytes stay there and only the verdict comes out. */
static mp_obj_t crypto_health(mp_obj_t offset_in, mp_obj_t count_in) {
    mp_int_t offset = mp_obj_get_int(offset_in), count = mp_obj_get_int(count_in);
    if (offset < 0 || count < 0 || offset > DMA_BYTES_MAX || count > DMA_BYTES_MAX - offset) {
        mp_raise_ValueError(MP_ERROR_TEXT("out of range"));
    }
    return MP_OBJ_NEW_SMALL_INT(health_block((const uint8_t *)VA_DMA + offset, count));
}
static MP_DEFINE_CONST_FUN_OBJ_2(crypto_health_obj, crypto_health);

static const mp_rom_map_elem_t crypto_table[] = {
    {MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_crypto)},
    {MP_ROM_QSTR(MP_QSTR_sha256), MP_ROM_PTR(&crypto_sha256_obj)},
    {MP_ROM_QSTR(MP_QSTR_sha512), MP_ROM_PTR(&crypto_sha512_obj)},
    {MP_ROM_QSTR(MP_QSTR_blake2b), MP_ROM_PTR(&crypto_blake2b_obj)},
    {MP_ROM_QSTR(MP_QSTR_verify), MP_ROM_PTR(&crypto_verify_obj)},
    {MP_ROM_QSTR(MP_QSTR_seal), MP_ROM_PTR(&crypto_seal_obj)},
    {MP_ROM_QSTR(MP_QSTR_open), MP_ROM_PTR(&crypto_open_obj)},
    {MP_ROM_QSTR(MP_QSTR_wipe), MP_ROM_PTR(&crypto_wipe_obj)},
    {MP_ROM_QSTR(MP_QSTR_health_start), MP_ROM_PTR(&crypto_health_start_obj)},
    {MP_ROM_QSTR(MP_QSTR_health), MP_ROM_PTR(&crypto_health_obj)},
};
static MP_DEFINE_CONST_DICT(crypto_globals, crypto_table);

const mp_obj_module_t crypto_module = {.base = {&mp_type_module}, .globals = (mp_obj_dict_t *)&crypto_globals};
MP_REGISTER_MODULE(MP_QSTR_crypto, crypto_module);
