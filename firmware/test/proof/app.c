/*
 * Spawning apps as execd will: a region that states one, sealed, and modest memory. Called by cases that run in the holder. The
 * manifests are good ones but for their signature, which the kernel has no eyes for.
 */
#include "app.h"

#include "holder.h"

enum { HEAP_PAGES = 2, STACK_PAGES = 2, SHARE = 300 };

void put_field(uint8_t *page, uint32_t at, uint64_t value, uint32_t bytes) {
    for (uint32_t i = 0; i < bytes; i++) page[at + i] = (uint8_t)(value >> 8 * i);
}

void put_id(uint8_t *page, const char *id) {
    for (uint32_t at = BUNDLE_AT_ID; at < BUNDLE_AT_MAJOR; at++) page[at] = *id ? (uint8_t)*id++ : 0;
}

/* A row for each action of APP_MASK, with reasons of different lengths. */
static void put_rows(uint8_t *page) {
    uint32_t at = BUNDLE_HEADER_BYTES, count = 0;
    for (uint32_t action = 1; action < POLICY_LIMIT_ACTIONS; action++) {
        if (!((uint64_t)APP_MASK >> action & 1)) continue;
        put_field(page, at, action, 2);
        page[at + 2] = (uint8_t)++count;
        memset(page + at + BUNDLE_ROW_BYTES, 'r', count);
        at += BUNDLE_ROW_BYTES + count;
    }
    put_field(page, BUNDLE_AT_ACTIONS, count, 2);
    put_field(page, BUNDLE_AT_MANIFEST_BYTES, at, 2);
}

/* Maps a region to be written and puts a manifest into its first page; the contents stay as they are. 0 if it can't be mapped. */
uint8_t *state_app(uint64_t region, const char *id) {
    void *address;
    size_t bytes;
    uint64_t status;
    do status = nexus_region_map(region, true, &address, &bytes);
    while (status == E_AGAIN);
    if (status != E_OK) return 0;
    uint8_t *page = address;
    memcpy(page + BUNDLE_AT_MAGIC, BUNDLE_MAGIC, sizeof BUNDLE_MAGIC - 1);
    put_field(page, BUNDLE_AT_FORMAT, BUNDLE_FORMAT, 2);
    put_field(page, BUNDLE_AT_CONTENTS_BYTES, APP_CONTENTS, 4);
    put_field(page, BUNDLE_AT_KEY_ID, APP_PUBLISHER, 8);
    put_field(page, BUNDLE_AT_HEAP_PAGES, HEAP_PAGES, 2);
    put_id(page, id);
    put_rows(page);
    return page;
}

/* Whatever a run before left it as, if nobody else has it. */
void empty_region(uint64_t region) {
    while (nexus_region_free(region) == E_AGAIN) {}
}

/* Emptied, stating this app, sealed; 0 if it can't be had. */
uint64_t sealed_app(uint64_t region, const char *id) {
    empty_region(region);
    return state_app(region, id) && nexus_region_seal(region) == E_OK ? region : 0;
}

uint64_t app_region(void) { return sealed_app(CAP_REGION_0, "proof"); }

struct spawn_request app_request(void) { return (struct spawn_request){.stack_pages = STACK_PAGES, .share = SHARE}; }

/* An app that nobody resumes. */
uint64_t spawn_simple(uint64_t spawn, uint64_t region) {
    struct spawn_request request = app_request();
    uint64_t handle;
    return nexus_spawn(spawn, region, &request, &handle);
}
