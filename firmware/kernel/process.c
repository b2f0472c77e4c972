/*
 * A process's memory and life: built at boot from its row, loaded step by step, stopped with a cause. Called by main,
 * supervise.c and whoever finds a fault. Loading zeroes everything but what the row keeps.
 */
#include "kernel.h"

struct process processes[PROCESS_SLOTS];
struct endpoint endpoints[LIMIT_ENDPOINTS];

const char *process_label(const struct process *p) { return p->row->label; }

static uint32_t pages_of(uint64_t bytes) { return (uint32_t)((bytes + PAGE_BYTES - 1) >> PAGE_SHIFT); }

/* --- building: page tables --- */

/* Pages that stay where they are: shared program text, ROMFS, policy, a device's DMA window. */
static bool map_at(struct process *p, uint64_t va, const uint8_t *start, uint64_t bytes, uint32_t access) {
    return map_run(p, va, (uint64_t)start, pages_of(bytes), access);
}

static bool map_program(struct process *p) {
    const struct image_program *program = p->row->program;
    for (uint32_t i = 0; i < program->segment_count; i++) {
        const struct image_segment *s = &program->segments[i];
        bool done = s->access & IMAGE_W ? map_fresh(p, s->va, pages_of(s->memory_bytes), FRAME_USER)
                                        : map_at(p, s->va, s->data, s->file_bytes, s->access);
        if (!done) return false;
    }
    return true;
}

static bool map_devices(struct process *p) {
    for (uint32_t i = 0; i < image.device_count; i++) {
        struct device *d = &devices[i];
        if (d->driver != p->index || d->base == 0) continue;
        if (!map_page(p, VA_DEVICE, d->base, IMAGE_R)) return false;
        if (!map_at(p, VA_DMA, d->dma, d->dma_bytes, IMAGE_R | IMAGE_W)) return false;
    }
    return true;
}

/* The whole address space but for what regions add later. False when memory or page tables run out. */
bool process_build(struct process *p) {
    const struct image_process *row = p->row;
    bool built = map_new_space(p) && map_fresh(p, VA_IPC, 1, FRAME_IPC);
    if (built) p->ipc = (uint8_t *)map_find(p, VA_IPC, IMAGE_W);
    return built && map_program(p) && map_fresh(p, VA_STACK_TOP - row->stack_pages * PAGE_BYTES, row->stack_pages, FRAME_USER) &&
           map_fresh(p, VA_HEAP, row->heap_pages, FRAME_USER) && map_fresh(p, VA_KEPT, row->kept_pages, FRAME_KEPT) &&
           map_at(p, VA_ROMFS, row->romfs.start, row->romfs.bytes, IMAGE_R) &&
           map_at(p, VA_POLICY, image.policy.start, row->policy ? image.policy.bytes : 0, IMAGE_R) && map_devices(p);
}

static void build_row(uint32_t index) {
    const struct image_process *row = &image.processes[index];
    struct process *p = &processes[index];
    p->row = row;
    p->index = (uint16_t)index;
    p->kind = KIND_SERVICE;
    p->rank = (uint8_t)row->rank;
    p->service_id = row->service_id;
    p->supervisor = (uint16_t)row->supervisor;
    p->state = STATE_SUSPENDED;
    p->server = p->serving = p->region = p->console_of = NOBODY;
    cap_init(p);
    ASSERT(process_build(p)); /* the builder has checked that it fits */
}

void process_build_all(void) {
    for (uint32_t i = 0; i < image.endpoint_count; i++) {
        endpoints[i].owner = (uint16_t)image.endpoints[i].owner;
        processes[endpoints[i].owner].serves = true;
    }
    for (uint32_t i = 0; i < image.process_count; i++) build_row(i);
    for (uint32_t i = 0; i < image.process_count; i++) {
        struct process *p = &processes[i];
        if (!(p->row->flags & IMAGE_ROOT)) continue;
        while (process_load_step(p) == E_AGAIN) {}
        sched_ready(p);
    }
}

/* --- loading: zero, fill, start --- */

