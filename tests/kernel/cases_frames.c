/*
 * The frame table: no page is handed out twice or lost, each has the owner and the type it was taken for, and what a process maps
 * is only what may be there.
 */
#include "host.h"

enum { PTE_V = 1, PTE_R = 2, PTE_W = 4, PTE_X = 8, PTE_U = 16, ENTRIES = 512 }; /* privileged spec, 4.3.1 */

static void check_leaf(const struct process *p, uint64_t pte) {
    uint64_t pa = pte >> 10 << 12;
    const struct frame *frame = frame_of(pa);
    CHECK((pte & (PTE_W | PTE_X)) != (PTE_W | PTE_X));
    CHECK(pte & PTE_U && pte & PTE_R);
    if (frame == 0) { /* the one device window of this system, read-only, its driver's */
        CHECK(p->index == SERVER && pa == devices[0].base && !(pte & (PTE_W | PTE_X)));
        return;
    }
    switch (frame->type) {
    case FRAME_USER: case FRAME_IPC: case FRAME_KEPT: CHECK_EQ(frame->owner, p->index); CHECK(!(pte & PTE_X)); break;
    case FRAME_IMAGE: CHECK(!(pte & PTE_W)); break;
    case FRAME_DMA: CHECK_EQ(frame->owner, p->index); break;
    case FRAME_REGION: CHECK(!(pte & PTE_X)); break;
    default: FAIL("process %u maps a page of type %u", p->index, frame->type);
    }
}

static void check_space(const struct process *p) {
    for (uint32_t i = 0; i < ENTRIES; i++) {
        const uint64_t *middle = (const uint64_t *)(p->root[i] >> 10 << 12);
        for (uint32_t j = 0; p->root[i] & PTE_V && j < ENTRIES; j++) {
            const uint64_t *last = (const uint64_t *)(middle[j] >> 10 << 12);
            for (uint32_t k = 0; middle[j] & PTE_V && k < ENTRIES; k++)
                if (last[k] & PTE_V) check_leaf(p, last[k]);
        }
    }
}

void check_frames(void) {
    for (uint32_t i = 0; i < PROCESS_SLOTS; i++)
        if (processes[i].state != STATE_EMPTY && processes[i].root) check_space(&processes[i]);
}

CASE(a_booted_system_maps_only_what_may_be_mapped) {
    boot();
    check_frames();
    for (uint32_t i = 0; i < SYSTEM_PROCESSES; i++) CHECK(map_find(proc(i), 0, IMAGE_R) == 0);
    CHECK(map_find(proc(CLIENT), VA_DEVICE, IMAGE_R) == 0 && map_find(proc(CLIENT), VA_DMA, IMAGE_R) == 0);
    CHECK(map_find(proc(SERVER), VA_DEVICE, IMAGE_R) != 0 && map_find(proc(SERVER), VA_DEVICE, IMAGE_W) == 0);
    CHECK(map_find(proc(CLIENT), VA_STACK_TOP, IMAGE_R) == 0 && map_find(proc(CLIENT), VA_STACK_TOP - 8192, IMAGE_R) == 0);
}

static void start_frames(uint32_t pages) {
    uint64_t first = (uint64_t)ld_payload_end;
    frame_init(first, first - RAM_BASE + pages * PAGE_BYTES);
    CHECK_EQ(frame_free_count(), pages);
}

CASE(no_page_is_handed_out_twice) {
    enum { PAGES = 200 };
    start_frames(PAGES);
    bool taken[PAGES] = {false};
    for (uint32_t i = 0; i < PAGES; i++) {
        uint8_t *page = frame_take(FRAME_USER, 3);
        uint64_t number = (uint64_t)(page - ld_payload_end) / PAGE_BYTES;
        CHECK(page != 0 && number < PAGES && (uint64_t)page % PAGE_BYTES == 0 && !taken[number]);
        taken[number] = true;
        CHECK_EQ(frame_free_count(), PAGES - 1 - i);
    }
    CHECK(frame_take(FRAME_USER, 3) == 0);
    CHECK(frame_take_run(1, FRAME_USER, 3) == 0);
    CHECK_EQ(frame_free_count(), 0);
}

