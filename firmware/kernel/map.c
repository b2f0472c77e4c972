/*
 * Sv39 page tables (privileged spec 4.4). The only file that writes page-table entries or satp: map and unmap fence, and so
 * does each switch, because wrong fences pass every test on QEMU and so have to be right by construction.
 */
#include "kernel.h"

enum { PTE_V = 1, PTE_R = 2, PTE_W = 4, PTE_X = 8, PTE_U = 16, PTE_A = 64, PTE_D = 128 };
enum { LEVELS = 3, INDEX_BITS = 9, TABLE_ENTRIES = 512 };
#define SATP_SV39 (8ul << 60)
#define VA_LIMIT (1ul << 38) /* the lower half: user mode has no other */

static uint16_t pool_free[LIMIT_POOL_PAGES];
static uint32_t pool_count;

static inline void fence(void) { __asm__ volatile("sfence.vma" ::: "memory"); }

static uint64_t *table_of(uint64_t pte) { return (uint64_t *)(pte >> 10 << PAGE_SHIFT); }
static uint64_t pte_to(uint64_t pa) { return pa >> PAGE_SHIFT << 10; }
static uint32_t index_at(uint64_t va, int level) { return va >> (PAGE_SHIFT + INDEX_BITS * level) & (TABLE_ENTRIES - 1); }

void map_pool_init(void) {
    pool_count = LIMIT_POOL_PAGES;
    for (uint32_t i = 0; i < LIMIT_POOL_PAGES; i++) pool_free[i] = (uint16_t)(LIMIT_POOL_PAGES - 1 - i);
    frame_set((uint64_t)ld_pool_start, (uint64_t)(ld_pool_end - ld_pool_start), FRAME_TABLE, 0xff);
    frame_set((uint64_t)ld_payload_start, (uint64_t)(ld_payload_end - ld_payload_start), FRAME_IMAGE, 0xff);
}

static uint64_t *pool_take(void) {
    if (pool_count == 0) return 0;
    uint8_t *page = ld_pool_start + (uint64_t)pool_free[--pool_count] * PAGE_BYTES;
    page_zero(page);
    return (uint64_t *)page;
}

uint32_t map_tables_left(void) { return pool_count; }

static void pool_give(uint64_t *page) {
    pool_free[pool_count++] = (uint16_t)(((uint8_t *)page - ld_pool_start) / PAGE_BYTES);
}

bool map_new_space(struct process *p) {
    p->root = pool_take();
    if (p->root == 0) return false;
    p->satp = SATP_SV39 | (uint64_t)p->root >> PAGE_SHIFT;
    return true;
}

/* Gives all tables back; the pages they mapped are the caller's affair. */
void map_free_space(struct process *p) {
    if (p->root == 0) return;
    for (uint32_t i = 0; i < TABLE_ENTRIES; i++) {
        if (!(p->root[i] & PTE_V)) continue;
        uint64_t *middle = table_of(p->root[i]);
        for (uint32_t j = 0; j < TABLE_ENTRIES; j++)
            if (middle[j] & PTE_V) pool_give(table_of(middle[j]));
        pool_give(middle);
    }
    pool_give(p->root);
    p->root = 0;
    fence();
}

/* The entry of a page at the last level; makes tables on the way if asked to. */
static uint64_t *entry_of(const struct process *p, uint64_t va, bool make) {
    if (va >= VA_LIMIT || p->root == 0) return 0;
    uint64_t *table = p->root;
    for (int level = LEVELS - 1; level > 0; level--) {
        uint64_t *entry = &table[index_at(va, level)];
        if (!(*entry & PTE_V)) {
            uint64_t *fresh = make ? pool_take() : 0;
            if (fresh == 0) return 0;
            *entry = pte_to((uint64_t)fresh) | PTE_V;
        }
        table = table_of(*entry);
    }
    return &table[index_at(va, 0)];
}

/* The entry of the page behind the one of `last`, or the first one (0). A table is looked for once for all of its entries. */
static uint64_t *next_entry(struct process *p, uint64_t va, uint64_t *last) {
    uint64_t *entry = last && index_at(va, 0) ? last + 1 : entry_of(p, va, true);
    ASSERT(entry == 0 || !(*entry & PTE_V));
    return entry;
}

/* For user mode. A and D are set: no hart updates them. W and X together are a bug of the kernel. */
static uint64_t leaf_bits(uint32_t access) {
    ASSERT((access & (IMAGE_W | IMAGE_X)) != (IMAGE_W | IMAGE_X));
    return PTE_V | PTE_U | PTE_A | PTE_D | PTE_R | (access & IMAGE_W ? PTE_W : 0) | (access & IMAGE_X ? PTE_X : 0);
}

/* Neighbouring pages. False half-way, when tables run out: what is mapped then is the caller's to take back. */
bool map_run(struct process *p, uint64_t va, uint64_t pa, uint32_t pages, uint32_t access) {
    ASSERT(va % PAGE_BYTES == 0 && pa % PAGE_BYTES == 0);
    uint64_t bits = leaf_bits(access), *entry = 0;
    uint32_t done = 0;
    for (; done < pages && (entry = next_entry(p, va + done * PAGE_BYTES, entry)) != 0; done++)
        *entry = pte_to(pa + done * PAGE_BYTES) | bits;
    fence();
    return done == pages;
}

/* Fresh pages of its own, to read and write. False half-way, as above. */
bool map_fresh(struct process *p, uint64_t va, uint32_t pages, enum frame_type type) {
    ASSERT(va % PAGE_BYTES == 0);
    uint64_t bits = leaf_bits(IMAGE_R | IMAGE_W), *entry = 0;
    uint32_t done = 0;
    const uint8_t *page;
    for (; done < pages && (entry = next_entry(p, va + done * PAGE_BYTES, entry)) != 0; done++) {
        if ((page = frame_take(type, p->index)) == 0) break;
        *entry = pte_to((uint64_t)page) | bits;
    }
    p->frames += done;
    fence();
    return done == pages;
}

bool map_page(struct process *p, uint64_t va, uint64_t pa, uint32_t access) { return map_run(p, va, pa, 1, access); }

/* Unmaps one page; gives its physical address, or 0 if there was none. */
uint64_t map_unmap(struct process *p, uint64_t va) {
    uint64_t *entry = entry_of(p, va, false);
    if (entry == 0 || !(*entry & PTE_V)) return 0;
    uint64_t pa = (uint64_t)table_of(*entry);
    *entry = 0;
    fence();
    return pa;
}

/* Physical address behind a user address that has at least this access; 0 if not. */
uint64_t map_find(const struct process *p, uint64_t va, uint32_t access) {
    const uint64_t *entry = entry_of(p, va, false);
    if (entry == 0) return 0;
    uint64_t need = PTE_V | PTE_U | PTE_R | (access & IMAGE_W ? PTE_W : 0);
    if ((*entry & need) != need) return 0;
    return (uint64_t)table_of(*entry) + va % PAGE_BYTES;
}

void map_switch(uint64_t satp) {
    CSR_WRITE(satp, satp);
    fence();
}

/* After code has been written to memory that becomes executable (an app is loaded). */
void map_sync_code(void) { __asm__ volatile("fence.i" ::: "memory"); }
