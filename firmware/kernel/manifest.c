/*
 * What a sealed region states of the app in it: name, publisher, actions, sizes, entry. Called by spawn.c. Everything is copied out
 * of the region's first page, by the layout of bundle.toml; whether the statement is signed and wanted has been somebody else's
 * question, so nothing in it is believed to be in its range.
 */
#include "kernel.h"

enum { ID_BYTES = BUNDLE_AT_MAJOR - BUNDLE_AT_ID, ENTRY_BYTES = BUNDLE_AT_HEAP_PAGES - BUNDLE_AT_ENTRY };
enum { MANIFEST_MOST = BUNDLE_HEADER_BYTES + BUNDLE_ACTIONS * (BUNDLE_ROW_BYTES + BUNDLE_REASON_BYTES) };
_Static_assert(MANIFEST_MOST <= PAGE_BYTES, "the first page holds the whole manifest");
_Static_assert(BUNDLE_AT_PUBLIC_KEY - BUNDLE_AT_KEY_ID == sizeof(uint64_t), "a publisher is a number");
_Static_assert(ENTRY_BYTES == IPC_ENTRY_BYTES, "an entry fits into the IPC page");
_Static_assert(POLICY_LIMIT_ACTIONS <= 64, "a mask has a bit for each action");

enum { PREFIX_BYTES = sizeof SERVICE_ID_APP_PREFIX - 1 };
_Static_assert(PREFIX_BYTES + ID_BYTES <= LIMIT_SPAWN_NAME_BYTES, "a name fits");

static uint64_t service_id_of(const char *name) {
    uint64_t id = SERVICE_ID_OFFSET;
    while (*name) id = (id ^ (uint8_t)*name++) * SERVICE_ID_PRIME;
    return id;
}

/* The kernel runs on little-endian machines only; fields need not be aligned. */
static uint32_t u16_at(const uint8_t *page, uint32_t at) { return page[at] | (uint32_t)page[at + 1] << 8; }
static uint32_t u32_at(const uint8_t *page, uint32_t at) { return u16_at(page, at) | u16_at(page, at + 2) << 16; }
static uint64_t u64_at(const uint8_t *page, uint32_t at) { return u32_at(page, at) | (uint64_t)u32_at(page, at + 4) << 32; }

/* [a-z0-9.-]{1,32}, and nothing but zeros behind it; so no name runs into the next field, or looks like two. */
static bool read_name(const uint8_t *page, char *name) {
    uint32_t n = 0;
    __builtin_memcpy(name, SERVICE_ID_APP_PREFIX, PREFIX_BYTES);
    for (; n < ID_BYTES && page[BUNDLE_AT_ID + n]; n++) {
        char c = (char)page[BUNDLE_AT_ID + n];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-')) return false;
        name[PREFIX_BYTES + n] = c;
    }
    name[PREFIX_BYTES + n] = 0;
    for (uint32_t i = n; i < ID_BYTES; i++)
        if (page[BUNDLE_AT_ID + i]) return false;
    return n > 0;
}

/* A bit for each row's action. Rows ascend, and the last one ends where the manifest does. */
static bool read_mask(const uint8_t *page, uint64_t *mask) {
    uint32_t rows = u16_at(page, BUNDLE_AT_ACTIONS), end = u16_at(page, BUNDLE_AT_MANIFEST_BYTES);
    uint32_t at = BUNDLE_HEADER_BYTES, last = 0;
    *mask = 0;
    if (end > MANIFEST_MOST || rows > BUNDLE_ACTIONS) return false;
    for (; rows; rows--) {
        if (at + BUNDLE_ROW_BYTES > end) return false;
        uint32_t action = u16_at(page, at);
        if (action <= last || action >= POLICY_LIMIT_ACTIONS) return false;
        *mask |= 1ull << action;
        last = action;
        at += BUNDLE_ROW_BYTES + page[at + BUNDLE_ROW_BYTES - 1];
    }
    return at == end;
}

/* Of a region that is sealed and not being wiped. */
status_t manifest_read(const struct region *region, struct manifest *m) {
    const uint8_t *page = region->base;
    if (__builtin_memcmp(page + BUNDLE_AT_MAGIC, BUNDLE_MAGIC, sizeof BUNDLE_MAGIC - 1) != 0) return E_BAD_ARGUMENT;
    if (u16_at(page, BUNDLE_AT_FORMAT) != BUNDLE_FORMAT) return E_BAD_ARGUMENT;
    if (!read_name(page, m->name) || !read_mask(page, &m->mask)) return E_BAD_ARGUMENT;
    m->service_id = service_id_of(m->name);
    m->publisher = u64_at(page, BUNDLE_AT_KEY_ID);
    m->heap_pages = u16_at(page, BUNDLE_AT_HEAP_PAGES);
    m->contents_bytes = u32_at(page, BUNDLE_AT_CONTENTS_BYTES);
    __builtin_memcpy(m->entry, page + BUNDLE_AT_ENTRY, ENTRY_BYTES);
    bool heap = m->heap_pages >= 1 && m->heap_pages <= LIMIT_APP_HEAP_PAGES;
    bool contents = m->contents_bytes > 0 && m->contents_bytes <= LIMIT_APP_ROMFS_PAGES * PAGE_BYTES &&
                    PAGE_BYTES + (uint64_t)m->contents_bytes <= region->pages * PAGE_BYTES;
    return heap && contents ? E_OK : E_BAD_ARGUMENT;
}