struct run { uint64_t va; uint32_t pages; const uint8_t *data; uint32_t bytes; };

/* The runs of pages that loading fills, in order; pages 0 ends them. */
static struct run run_at(const struct process *p, uint32_t n) {
    const struct image_process *row = p->row;
    const struct image_program *program = row->program;
    for (uint32_t i = 0; i < program->segment_count; i++) {
        const struct image_segment *s = &program->segments[i];
        if (!(s->access & IMAGE_W)) continue;
        if (n-- == 0) return (struct run){s->va, pages_of(s->memory_bytes), s->data, s->file_bytes};
    }
    bool first = p->incarnation == 0;
    const struct run rest[] = {
        {VA_IPC, 1, 0, 0},
        {VA_STACK_TOP - row->stack_pages * PAGE_BYTES, row->stack_pages, 0, 0},
        {VA_HEAP, row->heap_pages, 0, 0},
        {VA_KEPT, first ? row->kept_pages : 0, 0, 0},
    };
    return n < sizeof rest / sizeof *rest ? rest[n] : (struct run){0, 0, 0, ~0u};
}

/* The k-th page to fill. False behind the last. */
static bool page_to_fill(const struct process *p, uint32_t k, uint64_t *va, const uint8_t **data, uint32_t *bytes) {
    for (uint32_t n = 0;; n++) {
        struct run run = run_at(p, n);
        if (run.bytes == ~0u) return false;
        if (k >= run.pages) {
            k -= run.pages;
            continue;
        }
        uint64_t offset = k * PAGE_BYTES;
        *va = run.va + offset;
        *data = run.data + offset;
        *bytes = run.bytes > offset ? (uint32_t)(run.bytes - offset) : 0;
        return true;
    }
}

static void fill_page(uint8_t *page, const uint8_t *data, uint32_t bytes) {
    if (bytes >= PAGE_BYTES) {
        page_copy(page, data);
        return;
    }
    page_zero(page);
    if (bytes) __builtin_memcpy(page, data, bytes);
}

static void give_boot_caps(struct process *p) {
    cap_drop_all(p);
    cap_init(p);
    for (uint32_t i = 0; i < p->row->cap_count; i++) {
        const struct image_cap *c = &p->row->caps[i];
        struct cap cap = {.type = c->type, .rights = c->rights, .object = c->object, .badge = c->badge};
        if (cap.type == OBJ_ENDPOINT) {
            uint32_t known = processes[endpoints[cap.object].owner].incarnation;
            cap.seen = known ? known : 1;
        }
        cap_put(p, &cap);
    }
}

static void set_registers(struct process *p) {
    const struct image_process *row = p->row;
    struct trap_frame fresh = {0};
    fresh.x[REG_PC] = row->program->entry;
    fresh.x[REG_SP] = VA_STACK_TOP;
    fresh.x[REG_A0] = row->romfs.bytes ? VA_ROMFS : 0;
    fresh.x[REG_A1] = row->romfs.bytes;
    fresh.x[REG_A2] = VA_HEAP;
    fresh.x[REG_A3] = row->heap_pages * PAGE_BYTES;
    for (uint32_t i = 0; i < row->cap_count; i++)
        if (row->caps[i].type == OBJ_CONSOLE) fresh.x[REG_A4] = IMAGE_HANDLE(i);
    fresh.x[REG_A5] = p->incarnation;
    fresh.x[REG_A6] = system_bring_up_open();
    fresh.x[REG_A7] = row->stack_pages * PAGE_BYTES;
    p->frame = fresh;
}

/* All pages are as they have to be: registers, capabilities and what the kernel states in the IPC page. */
static void begin_life(struct process *p) {
    p->load_page = 0;
    p->incarnation++;
    p->fault = FAULT_NONE;
    p->fault_value = p->fault_pc = 0;
    p->payer = p->index;
    p->since_recv = 0;
    p->bits = 0;
    p->behalf_slot = NO_SLOT;
    give_boot_caps(p);
    set_registers(p);
    *(uint64_t *)(p->ipc + IPC_LAUNCH_FLAGS) = launch_flags() & FLAG_TEST_ENTROPY;
    *(uint64_t *)(p->ipc + IPC_BRING_UP) = system_bring_up_open();
    if (p->kind != KIND_APP) return;
    spawn_state_entry(p);
    map_sync_code();
}

