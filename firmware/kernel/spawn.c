/*
 * Apps: processes made at run time from a sealed region. Called by syscall.c, supervise.c and process.c. All that an app is, the
 * region states; its spawner chooses stack, share and one endpoint. An identity that any live or static process has is refused.
 */
#include "kernel.h"

static struct image_process rows[LIMIT_APP_SLOTS];
static struct manifest manifests[LIMIT_APP_SLOTS]; /* outlive what may happen to the region */

enum { APP_CAPS = 3 };
static struct image_cap boot_caps[LIMIT_APP_SLOTS][APP_CAPS];

/* An id is taken as long as anybody has it: FNV can be made to collide, so equal ids mean one of the two must go. */
static bool id_taken(uint64_t id) {
    for (uint32_t i = 0; i < PROCESS_SLOTS; i++)
        if (processes[i].state != STATE_EMPTY && processes[i].service_id == id) return true;
    return false;
}

static struct process *free_app_slot(void) {
    for (uint32_t i = image.process_count; i < image.process_count + LIMIT_APP_SLOTS; i++)
        if (processes[i].state == STATE_EMPTY) return &processes[i];
    return 0;
}

static status_t check_request(const struct spawn_request *r) {
    bool stack = r->stack_pages >= 1 && r->stack_pages <= LIMIT_APP_STACK_PAGES;
    bool share = r->share >= 1 && r->share <= LIMIT_APP_SHARE;
    return stack && share && r->unused == 0 ? E_OK : E_BAD_ARGUMENT;
}

/* Console and notification of its own, and the one endpoint that the spawner passes on (0: none). */
static uint32_t fill_caps(uint32_t slot, uint32_t index, const struct cap *endpoint) {
    boot_caps[slot][0] = (struct image_cap){OBJ_CONSOLE, RIGHT_USE, (uint16_t)index, 0};
    boot_caps[slot][1] = (struct image_cap){OBJ_NOTIFICATION, RIGHT_USE, (uint16_t)index, 0};
    if (endpoint == 0) return APP_CAPS - 1;
    boot_caps[slot][2] = (struct image_cap){OBJ_ENDPOINT, RIGHT_CALL, endpoint->object, endpoint->badge};
    return APP_CAPS;
}

static void fill_row(struct process *child, const struct spawn_request *r, const struct region *region, const struct cap *endpoint,
                     uint32_t supervisor) {
    uint32_t slot = child->index - image.process_count;
    const struct manifest *m = &manifests[slot];
    rows[slot] = (struct image_process){
        .label = m->name, .id_name = m->name, .service_id = m->service_id, .program = image.app_program,
        .romfs = {region->base + PAGE_BYTES, m->contents_bytes}, .heap_pages = m->heap_pages,
        .stack_pages = r->stack_pages, .share = r->share, .supervisor = supervisor,
        .caps = boot_caps[slot], .cap_count = fill_caps(slot, child->index, endpoint),
    };
}

static void fill_process(struct process *child, uint16_t region, uint16_t supervisor) {
    const struct manifest *m = &manifests[child->index - image.process_count];
    child->row = &rows[child->index - image.process_count];
    child->kind = KIND_APP;
    child->rank = 0;
    child->service_id = m->service_id;
    child->mask = m->mask;
    child->publisher = m->publisher;
    child->supervisor = supervisor;
    child->region = region;
    child->incarnation = 0;
    child->life++;
    child->load_page = 0;
    child->cpu_ticks = child->share_used = 0;
    child->server = child->serving = child->console_of = NOBODY;
    child->fault = FAULT_NONE;
}

static uint32_t writable_pages(const struct image_program *program) {
    uint32_t pages = 0;
    for (uint32_t i = 0; i < program->segment_count; i++)
        if (program->segments[i].access & IMAGE_W) pages += (uint32_t)((program->segments[i].memory_bytes + PAGE_BYTES - 1) >> PAGE_SHIFT);
    return pages;
}

/* Frames and page tables for all of it, so that building can't stop half-way: a table per area and those above them. */
enum { APP_TABLES = 12 };
static bool there_is_room(uint32_t heap_pages, uint32_t stack_pages) {
    uint32_t pages = 1 + heap_pages + stack_pages + writable_pages(image.app_program);
    return frame_free_count() >= pages && map_tables_left() >= APP_TABLES;
}

static status_t make(struct process *p, const struct spawn_request *r, const struct manifest *m, uint16_t region, const struct cap *endpoint,
                     uint32_t *handle) {
    struct process *child = free_app_slot();
    if (child == 0) return E_FULL;
    if (id_taken(m->service_id)) return E_EXISTS;
    child->index = (uint16_t)(child - processes);
    manifests[child->index - image.process_count] = *m;
    fill_row(child, r, &regions[region], endpoint, p->index);
    fill_process(child, region, p->index);
    region_ref(region, 1);
    cap_init(child);
    ASSERT(process_build(child)); /* there_is_room */
    child->state = STATE_SUSPENDED;
    struct cap cap = {.type = OBJ_SUPERVISE, .rights = RIGHT_USE, .object = child->index};
    *handle = cap_put(p, &cap);
    return E_OK;
}

/* The sealed region that the caller names: only its bytes can't change between this look and the app's last instruction. */
static status_t find_region(struct process *p, uint16_t *number) {
    struct cap *cap;
    status_t status = cap_find(p, p->frame.x[REG_A1], OBJ_REGION, RIGHT_MAP_R, &cap);
    if (status != E_OK) return status;
    *number = cap->object;
    return regions[cap->object].sealed && !regions[cap->object].wiping ? E_OK : E_SEALED; /* half empty is not what was sealed */
}

