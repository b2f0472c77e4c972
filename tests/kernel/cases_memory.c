/*
 * User memory and page tables: the kernel reads and writes for a process only what is wholly that process's own RAM, checks before
 * the first byte moves, and never maps a page writable and executable.
 */
#include "host.h"

static status_t in(struct process *p, uint64_t va, uint64_t bytes) {
    static uint8_t to[16384];
    memset(to, 0x5a, sizeof to);
    status_t status = copy_in(p, to, (user_ptr){va}, bytes);
    for (uint64_t i = status == E_OK ? bytes : 0; i < sizeof to; i++) CHECK_EQ(to[i], 0x5a);
    return status;
}

static status_t out(struct process *p, uint64_t va, uint64_t bytes) {
    static const uint8_t from[16384];
    return copy_out(p, (user_ptr){va}, from, bytes);
}

CASE(own_memory_may_be_read_and_written) {
    boot();
    struct process *p = proc(MIDDLE);
    CHECK_EQ(in(p, VA_HEAP, 8192), E_OK);
    CHECK_EQ(out(p, VA_HEAP + 1, 8191), E_OK);
    CHECK_EQ(in(p, VA_STACK_TOP - 1, 1), E_OK);
    CHECK_EQ(out(p, VA_IPC + 100, 3000), E_OK);
    CHECK_EQ(out(p, VA_KEPT, PAGE_BYTES), E_OK);
    CHECK_EQ(in(p, VA_IMAGE, 100), E_OK);
    CHECK_EQ(in(p, VA_IMAGE + 0x1000, 100), E_OK);
    CHECK_EQ(out(p, VA_IMAGE + 0x2000, 100), E_OK);
    CHECK_EQ(in(p, VA_ROMFS, 5000), E_OK);
}

CASE(every_wrong_pointer_is_refused) {
    boot();
    struct process *p = proc(SERVER);
    static const struct { uint64_t va, bytes; } rows[] = {
        {0, 1}, {8, 8}, {0xfff, 2}, {VA_HEAP - 1, 1}, {VA_HEAP + 8192, 1}, {VA_HEAP + 8191, 2}, {VA_HEAP - 4, 8},
        {VA_STACK_TOP, 1}, {VA_STACK_TOP - 4096 - 8, 16}, {VA_IPC + 4095, 2}, {VA_HEAP, 0}, {VA_HEAP, 1ull << 40}, {VA_HEAP, ~0ull},
        {~0ull, 1}, {~0ull, 2}, {~0ull - 7, 16}, {1ull << 38, 8}, {1ull << 39, 8}, {VA_HEAP | 1ull << 38, 8}, {VA_HEAP | 1ull << 63, 8},
        {VA_KEPT, 8}, {VA_REGION, 8}, {VA_POLICY, 8},
        {VA_DEVICE, 4}, {VA_DMA, 8}, {VA_DMA + DMA_BYTES - 1, 1}, /* mapped, but not RAM for the kernel to follow */
        {0x80000000, 8}, {0x10000000 - 1, 1}, {UART_BASE + 0x1000, 1},
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_EQ(in(p, rows[i].va, rows[i].bytes), E_BAD_POINTER);
        CHECK_EQ(out(p, rows[i].va, rows[i].bytes), E_BAD_POINTER);
    }
}

CASE(read_only_memory_is_not_written) {
    boot();
    struct process *p = proc(CLIENT);
    CHECK_EQ(out(p, VA_IMAGE, 1), E_BAD_POINTER);
    CHECK_EQ(out(p, VA_IMAGE + 0x1fff, 2), E_BAD_POINTER);
    CHECK_EQ(out(p, VA_ROMFS + 16, 8), E_BAD_POINTER);
    CHECK_EQ(user(p, VA_IMAGE)[0], 1);
}

/* Should a page of the kernel's ever be mapped by mistake, its type still refuses it. */
CASE(the_type_of_a_frame_counts_not_only_the_mapping) {
    boot();
    struct process *p = proc(CLIENT);
    uint8_t *frame = frame_take(FRAME_RINGS, 0xff);
    const uint64_t pages[] = {(uint64_t)host_ram, (uint64_t)ld_pool_start, (uint64_t)devices[0].dma, (uint64_t)frame, VIRTIO_BASE};
    for (uint32_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        uint64_t va = VA_REGION + i * PAGE_BYTES;
        CHECK(map_page(p, va, pages[i], IMAGE_R | IMAGE_W));
        CHECK_EQ(in(p, va, 8), E_BAD_POINTER);
        CHECK_EQ(out(p, va, 8), E_BAD_POINTER);
    }
    CHECK(map_page(p, VA_REGION + 5 * PAGE_BYTES, (uint64_t)ld_payload_start, IMAGE_R | IMAGE_W));
    CHECK_EQ(in(p, VA_REGION + 5 * PAGE_BYTES, 8), E_OK);
    CHECK_EQ(out(p, VA_REGION + 5 * PAGE_BYTES, 8), E_BAD_POINTER);
}

