/*
 * The frame table: every page of RAM has an owner and a type. Called by boot, spawn and device code; the only allocator of
 * the kernel. Also compiled for the host, where tests bring their own RAM. A taken page is not zeroed here: loading does that.
 */
#include "kernel.h"

static struct frame table[LIMIT_RAM_FRAMES];
static uint64_t bump, ram_end; /* pages from bump to ram_end have never been taken */
static uint16_t free_head;
static uint32_t free_count;
enum { LIST_END = 0xffff, KERNEL_OWNER = 0xff };
_Static_assert(LIMIT_RAM_FRAMES <= LIST_END, "frame.next is 16 bits");

static uint32_t number(uint64_t address) { return (uint32_t)((address - RAM_BASE) >> PAGE_SHIFT); }
static uint8_t *page_at(uint32_t n) { return (uint8_t *)(RAM_BASE + ((uint64_t)n << PAGE_SHIFT)); }

void frame_init(uint64_t first_free, uint64_t ram_bytes) {
    ASSERT(ram_bytes >> PAGE_SHIFT <= LIMIT_RAM_FRAMES);
    bump = first_free;
    ram_end = RAM_BASE + ram_bytes;
    free_head = LIST_END;
    free_count = 0;
    frame_set(RAM_BASE, first_free - RAM_BASE, FRAME_KERNEL, KERNEL_OWNER);
}

void frame_set(uint64_t address, uint64_t bytes, enum frame_type type, uint32_t owner) {
    for (uint64_t at = address; at < address + bytes; at += PAGE_BYTES) {
        table[number(at)].type = (uint8_t)type;
        table[number(at)].owner = (uint8_t)owner;
    }
}

/* The frame of an address, or 0 where there is no RAM. */
const struct frame *frame_of(uint64_t address) {
    if (address < RAM_BASE || address >= ram_end) return 0;
    return &table[number(address)];
}

uint32_t frame_free_count(void) { return free_count + (uint32_t)((ram_end - bump) >> PAGE_SHIFT); }

/* One page, or 0 when memory is exhausted. */
uint8_t *frame_take(enum frame_type type, uint32_t owner) {
    if (free_head == LIST_END) return frame_take_run(1, type, owner);
    uint8_t *page = page_at(free_head);
    free_head = table[free_head].next;
    free_count--;
    frame_set((uint64_t)page, PAGE_BYTES, type, owner);
    return page;
}

/* Neighbouring pages, which devices and regions need; only from memory never taken before. */
uint8_t *frame_take_run(uint32_t pages, enum frame_type type, uint32_t owner) {
    uint64_t bytes = (uint64_t)pages << PAGE_SHIFT;
    if (ram_end - bump < bytes) return 0;
    uint8_t *run = (uint8_t *)bump;
    bump += bytes;
    frame_set((uint64_t)run, bytes, type, owner);
    return run;
}

/* Back to the pool. DMA pages never come here: a device may still know their address. */
void frame_give(uint8_t *page) {
    struct frame *frame = &table[number((uint64_t)page)];
    ASSERT(frame->type != FRAME_FREE && frame->type != FRAME_DMA && frame->type != FRAME_KERNEL);
    frame->type = FRAME_FREE;
    frame->owner = KERNEL_OWNER;
    frame->next = free_head;
    free_head = (uint16_t)number((uint64_t)page);
    free_count++;
}

void page_zero(uint8_t *page) {
    for (uint64_t *word = (uint64_t *)page, *end = word + PAGE_BYTES / 8; word < end; word += 8) {
        word[0] = 0; word[1] = 0; word[2] = 0; word[3] = 0;
        word[4] = 0; word[5] = 0; word[6] = 0; word[7] = 0;
    }
}

void page_copy(uint8_t *to, const uint8_t *from) {
    uint64_t *out = (uint64_t *)to;
    const uint64_t *in = (const uint64_t *)from;
    for (uint32_t i = 0; i < PAGE_BYTES / 8; i += 4) {
        out[i] = in[i]; out[i + 1] = in[i + 1]; out[i + 2] = in[i + 2]; out[i + 3] = in[i + 3];
    }
}