status_t spawn_app(struct process *p) {
    struct cap *cap, *endpoint = 0;
    struct spawn_request request;
    struct manifest manifest;
    uint16_t region;
    uint32_t handle;
    status_t status = cap_find(p, p->frame.x[REG_A0], OBJ_SPAWN, RIGHT_USE, &cap);
    if (status == E_OK) status = find_region(p, &region);
    if (status != E_OK) return status;
    if (p->frame.x[REG_A3] != sizeof request) return E_BAD_ARGUMENT;
    status = copy_in(p, &request, (user_ptr){p->frame.x[REG_A2]}, sizeof request);
    if (status != E_OK) return status;
    if (image.app_program == 0) return E_STATE;
    if (request.endpoint) status = cap_find(p, request.endpoint, OBJ_ENDPOINT, RIGHT_CALL | RIGHT_GRANT, &endpoint);
    if (status == E_OK) status = check_request(&request);
    if (status == E_OK) status = manifest_read(&regions[region], &manifest);
    if (status != E_OK) return status;
    if (p->free_slots == 0) return E_NO_SLOT;
    if (spawn_reap_step()) return E_AGAIN; /* what dead spawners left goes first: memory, slot and name may be needed */
    if (!there_is_room(manifest.heap_pages, request.stack_pages)) return E_FULL;
    status = make(p, &request, &manifest, region, endpoint, &handle);
    if (status == E_OK) p->frame.x[REG_A1] = handle;
    return status;
}

/* Into its IPC page, which has just been zeroed: what it begins with. */
void spawn_state_entry(const struct process *child) {
    __builtin_memcpy(child->ipc + IPC_ENTRY, manifests[child->index - image.process_count].entry, IPC_ENTRY_BYTES);
}

/* A badge was revoked: an app that has not started yet will not be given it either. How many that were. */
uint32_t spawn_revoke(uint16_t endpoint, uint64_t badge) {
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < LIMIT_APP_SLOTS; slot++) {
        uint8_t state = processes[image.process_count + slot].state;
        const struct image_cap *cap = &boot_caps[slot][APP_CAPS - 1];
        if (state != STATE_SUSPENDED && state != STATE_LOADING) continue;
        if (rows[slot].cap_count < APP_CAPS || cap->object != endpoint || cap->badge != badge) continue;
        rows[slot].cap_count = APP_CAPS - 1;
        count++;
    }
    return count;
}

/* --- giving back --- */

static void give_page(struct process *child, uint64_t va) {
    uint64_t pa = map_unmap(child, va);
    ASSERT(pa != 0);
    page_zero((uint8_t *)pa);
    frame_give((uint8_t *)pa);
    child->frames--;
}

/* The k-th page that an app may own; 0 behind the last. */
static uint64_t page_of(const struct process *child, uint32_t k) {
    const struct image_process *row = child->row;
    if (k == 0) return VA_IPC;
    if ((k -= 1) < row->stack_pages) return VA_STACK_TOP - (k + 1) * PAGE_BYTES;
    if ((k -= row->stack_pages) < row->heap_pages) return VA_HEAP + k * PAGE_BYTES;
    k -= row->heap_pages;
    for (uint32_t i = 0; i < row->program->segment_count; i++) {
        const struct image_segment *s = &row->program->segments[i];
        uint32_t pages = (uint32_t)((s->memory_bytes + PAGE_BYTES - 1) >> PAGE_SHIFT);
        if (!(s->access & IMAGE_W)) continue;
        if (k < pages) return s->va + k * PAGE_BYTES;
        k -= pages;
    }
    return 0;
}

/* Wipes and gives back a few pages each time; true when nothing is left. */
static bool release_step(struct process *child, uint32_t pages) {
    for (uint32_t i = 0; i < pages; i++, child->load_page++) {
        uint64_t va = page_of(child, child->load_page);
        if (va == 0) return true;
        give_page(child, va);
    }
    return false;
}

/* Memory wiped and given back, identity free again; E_AGAIN until done. Only for a stopped app. */
status_t spawn_free(struct process *child) {
    if (child->kind != KIND_APP || child->state != STATE_STOPPED) return E_STATE;
    if (!release_step(child, LIMIT_LOAD_STEP_PAGES)) return E_AGAIN;
    map_free_space(child);
    cap_drop_all(child);
    region_ref(child->region, -1);
    console_forget(child);
    child->state = STATE_EMPTY;
    return E_OK;
}

/* The next app of a spawner that has died, now an orphan: nobody else could, so the kernel gives its memory back. 0: none left. */
struct process *spawn_next_orphan(const struct process *spawner) {
    for (uint32_t i = image.process_count; i < PROCESS_SLOTS; i++) {
        struct process *child = &processes[i];
        if (child->state == STATE_EMPTY || child->supervisor != spawner->index || child->orphan || child == spawner) continue;
        child->orphan = true;
        return child;
    }
    return 0;
}

/* One step of giving orphans' memory back; called when the processor has nothing else to do and when a slot is needed. */
bool spawn_reap_step(void) {
    for (uint32_t i = image.process_count; i < PROCESS_SLOTS; i++) {
        struct process *child = &processes[i];
        if (child->state != STATE_STOPPED || !child->orphan) continue;
        if (!process_tell_end(child) && spawn_free(child) == E_OK) child->orphan = false;
        return true;
    }
    return false;
}