CASE(a_copy_is_whole_or_nothing) {
    boot();
    struct process *p = proc(CLIENT);
    memset(user(p, VA_HEAP + 4096), 0x42, PAGE_BYTES);
    CHECK_EQ(out(p, VA_HEAP + 8192 - 16, 17), E_BAD_POINTER);
    for (uint32_t i = 0; i < PAGE_BYTES; i++) CHECK_EQ(user(p, VA_HEAP + 4096)[i], 0x42);
    CHECK_EQ(out(p, VA_HEAP + 4096 + 10, 20), E_OK);
    for (uint32_t i = 0; i < PAGE_BYTES; i++) CHECK_EQ(user(p, VA_HEAP + 4096)[i], i >= 10 && i < 30 ? 0 : 0x42);
}

CASE(a_copy_across_pages_is_in_order) {
    boot();
    struct process *p = proc(MIDDLE);
    uint8_t there[6000], back[6000];
    for (uint32_t shift = 0; shift < 3; shift++) {
        for (uint32_t i = 0; i < sizeof there; i++) there[i] = (uint8_t)(i * 11 + (i >> 8) + shift);
        memset(back, 0, sizeof back);
        CHECK_EQ(copy_out(p, (user_ptr){VA_HEAP + 700 + shift}, there, sizeof there), E_OK);
        CHECK_EQ(copy_in(p, back, (user_ptr){VA_HEAP + 700 + shift}, sizeof back), E_OK);
        CHECK(memcmp(there, back, sizeof there) == 0);
        for (uint32_t i = 0; i < sizeof there; i++) CHECK_EQ(*user(p, VA_HEAP + 700 + shift + i), there[i]);
    }
}

CASE(a_system_call_refuses_wrong_pointers) {
    boot();
    struct process_status status;
    CHECK_EQ(sys(proc(CLIENT), SYS_CONSOLE_WRITE, H_CONSOLE, VA_HEAP + 8190, 10), E_BAD_POINTER);
    CHECK_EQ(sys(proc(CLIENT), SYS_CONSOLE_WRITE, H_CONSOLE, 0, 10), E_BAD_POINTER);
    CHECK_EQ(sys(proc(CLIENT), SYS_CONSOLE_WRITE, H_CONSOLE, VA_HEAP, LIMIT_WRITE_BYTES + 1), E_BAD_ARGUMENT);
    CHECK_EQ(sys(proc(ROOT), SYS_SUPERVISE, H_SUPERVISE_CLIENT, SUP_STATUS, VA_IMAGE, sizeof status), E_BAD_POINTER);
    CHECK_EQ(sys(proc(ROOT), SYS_SUPERVISE, H_SUPERVISE_CLIENT, SUP_STATUS, VA_HEAP, sizeof status + 1), E_BAD_ARGUMENT);
    CHECK_EQ(sys(proc(ROOT), SYS_SYSTEM, H_SYSTEM, SYSTEM_PROCESS, 0, VA_ROMFS), E_BAD_POINTER);
    CHECK_EQ(sys(proc(ROOT), SYS_SYSTEM, H_SYSTEM, SYSTEM_PROCESS, PROCESS_SLOTS, VA_HEAP), E_BAD_ARGUMENT);
    CHECK_EQ(sys(proc(ROOT), SYS_SYSTEM, H_SYSTEM, SYSTEM_PROCESS, APP, VA_HEAP), E_BAD_ARGUMENT);
}

/* --- page tables --- */

CASE(no_page_is_writable_and_executable) {
    boot();
    CHECK_ENDS((void)map_page(proc(CLIENT), VA_REGION, (uint64_t)ld_payload_start, IMAGE_R | IMAGE_W | IMAGE_X));
    CHECK(map_find(proc(CLIENT), VA_REGION, IMAGE_R) == 0);
}

