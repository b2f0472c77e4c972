/*
 * Memory regions: filled by one process, sealed, then only read. Called by syscall.c. Once sealed no write mapping exists and
 * none can be made, so what was verified is what runs.
 */
#include "kernel.h"

struct region regions[LIMIT_REGIONS];

void region_init(void) {
    for (uint32_t i = 0; i < image.region_count; i++) {
        struct region *r = &regions[i];
        r->owner = (uint16_t)image.regions[i].owner;
        r->pages = image.regions[i].pages;
        r->base = frame_take_run(r->pages, FRAME_REGION, r->owner);
        ASSERT(r->base != 0 && r->pages <= LIMIT_REGION_PAGES);
        r->wiping = true; /* what a reset left in RAM goes before the first mapping */
    }
}

void region_ref(uint16_t region, int change) {
    if (region < LIMIT_REGIONS) regions[region].refs += (uint32_t)change;
}

static uint64_t address_of(uint32_t region) { return VA_REGION + region * (uint64_t)VA_REGION_STRIDE; }

static status_t find(struct process *p, uint8_t right, uint32_t *number) {
    struct cap *cap;
    status_t status = cap_find(p, p->frame.x[REG_A0], OBJ_REGION, right, &cap);
    if (status == E_OK) *number = cap->object;
    return status;
}

static void unmap(struct process *p, uint32_t number) {
    struct region *r = &regions[number];
    uint64_t bit = 1ull << p->index;
    if (!((r->readers | r->writers) & bit)) return;
    for (uint32_t i = 0; i < r->pages; i++) map_unmap(p, address_of(number) + i * PAGE_BYTES);
    r->readers &= ~bit;
    r->writers &= ~bit;
}

/* A few pages of zeroes; E_AGAIN until the whole region is. */
static status_t wipe_step(struct region *r) {
    for (uint32_t i = 0; i < LIMIT_LOAD_STEP_PAGES; i++) {
        if (r->wipe_page == r->pages) {
            r->wipe_page = 0;
            r->wiping = false;
            return E_OK;
        }
        page_zero(r->base + r->wipe_page++ * PAGE_BYTES);
    }
    return E_AGAIN;
}

static status_t map_all(struct process *p, uint32_t number, uint32_t access) {
    struct region *r = &regions[number];
    if (map_run(p, address_of(number), (uint64_t)r->base, r->pages, access)) return E_OK;
    for (uint32_t i = 0; i < r->pages; i++) map_unmap(p, address_of(number) + i * PAGE_BYTES);
    return E_FULL;
}

status_t region_map(struct process *p) {
    uint64_t write = p->frame.x[REG_A1];
    uint32_t number;
    if (write > 1) return E_BAD_ARGUMENT;
    status_t status = find(p, write ? RIGHT_MAP_W : RIGHT_MAP_R, &number);
    if (status != E_OK) return status;
    struct region *r = &regions[number];
    uint64_t bit = 1ull << p->index;
    if (write && r->sealed) return E_SEALED;
    if ((r->readers | r->writers) & bit) return E_STATE;
    if (r->wiping) {
        status = wipe_step(r);
        if (status != E_OK) return status;
    }
    status = map_all(p, number, write ? IMAGE_R | IMAGE_W : IMAGE_R);
    if (status != E_OK) return status;
    if (write) r->writers |= bit; else r->readers |= bit;
    p->frame.x[REG_A1] = address_of(number);
    p->frame.x[REG_A2] = r->pages * PAGE_BYTES;
    return E_OK;
}

status_t region_unmap(struct process *p) {
    uint32_t number;
    status_t status = find(p, 0, &number);
    if (status == E_OK) unmap(p, number);
    return status;
}

/* For ever: the caller's own write mapping goes, another's refuses it. */
status_t region_seal(struct process *p) {
    uint32_t number;
    status_t status = find(p, RIGHT_MAP_W, &number);
    if (status != E_OK) return status;
    struct region *r = &regions[number];
    if (r->sealed) return E_SEALED;
    if (r->writers & ~(1ull << p->index) || r->wiping) return E_STATE;
    unmap(p, number);
    r->sealed = true;
    return E_OK;
}

/* Empty, zeroed and writable again, once only the caller still has a capability and nobody maps it or runs from it. */
status_t region_free(struct process *p) {
    uint32_t number;
    status_t status = find(p, RIGHT_MAP_W, &number);
    if (status != E_OK) return status;
    struct region *r = &regions[number];
    uint64_t others = ~(1ull << p->index);
    if (r->owner != p->index) return E_BAD_RIGHT;
    if (r->refs > 1 || (r->readers | r->writers) & others) return E_STATE;
    unmap(p, number);
    r->wiping = true;
    status = wipe_step(r);
    if (status == E_OK) r->sealed = false;
    return status;
}

/* p has stopped and counts as having nothing mapped; its entries go before it runs again, one region at a time. */
void region_forget(struct process *p) {
    uint64_t bit = 1ull << p->index;
    for (uint32_t i = 0; i < image.region_count; i++) {
        struct region *r = &regions[i];
        if (!((r->readers | r->writers) & bit)) continue;
        r->readers &= ~bit;
        r->writers &= ~bit;
        p->stale_regions |= 1u << i;
    }
}

/* The entries of one region that a stopped process left; false when there are none. */
bool region_unmap_stale(struct process *p) {
    if (p->stale_regions == 0) return false;
    uint32_t number = high_bit(p->stale_regions);
    for (uint32_t i = 0; i < regions[number].pages; i++) map_unmap(p, address_of(number) + i * PAGE_BYTES);
    p->stale_regions &= ~(1u << number);
    return true;
}
