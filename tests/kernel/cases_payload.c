/* A reply's payload out of the DMA window: exactly the bytes named, nothing outside the window, and no copy left behind. */
#include "host.h"

static uint64_t serve(void) {
    CHECK_EQ(call(proc(CLIENT), H_SERVER, .within = 1000), BLOCKED);
    CHECK_EQ(receive(proc(SERVER), 0), E_OK);
    return got_reply(proc(SERVER));
}

static void fill_window(void) {
    for (uint32_t i = 0; i < DMA_BYTES; i++) devices[0].dma[i] = (uint8_t)(i % 251 + 1);
}

static void check_window(uint32_t offset, uint32_t count) {
    for (uint32_t i = 0; i < DMA_BYTES; i++) {
        bool wiped = i >= offset && i < offset + count;
        CHECK_EQ(devices[0].dma[i], wiped ? 0 : i % 251 + 1);
    }
}

CASE(a_payload_arrives_behind_the_message_and_is_wiped) {
    boot();
    static const struct { uint32_t bytes, offset, count; } rows[] = {
        {0, 0, 1}, {8, 0, 32}, {8, 100, 256}, {0, 0, 512}, {512 - 3, 77, 3}, {13, DMA_BYTES - 1, 1}, {8, DMA_BYTES - 504, 504},
    };
    for (uint32_t n = 0; n < sizeof rows / sizeof *rows; n++) {
        uint64_t handle = serve();
        fill_window();
        fill(proc(SERVER), 0x5a);
        fill(proc(CLIENT), 0x11);
        uint32_t end = rows[n].bytes + rows[n].count;
        CHECK_EQ(reply(proc(SERVER), handle, .bytes = rows[n].bytes, .dma = H_DMA, .offset = rows[n].offset, .count = rows[n].count), E_OK);
        CHECK_EQ(got_bytes(proc(CLIENT)), end);
        for (uint32_t i = 0; i < IPC_DATA_BYTES; i++) {
            uint32_t expected = i < rows[n].bytes ? 0x5a : i < end ? (rows[n].offset + i - rows[n].bytes) % 251 + 1 : 0x11;
            CHECK_EQ(data_of(proc(CLIENT))[i], expected);
        }
        check_window(rows[n].offset, rows[n].count);
    }
}

CASE(a_payload_outside_the_window_is_refused) {
    boot();
    uint64_t handle = serve();
    static const struct { uint32_t bytes, offset, count; } rows[] = {
        {0, 0, 0}, {0, 0, 513}, {1, 0, 512}, {512, 0, 1}, {0, DMA_BYTES, 1}, {0, DMA_BYTES - 1, 2}, {0, 0xffffffff, 1},
        {0, 0xffffffff, 512}, {0, 0, 0xffffffff}, {512, 0, 0xffffffff}, {0, 0x80000000, 16}, {8, DMA_BYTES - 100, 101},
    };
    fill_window();
    for (uint32_t n = 0; n < sizeof rows / sizeof *rows; n++)
        CHECK_EQ(reply(proc(SERVER), handle, .bytes = rows[n].bytes, .dma = H_DMA, .offset = rows[n].offset, .count = rows[n].count),
                 E_BAD_ARGUMENT);
    check_window(0, 0);
    CHECK_EQ(proc(CLIENT)->state, STATE_CALLING);
}

CASE(a_payload_takes_the_capability_for_the_window) {
    boot();
    uint64_t handle = serve();
    static const struct { uint64_t dma; uint32_t status; } rows[] = {
        {H_DEVICE, E_BAD_TYPE}, {H_QUEUE, E_BAD_TYPE}, {H_SERVER_OWN, E_BAD_TYPE}, {H_DMA | 0x200, E_BAD_HANDLE}, {HANDLE_BOOT + 99, E_BAD_HANDLE},
        {H_DMA | 1ull << 32, E_BAD_HANDLE},
    };
    fill_window();
    for (uint32_t n = 0; n < sizeof rows / sizeof *rows; n++)
        CHECK_EQ(reply(proc(SERVER), handle, .dma = rows[n].dma, .count = 8), rows[n].status);
    uint32_t weak = give(proc(SERVER), OBJ_DMA, RIGHT_GRANT, 0, 0);
    CHECK_EQ(reply(proc(SERVER), handle, .dma = weak, .count = 8), E_BAD_RIGHT);
    check_window(0, 0);
}

CASE(a_payload_for_nobody_stays_where_it_is) {
    boot();
    uint64_t handle = serve();
    fill_window();
    tick(2000);
    CHECK_EQ(reply(proc(SERVER), handle, .dma = H_DMA, .count = 8), E_CALLER_GONE);
    check_window(0, 0);
}

CASE(a_wrong_payload_stops_a_right_move) {
    boot();
    CHECK_EQ(call(proc(CLIENT), H_SERVER, .accept = 1), BLOCKED);
    CHECK_EQ(receive(proc(SERVER), 0), E_OK);
    uint64_t handle = got_reply(proc(SERVER));
    caps_of(proc(SERVER))[0] = give(proc(SERVER), OBJ_REGION, RIGHT_MAP_R | RIGHT_GRANT, GIFT_REGION, 0);
    grants_of(proc(SERVER))[0] = (struct grant){H_SERVER_OWN, RIGHT_CALL, 1};
    fill_window();
    CHECK_EQ(reply(proc(SERVER), handle, .caps = 1, .dma = H_DMA, .offset = DMA_BYTES, .count = 8), E_BAD_ARGUMENT);
    CHECK_EQ(reply(proc(SERVER), handle, .grants = 1, .dma = H_DMA, .offset = DMA_BYTES, .count = 8), E_BAD_ARGUMENT);
    CHECK(cap_at(proc(SERVER), caps_of(proc(SERVER))[0]) != 0);
    check_window(0, 0);
    CHECK_EQ(reply(proc(SERVER), handle, .caps = 1, .dma = H_DMA, .count = 8), E_OK);
}

CASE(a_payload_is_not_wiped_when_a_move_fails) {
    boot();
    uint64_t handle = serve();
    fill_window();
    CHECK_EQ(reply(proc(SERVER), handle, .caps = 1, .dma = H_DMA, .count = 8), E_NO_SLOT);
    check_window(0, 0);
}

CASE(an_absent_device_has_no_payload) {
    device_model.present = false;
    boot();
    uint64_t handle = serve();
    CHECK_EQ(reply(proc(SERVER), handle, .dma = H_DMA, .count = 1), E_BAD_ARGUMENT);
}