CASE(pages_come_back_and_are_found_again) {
    enum { PAGES = 64 };
    start_frames(PAGES);
    uint8_t *held[PAGES];
    uint32_t count = 0, random = 7;
    for (uint32_t i = 0; i < 20000; i++) {
        random = random * 1664525 + 1013904223;
        if (random >> 31 || count == 0) {
            uint8_t *page = frame_take(FRAME_USER, i % 200);
            CHECK((page == 0) == (count == PAGES));
            if (page == 0) continue;
            for (uint32_t k = 0; k < count; k++) CHECK(held[k] != page);
            CHECK(frame_of((uint64_t)page)->type == FRAME_USER && frame_of((uint64_t)page)->owner == i % 200);
            held[count++] = page;
        } else {
            uint32_t which = (random >> 8) % count;
            frame_give(held[which]);
            CHECK(frame_of((uint64_t)held[which])->type == FRAME_FREE && frame_of((uint64_t)held[which])->owner == 0xff);
            held[which] = held[--count];
        }
        CHECK_EQ(frame_free_count(), PAGES - count);
    }
}

CASE(a_run_is_of_neighbours_never_used_before) {
    start_frames(10);
    uint8_t *one = frame_take(FRAME_USER, 1), *run = frame_take_run(4, FRAME_DMA, 2);
    CHECK(run == one + PAGE_BYTES);
    frame_give(one);
    CHECK(frame_take_run(6, FRAME_REGION, 2) == 0); /* five fresh ones and a used one are no run of six */
    CHECK_EQ(frame_free_count(), 6);
    CHECK(frame_take_run(5, FRAME_REGION, 2) == run + 4 * PAGE_BYTES);
    for (uint32_t i = 0; i < 4; i++) CHECK_EQ(frame_of((uint64_t)run + i * PAGE_BYTES)->type, FRAME_DMA);
    CHECK(frame_take(FRAME_USER, 1) == one);
}

CASE(what_is_no_ram_has_no_frame) {
    start_frames(10);
    uint64_t end = (uint64_t)ld_payload_end + 10 * PAGE_BYTES;
    CHECK(frame_of(RAM_BASE - 1) == 0 && frame_of(0) == 0 && frame_of(VIRTIO_BASE) == 0);
    CHECK(frame_of(end) == 0 && frame_of(end - 1) != 0 && frame_of(~0ull) == 0);
    CHECK_EQ(frame_of(RAM_BASE)->type, FRAME_KERNEL);
    CHECK_EQ(frame_of((uint64_t)ld_payload_end - 1)->type, FRAME_KERNEL);
    CHECK_EQ(frame_of((uint64_t)ld_payload_end)->type, FRAME_FREE);
}

CASE(more_ram_than_the_table_covers_is_refused) {
    frame_init((uint64_t)ld_payload_end, LIMIT_RAM_FRAMES * PAGE_BYTES);
    CHECK_ENDS(frame_init((uint64_t)ld_payload_end, (LIMIT_RAM_FRAMES + 1) * PAGE_BYTES));
}

static void check_not_given(enum frame_type type) {
    start_frames(4);
    uint8_t *page = frame_take_run(1, type, 1);
    CHECK_ENDS(frame_give(page));
    CHECK_EQ(frame_of((uint64_t)page)->type, type);
    CHECK_EQ(frame_free_count(), 3);
}

CASE(dma_pages_never_come_back) { check_not_given(FRAME_DMA); }
CASE(kernel_pages_never_come_back) { check_not_given(FRAME_KERNEL); }

CASE(a_page_given_twice_is_a_bug_of_the_kernel) {
    start_frames(4);
    uint8_t *page = frame_take(FRAME_USER, 1);
    frame_give(page);
    CHECK_ENDS(frame_give(page));
    CHECK_EQ(frame_free_count(), 4);
}

CASE(zeroing_and_copying_touch_exactly_one_page) {
    static _Alignas(4096) uint8_t area[3][4096], other[4096];
    for (uint32_t i = 0; i < 3; i++) memset(area[i], 0xaa + (int)i, 4096);
    page_zero(area[1]);
    for (uint32_t i = 0; i < 4096; i++) CHECK(area[0][i] == 0xaa && area[1][i] == 0 && area[2][i] == 0xac);
    for (uint32_t i = 0; i < 4096; i++) other[i] = (uint8_t)(i * 3);
    page_copy(area[1], other);
    for (uint32_t i = 0; i < 4096; i++) CHECK(area[0][i] == 0xaa && area[1][i] == (uint8_t)(i * 3) && area[2][i] == 0xac);
}