/* A few pages each time, so that no kernel entry is long; E_AGAIN until the process can run. */
status_t process_load_step(struct process *p) {
    p->state = STATE_LOADING;
    if (region_unmap_stale(p)) return E_AGAIN;
    for (uint32_t i = 0; i < LIMIT_LOAD_STEP_PAGES; i++, p->load_page++) {
        uint64_t va;
        const uint8_t *data;
        uint32_t bytes;
        if (!page_to_fill(p, p->load_page, &va, &data, &bytes)) {
            begin_life(p);
            return E_OK;
        }
        fill_page((uint8_t *)map_find(p, va, IMAGE_W), data, bytes);
    }
    return E_AGAIN;
}

/* --- stopping --- */

static const char *const fault_names[] = {"none", "exit", "memory", "instruction", "misaligned", "hung", "killed", "syscall"};

static void say_fault(const struct process *p) {
    if (p->fault == FAULT_EXIT && p->fault_value == 0) return;
    if (p->row->flags & IMAGE_QUIET_FAULT) {
        console_say("fault label=%s cause=%s", process_label(p), fault_names[p->fault]);
        return;
    }
    console_say("fault label=%s cause=%s value=%lx pc=%lx", process_label(p), fault_names[p->fault], p->fault_value,
                p->fault_pc);
}

/*
 * Ends it at once: nobody waits for it any more, its devices are reset, its supervisor knows. Memory is kept until reload, but its
 * registers, which the kernel holds, are gone.
 */
static void stop(struct process *p, uint32_t fault, uint64_t value) {
    p->fault = fault;
    p->fault_value = value;
    p->fault_pc = p->frame.x[REG_PC];
    p->frame = (struct trap_frame){0};
    ipc_peer_stopped(p);
    for (uint32_t i = 0; i < PROCESS_SLOTS; i++) /* whoever has its place next does not pay for what it asked */
        if (processes[i].payer == p->index) processes[i].payer = (uint16_t)i;
    sched_remove(p);
    p->state = STATE_STOPPED;
    p->load_page = 0;
    device_driver_stopped(p);
    region_forget(p);
    cap_drop_all(p);
    p->end_untold = p->orphan;
    if (!p->orphan) say_fault(p);
    if (p->row->flags & IMAGE_ROOT) finish(EXIT_INIT_DIED);
    if (p->supervisor != p->index) notify_signal(&processes[p->supervisor], 1ull << p->index);
}

/* An orphan's end is said later, as lines take longer than all the rest; true if there was something to say. */
bool process_tell_end(struct process *p) {
    if (!p->end_untold) return false;
    p->end_untold = false;
    say_fault(p);
    return true;
}

/* With it end the apps that it spawned; these can have none of their own. */
void process_stop(struct process *p, uint32_t fault, uint64_t value) {
    if (p->state == STATE_STOPPED || p->state == STATE_EMPTY) return;
    stop(p, fault, value);
    for (struct process *child; (child = spawn_next_orphan(p)) != 0;)
        if (child->state != STATE_STOPPED) stop(child, FAULT_KILLED, 0);
}

void process_status_of(const struct process *p, struct process_status *status) {
    bool quiet = p->row->flags & IMAGE_QUIET_FAULT;
    *status = (struct process_status){
        .state = p->state,
        .fault = p->fault,
        .value = quiet && p->fault != FAULT_EXIT ? 0 : p->fault_value,
        .pc = quiet ? 0 : p->fault_pc,
        .cpu_ticks = p->cpu_ticks,
        .service_id = p->service_id,
        .incarnation = p->incarnation,
        .rank = p->rank,
        .frames = p->frames,
        .slots = LIMIT_CAP_SLOTS - p->free_slots,
        .messages = p->messages,
    };
}
