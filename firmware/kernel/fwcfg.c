/*
 * What the host tells this run by QEMU's fw_cfg, without DMA: nonce, phase to stop after, test flags. Read once by main; the
 * nonce is never readable from user mode. Anything malformed counts as absent.
 */
#include "kernel.h"

enum { SELECTOR = 8, KEY_DIRECTORY = 0x19, MAX_FILES = 64, NAME_BYTES = 56, NONCE_BYTES = 32, NUMBER_BYTES = 10 };

static char nonce[NONCE_BYTES + 1] = "none";
static uint32_t phase = ~0u, flags;

static void select(uint16_t key) { *(volatile uint16_t *)(FW_CFG_BASE + SELECTOR) = (uint16_t)(key << 8 | key >> 8); }
static uint8_t next_byte(void) { return mmio_read8(FW_CFG_BASE); }

static uint32_t next_big_endian(uint32_t bytes) {
    uint32_t value = 0;
    while (bytes--) value = value << 8 | next_byte();
    return value;
}

struct file { uint32_t size; uint16_t key; char name[NAME_BYTES]; };

static void next_file(struct file *file) {
    file->size = next_big_endian(4);
    file->key = (uint16_t)next_big_endian(2);
    next_big_endian(2);
    for (uint32_t i = 0; i < NAME_BYTES; i++) file->name[i] = (char)next_byte();
    file->name[NAME_BYTES - 1] = 0;
}

static bool same(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

/* Only the host's own names are worth remembering; the directory has to be read through before another key is selected. */
static uint32_t find_files(const char *const *names, struct file *found, uint32_t count) {
    uint32_t seen = 0;
    select(KEY_DIRECTORY);
    uint32_t files = next_big_endian(4);
    for (uint32_t i = 0; i < files && i < MAX_FILES; i++) {
        struct file file;
        next_file(&file);
        for (uint32_t n = 0; n < count; n++) {
            if (!same(file.name, names[n])) continue;
            found[n] = file;
            seen |= 1u << n;
        }
    }
    return seen;
}

static bool read_number(const struct file *file, uint32_t *number) {
    uint64_t value = 0;
    if (file->size == 0 || file->size > NUMBER_BYTES) return false;
    select(file->key);
    for (uint32_t i = 0; i < file->size; i++) {
        uint8_t digit = (uint8_t)(next_byte() - '0');
        if (digit > 9) return false;
        value = value * 10 + digit;
    }
    *number = (uint32_t)value;
    return value <= 0xffffffff;
}

static void read_nonce(const struct file *file) {
    char text[NONCE_BYTES + 1] = {0};
    if (file->size != NONCE_BYTES) return;
    select(file->key);
    for (uint32_t i = 0; i < NONCE_BYTES; i++) {
        text[i] = (char)next_byte();
        bool hex = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
        if (!hex) return;
    }
    __builtin_memcpy(nonce, text, sizeof nonce);
}

void fwcfg_init(void) {
    static const char *const names[] = {"opt/nexus/nonce", "opt/nexus/phase", "opt/nexus/flags"};
    struct file found[3];
    uint32_t seen = find_files(names, found, 3);
    if (seen & 1) read_nonce(&found[0]);
    if (seen & 2 && !read_number(&found[1], &phase)) phase = ~0u;
    if (seen & 4 && !read_number(&found[2], &flags)) flags = 0;
}

const char *fwcfg_nonce(void) { return nonce; }
uint32_t fwcfg_phase(void) { return phase; }
uint32_t fwcfg_flags(void) { return flags; }
