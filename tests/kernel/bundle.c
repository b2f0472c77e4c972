/*
 * Bundles in a region, and MIDDLE spawning from it. The tests write past the seal, as no process can: so one region states one app
 * after the other. Never looks at how the kernel reads it.
 */
#include "bundle.h"

void put(uint8_t *page, uint32_t at, uint64_t value, uint32_t bytes) {
    for (uint32_t i = 0; i < bytes; i++) page[at + i] = (uint8_t)(value >> 8 * i);
}

uint32_t put_rows(uint8_t *page, const struct row *rows, uint32_t count) {
    uint32_t at = BUNDLE_HEADER_BYTES;
    memset(page + at, 0, PAGE_BYTES - at);
    for (uint32_t i = 0; i < count; i++) {
        put(page, at, rows[i].action, 2);
        page[at + 2] = rows[i].reason;
        memset(page + at + BUNDLE_ROW_BYTES, 'r', rows[i].reason);
        at += BUNDLE_ROW_BYTES + rows[i].reason;
    }
    put(page, BUNDLE_AT_ACTIONS, count, 2);
    put(page, BUNDLE_AT_MANIFEST_BYTES, at, 2);
    memset(page + at, 0xff, 64); /* the signature */
    return at;
}

void put_name(uint8_t *page, const char *id) {
    memset(page + BUNDLE_AT_ID, 0, BUNDLE_AT_MAJOR - BUNDLE_AT_ID);
    memcpy(page + BUNDLE_AT_ID, id, strlen(id));
}

void good_manifest(uint8_t *page, const char *id) {
    static const struct row rows[] = {{1, 1}, {6, BUNDLE_REASON_BYTES}, {13, 20}};
    memset(page, 0, PAGE_BYTES);
    memcpy(page + BUNDLE_AT_MAGIC, BUNDLE_MAGIC, strlen(BUNDLE_MAGIC));
    put(page, BUNDLE_AT_FORMAT, BUNDLE_FORMAT, 2);
    put(page, BUNDLE_AT_CONTENTS_BYTES, CONTENTS, 4);
    put(page, BUNDLE_AT_KEY_ID, PUBLISHER, 8);
    memset(page + BUNDLE_AT_PUBLIC_KEY, 0xee, BUNDLE_AT_ID - BUNDLE_AT_PUBLIC_KEY);
    put_name(page, id);
    memset(page + BUNDLE_AT_MAJOR, 0xff, BUNDLE_AT_ENTRY - BUNDLE_AT_MAJOR);
    memcpy(page + BUNDLE_AT_ENTRY, ENTRY, strlen(ENTRY));
    put(page, BUNDLE_AT_HEAP_PAGES, HEAP, 2);
    put_rows(page, rows, sizeof rows / sizeof *rows);
}

struct spawn_request good_request(void) {
    return (struct spawn_request){.stack_pages = 2, .share = 100, .endpoint = H_GIFT};
}

uint8_t *staged(void) {
    uint32_t status;
    boot();
    do status = sys(proc(MIDDLE), SYS_REGION_MAP, H_REGION, 1); while (status == E_AGAIN);
    CHECK_EQ(status, E_OK);
    good_manifest(user(proc(MIDDLE), VA_REGION), "probe");
    memset(user(proc(MIDDLE), VA_REGION + PAGE_BYTES), 0x3c, PAGE_BYTES);
    CHECK_EQ(sys(proc(MIDDLE), SYS_REGION_SEAL, H_REGION), E_OK);
    return regions[WORK_REGION].base;
}

uint32_t spawn(struct spawn_request r) {
    struct process *p = proc(MIDDLE);
    memcpy(user(p, VA_HEAP), &r, sizeof r);
    return sys(p, SYS_SPAWN, H_SPAWN, H_REGION, VA_HEAP, sizeof r);
}

uint64_t spawned(const char *id) {
    good_manifest(regions[WORK_REGION].base, id);
    CHECK_EQ(spawn(good_request()), E_OK);
    return reg(proc(MIDDLE), 1);
}

uint32_t steps(uint64_t handle, uint64_t operation) {
    uint32_t status;
    do status = sys(proc(MIDDLE), SYS_SUPERVISE, handle, operation); while (status == E_AGAIN);
    return status;
}