CASE(a_page_is_mapped_once_and_aligned) {
    boot();
    CHECK_ENDS((void)map_page(proc(CLIENT), VA_HEAP, (uint64_t)ld_payload_start, IMAGE_R));
    CHECK_ENDS((void)map_page(proc(CLIENT), VA_REGION + 8, (uint64_t)ld_payload_start, IMAGE_R));
    CHECK_ENDS((void)map_page(proc(CLIENT), VA_REGION, (uint64_t)ld_payload_start + 8, IMAGE_R));
}

CASE(mapping_ends_when_the_tables_are_used_up) {
    boot();
    struct process *p = proc(CLIENT);
    uint32_t left = map_tables_left(), mapped = 0;
    for (uint64_t va = 1ull << 32; map_page(p, va, (uint64_t)ld_payload_start, IMAGE_R); va += 1ull << 21) mapped++;
    CHECK(mapped > 0 && mapped <= left);
    CHECK_EQ(map_tables_left(), 0);
    CHECK(!map_new_space(proc(PROCESS_SLOTS - 1)));
    map_free_space(p);
    CHECK(map_tables_left() > left);
    CHECK(map_find(p, VA_HEAP, IMAGE_R) == 0);
}

CASE(one_process_maps_nothing_of_another) {
    boot();
    for (uint32_t i = 0; i < SYSTEM_PROCESSES; i++)
        for (uint32_t j = 0; j < i; j++) {
            CHECK(user(proc(i), VA_HEAP) != user(proc(j), VA_HEAP));
            CHECK(proc(i)->ipc != proc(j)->ipc && proc(i)->satp != proc(j)->satp);
            CHECK(user(proc(i), VA_IMAGE) == user(proc(j), VA_IMAGE));
        }
}

/* --- regions --- */

static uint32_t map_region(struct process *p, uint64_t handle, uint64_t write) {
    uint32_t status;
    do status = sys(p, SYS_REGION_MAP, handle, write); while (status == E_AGAIN);
    return status;
}

static uint32_t free_region(struct process *p, uint64_t handle) {
    uint32_t status;
    do status = sys(p, SYS_REGION_FREE, handle); while (status == E_AGAIN);
    return status;
}

CASE(a_region_is_zero_at_first_and_then_what_was_written) {
    boot();
    struct process *p = proc(MIDDLE);
    memset(regions[WORK_REGION].base, 0x99, WORK_PAGES * PAGE_BYTES);
    CHECK_EQ(map_region(p, H_REGION, 1), E_OK);
    CHECK_EQ(reg(p, 1), VA_REGION + WORK_REGION * VA_REGION_STRIDE);
    CHECK_EQ(reg(p, 2), WORK_PAGES * PAGE_BYTES);
    for (uint32_t i = 0; i < WORK_PAGES * PAGE_BYTES; i++) CHECK_EQ(user(p, VA_REGION + i)[0], 0);
    user(p, VA_REGION)[5] = 77;
    CHECK_EQ(map_region(p, H_REGION, 0), E_STATE);
    CHECK_EQ(sys(p, SYS_REGION_UNMAP, H_REGION), E_OK);
    CHECK(map_find(p, VA_REGION, IMAGE_R) == 0);
    CHECK_EQ(map_region(p, H_REGION, 0), E_OK);
    CHECK_EQ(user(p, VA_REGION)[5], 77);
    CHECK(map_find(p, VA_REGION, IMAGE_W) == 0);
    check_frames();
}

CASE(a_sealed_region_is_never_written_again) {
    boot();
    struct process *p = proc(MIDDLE), *other = proc(CLIENT);
    uint32_t writer = give(other, OBJ_REGION, RIGHT_MAP_R | RIGHT_MAP_W, WORK_REGION, 0);
    CHECK_EQ(sys(p, SYS_REGION_SEAL, H_REGION), E_STATE); /* not zero yet */
    CHECK_EQ(map_region(p, H_REGION, 1), E_OK);
    CHECK_EQ(map_region(other, writer, 1), E_OK);
    CHECK_EQ(sys(p, SYS_REGION_SEAL, H_REGION), E_STATE); /* somebody else can still write */
    CHECK_EQ(sys(other, SYS_REGION_UNMAP, writer), E_OK);
    CHECK_EQ(sys(p, SYS_REGION_SEAL, H_REGION), E_OK);
    CHECK(map_find(p, VA_REGION, IMAGE_R) == 0);
    CHECK_EQ(sys(p, SYS_REGION_SEAL, H_REGION), E_SEALED);
    CHECK_EQ(map_region(p, H_REGION, 1), E_SEALED);
    CHECK_EQ(map_region(other, writer, 1), E_SEALED);
    CHECK_EQ(map_region(other, writer, 0), E_OK);
    CHECK_EQ(sys(p, SYS_REGION_MAP, H_REGION, 2), E_BAD_ARGUMENT);
}

