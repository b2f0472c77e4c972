/* Spawning apps as execd will: a sealed region, a name, modest memory. Called by cases that run in the holder. */
#include "app.h"

#include "holder.h"

enum { HEAP_PAGES = 2, STACK_PAGES = 2, SHARE = 300 };

struct spawn_request app_request(const char *name) {
    struct spawn_request r = {.heap_pages = HEAP_PAGES, .stack_pages = STACK_PAGES, .share = SHARE, .romfs_bytes = PAGE};
    while (name[r.name_bytes] && r.name_bytes < LIMIT_SPAWN_NAME_BYTES) {
        r.name[r.name_bytes] = name[r.name_bytes];
        r.name_bytes++;
    }
    return r;
}

/* Empty and sealed, whatever a run before left it as. 0 if it can't be had. */
uint64_t sealed_region(uint64_t region) {
    uint64_t status;
    do status = nexus_region_free(region);
    while (status == E_AGAIN);
    return nexus_region_seal(region) == E_OK ? region : 0;
}

uint64_t app_region(void) { return sealed_region(CAP_REGION_0); }

/* An app that nobody resumes. */
uint64_t spawn_simple(uint64_t spawn, uint64_t region) {
    struct spawn_request request = app_request("app:proof");
    uint64_t handle;
    return nexus_spawn(spawn, region, &request, &handle);
}