CASE(a_region_is_freed_by_its_owner_when_nobody_else_has_it) {
    boot();
    struct process *p = proc(MIDDLE), *other = proc(CLIENT);
    uint32_t handle = give(other, OBJ_REGION, RIGHT_MAP_R | RIGHT_MAP_W, WORK_REGION, 0);
    CHECK_EQ(map_region(p, H_REGION, 1), E_OK);
    memset(user(p, VA_REGION), 0x66, PAGE_BYTES);
    CHECK_EQ(sys(p, SYS_REGION_SEAL, H_REGION), E_OK);
    CHECK_EQ(free_region(other, handle), E_BAD_RIGHT);
    CHECK_EQ(free_region(p, H_REGION), E_STATE);
    CHECK_EQ(map_region(other, handle, 0), E_OK);
    CHECK_EQ(sys(other, SYS_CAP_DROP, handle), E_OK);
    CHECK_EQ(free_region(p, H_REGION), E_STATE); /* still mapped over there */
    kill_process(CLIENT);
    CHECK_EQ(free_region(p, H_REGION), E_OK);
    CHECK_EQ(map_region(p, H_REGION, 1), E_OK);
    for (uint32_t i = 0; i < PAGE_BYTES; i++) CHECK_EQ(user(p, VA_REGION)[i], 0);
}

CASE(a_region_is_mapped_only_when_all_of_it_is_zero) {
    boot();
    struct process *p = proc(MIDDLE);
    uint8_t *base = regions[WORK_REGION].base;
    memset(base, 0x99, WORK_PAGES * PAGE_BYTES);
    CHECK_EQ(sys(p, SYS_REGION_MAP, H_REGION, 1), E_AGAIN);
    CHECK(map_find(p, VA_REGION, IMAGE_R) == 0);
    CHECK(base[0] == 0 && base[WORK_PAGES * PAGE_BYTES - 1] == 0x99);
    CHECK_EQ(sys(p, SYS_REGION_SEAL, H_REGION), E_STATE);
    CHECK_EQ(sys(p, SYS_REGION_MAP, H_REGION, 1), E_OK);
    for (uint32_t i = 0; i < WORK_PAGES * PAGE_BYTES; i++) CHECK_EQ(base[i], 0);
}

CASE(freeing_takes_the_owners_own_mapping_too) {
    boot();
    struct process *p = proc(MIDDLE);
    CHECK_EQ(map_region(p, H_REGION, 1), E_OK);
    memset(user(p, VA_REGION + 5 * PAGE_BYTES), 0x66, PAGE_BYTES);
    CHECK_EQ(sys(p, SYS_REGION_FREE, H_REGION), E_AGAIN);
    CHECK(map_find(p, VA_REGION, IMAGE_R) == 0);
    CHECK_EQ(sys(p, SYS_REGION_SEAL, H_REGION), E_STATE);
    CHECK_EQ(free_region(p, H_REGION), E_OK);
    for (uint32_t i = 0; i < WORK_PAGES * PAGE_BYTES; i++) CHECK_EQ(regions[WORK_REGION].base[i], 0);
}

CASE(who_has_unmapped_a_region_does_not_hold_it) {
    boot();
    struct process *p = proc(MIDDLE), *other = proc(CLIENT);
    uint32_t handle = give(other, OBJ_REGION, RIGHT_MAP_R | RIGHT_MAP_W, WORK_REGION, 0);
    for (uint64_t write = 0; write < 2; write++) {
        CHECK_EQ(map_region(other, handle, write), E_OK);
        CHECK_EQ(sys(other, SYS_REGION_UNMAP, handle), E_OK);
        CHECK_EQ(sys(other, SYS_REGION_UNMAP, handle), E_OK);
    }
    CHECK_EQ(sys(other, SYS_CAP_DROP, handle), E_OK);
    CHECK_EQ(free_region(p, H_REGION), E_OK);
}

CASE(a_restarted_process_maps_no_region_of_its_old_life) {
    boot();
    struct process *p = proc(MIDDLE);
    CHECK_EQ(map_region(p, H_REGION, 1), E_OK);
    restart(MIDDLE);
    CHECK(map_find(p, VA_REGION, IMAGE_R) == 0);
    CHECK_EQ(regions[WORK_REGION].writers, 0);
    CHECK_EQ(map_region(p, H_REGION, 1), E_OK);
    check_frames();
}
