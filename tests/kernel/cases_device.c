/*
 * The DMA fence: a driver moves no register that could move the fence, names only its own window, and believes nothing that the
 * device has not earned. The device here lies on purpose; device_model.broke_fence says what got through.
 */
#include "host.h"

static uint32_t write_reg(uint32_t offset, uint64_t value) { return sys(proc(SERVER), SYS_DEVICE_WRITE, H_DEVICE, offset, value); }

static uint64_t segment(uint64_t offset, uint64_t bytes, bool write) { return offset | bytes << 32 | (uint64_t)write << 63; }
static uint32_t post1(uint64_t a) { return sys(proc(SERVER), SYS_QUEUE_POST, H_QUEUE, a, 0, 0, 0, 1); }
static uint32_t take(void) { return sys(proc(SERVER), SYS_QUEUE_TAKE, H_QUEUE); }

enum { ACK = VIRTIO_STATUS_ACKNOWLEDGE, DRIVER = VIRTIO_STATUS_DRIVER, FEATURES = VIRTIO_STATUS_FEATURES_OK, GO = VIRTIO_STATUS_DRIVER_OK };

/* --- registers --- */

CASE(a_driver_brings_its_device_up) {
    boot();
    driver_up();
    CHECK_EQ(device_model.status, ACK | DRIVER | FEATURES | GO);
    CHECK_EQ(device_model.driver_features[1], 1);
    for (uint32_t n = 0; n < QUEUES; n++) {
        const struct host_queue *q = &device_model.queues[n];
        CHECK_EQ(q->ready, 1);
        CHECK_EQ(q->size, LIMIT_QUEUE_SIZE);
        const uint64_t rings[] = {q->descriptors, q->available, q->used};
        for (uint32_t i = 0; i < 3; i++) CHECK_EQ(frame_of(rings[i])->type, FRAME_RINGS);
    }
    CHECK(device_model.queues[0].descriptors != device_model.queues[1].descriptors);
}

CASE(no_register_but_four_can_be_written) {
    boot();
    for (uint32_t up = 0; up < 2; up++) {
        for (uint64_t offset = 0; offset < 0x200; offset++) {
            bool allowed = offset == VIRTIO_REG_STATUS || offset == VIRTIO_REG_DRIVER_FEATURES ||
                           offset == VIRTIO_REG_DRIVER_FEATURES_SEL || offset == VIRTIO_REG_DEVICE_FEATURES_SEL;
            if (!allowed) CHECK_EQ(write_reg((uint32_t)offset, 1), E_BAD_ARGUMENT);
        }
        CHECK_EQ(sys(proc(SERVER), SYS_DEVICE_WRITE, H_DEVICE, VIRTIO_REG_STATUS | 1ull << 32, 0), E_BAD_ARGUMENT);
        CHECK_EQ(sys(proc(SERVER), SYS_DEVICE_WRITE, H_DEVICE, VIRTIO_STRIDE + VIRTIO_REG_STATUS, 0), E_BAD_ARGUMENT);
        if (up == 0) driver_up();
    }
    CHECK(!device_model.broke_fence);
    CHECK_EQ(device_model.status, ACK | DRIVER | FEATURES | GO);
}

CASE(only_version_1_and_the_rows_features_are_accepted) {
    boot();
    for (uint32_t select = 0; select < 2; select++) {
        CHECK_EQ(write_reg(VIRTIO_REG_DRIVER_FEATURES_SEL, select), E_OK);
        for (uint32_t bit = 0; bit < 64; bit++) {
            bool allowed = select ? bit == 0 : bit == TEST_FEATURE;
            CHECK_EQ(write_reg(VIRTIO_REG_DRIVER_FEATURES, 1ull << bit), allowed ? E_OK : E_BAD_ARGUMENT);
        }
        CHECK_EQ(write_reg(VIRTIO_REG_DRIVER_FEATURES, ~0ull), E_BAD_ARGUMENT);
    }
    CHECK_EQ(write_reg(VIRTIO_REG_DRIVER_FEATURES_SEL, 2), E_BAD_ARGUMENT);
    CHECK_EQ(write_reg(VIRTIO_REG_DEVICE_FEATURES_SEL, 2), E_BAD_ARGUMENT);
    CHECK(!device_model.broke_fence);
}

CASE(both_halves_of_what_the_device_offers_can_be_looked_at) {
    boot();
    for (uint32_t half = 2; half-- > 0;) {
        CHECK_EQ(write_reg(VIRTIO_REG_DEVICE_FEATURES_SEL, half), E_OK);
        CHECK_EQ(device_model.features_sel_read, half);
    }
}

CASE(a_device_left_running_is_reset_at_boot) {
    device_model.status = ACK | DRIVER | FEATURES | GO;
    device_model.queues[0].ready = 1;
    boot();
    CHECK_EQ(device_model.status, 0);
    driver_up();
}

CASE(features_are_settled_once) {
    boot();
    driver_up();
    CHECK_EQ(write_reg(VIRTIO_REG_DRIVER_FEATURES, 1), E_BAD_ARGUMENT);
    CHECK(!device_model.broke_fence);
    CHECK_EQ(write_reg(VIRTIO_REG_STATUS, 0), E_OK);
    CHECK_EQ(write_reg(VIRTIO_REG_STATUS, ACK | DRIVER | FEATURES), E_BAD_ARGUMENT); /* a reset forgets them */
}

CASE(after_a_reset_the_selected_half_is_the_devices_too) {
    boot();
    CHECK_EQ(write_reg(VIRTIO_REG_DRIVER_FEATURES_SEL, 1), E_OK);
    device_model.features_sel = 0; /* some devices forget it on reset, some do not */
    CHECK_EQ(write_reg(VIRTIO_REG_STATUS, 0), E_OK);
    write_reg(VIRTIO_REG_DRIVER_FEATURES, 1);
    CHECK(!device_model.broke_fence);
}

CASE(status_bits_come_in_order) {
    boot();
    CHECK_EQ(write_reg(VIRTIO_REG_STATUS, FEATURES), E_BAD_ARGUMENT);          /* VERSION_1 not accepted */
    CHECK_EQ(write_reg(VIRTIO_REG_STATUS, GO), E_BAD_ARGUMENT);
    CHECK_EQ(write_reg(VIRTIO_REG_STATUS, VIRTIO_STATUS_NEEDS_RESET), E_BAD_ARGUMENT);
    CHECK_EQ(write_reg(VIRTIO_REG_STATUS, 0x100), E_BAD_ARGUMENT);
    CHECK_EQ(write_reg(VIRTIO_REG_STATUS, ACK | DRIVER), E_OK);
    CHECK_EQ(write_reg(VIRTIO_REG_STATUS, ACK), E_BAD_ARGUMENT);               /* taking one back */
    CHECK_EQ(write_reg(VIRTIO_REG_STATUS, ACK | DRIVER | FEATURES), E_BAD_ARGUMENT);
    CHECK_EQ(write_reg(VIRTIO_REG_STATUS, ACK | DRIVER | GO), E_BAD_ARGUMENT);
    CHECK_EQ(device_model.status, ACK | DRIVER);
}

CASE(queues_are_set_up_between_features_and_start) {
    boot();
    struct process *p = proc(SERVER);
    CHECK_EQ(sys(p, SYS_QUEUE_SETUP, H_QUEUE), E_STATE);
    CHECK_EQ(post1(segment(0, 16, true)), E_STATE);
    CHECK_EQ(take(), E_STATE);
    CHECK_EQ(write_reg(VIRTIO_REG_STATUS, ACK | DRIVER), E_OK);
    CHECK_EQ(write_reg(VIRTIO_REG_DRIVER_FEATURES_SEL, 1), E_OK);
    CHECK_EQ(write_reg(VIRTIO_REG_DRIVER_FEATURES, 1), E_OK);
    CHECK_EQ(write_reg(VIRTIO_REG_STATUS, ACK | DRIVER | FEATURES), E_OK);
    CHECK_EQ(sys(p, SYS_QUEUE_SETUP, H_QUEUE), E_OK);
    CHECK_EQ(sys(p, SYS_QUEUE_SETUP, H_QUEUE), E_STATE);
    CHECK_EQ(post1(segment(0, 16, true)), E_STATE);
    CHECK_EQ(write_reg(VIRTIO_REG_STATUS, ACK | DRIVER | FEATURES | GO), E_OK);
    CHECK_EQ(sys(p, SYS_QUEUE_SETUP, H_QUEUE), E_STATE);
    CHECK_EQ(post1(segment(0, 16, true)), E_OK);
    CHECK(!device_model.broke_fence);
}

CASE(a_queue_too_small_or_not_reset_is_refused) {
    boot();
    device_model.queue_max = LIMIT_QUEUE_SIZE - 1;
    CHECK_EQ(write_reg(VIRTIO_REG_DRIVER_FEATURES_SEL, 1), E_OK);
    CHECK_EQ(write_reg(VIRTIO_REG_DRIVER_FEATURES, 1), E_OK);
    CHECK_EQ(write_reg(VIRTIO_REG_STATUS, ACK | DRIVER | FEATURES), E_OK);
    CHECK_EQ(sys(proc(SERVER), SYS_QUEUE_SETUP, H_QUEUE), E_BROKEN);
    device_model.queue_max = LIMIT_QUEUE_SIZE;
    device_model.queues[0].ready = 1;
    CHECK_EQ(sys(proc(SERVER), SYS_QUEUE_SETUP, H_QUEUE), E_BROKEN);
    device_model.queues[0].ready = 0;
    CHECK_EQ(sys(proc(SERVER), SYS_QUEUE_SETUP, H_QUEUE), E_OK);
}

/* --- posting --- */

CASE(segments_outside_the_window_are_refused) {
    boot();
    driver_up();
    static const struct { uint64_t offset, bytes; } rows[] = {
        {0, 0}, {0, DMA_BYTES + 1}, {1, DMA_BYTES}, {DMA_BYTES, 1}, {DMA_BYTES - 1, 2}, {0xffffffff, 1}, {0xffffffff, 2},
        {0xfffff000, 0x1000}, {0xfffff000, 0x2000}, {0, 0x7fffffff}, {0xffffffff, 0x7fffffff}, {0x80000000, 16},
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (uint32_t place = 0; place < 4; place++) {
            uint64_t s[4];
            for (uint32_t k = 0; k < 4; k++) s[k] = segment(k * 16, 16, true);
            s[place] = segment(rows[i].offset, rows[i].bytes, true);
            CHECK_EQ(sys(proc(SERVER), SYS_QUEUE_POST, H_QUEUE, s[0], s[1], s[2], s[3], 4), E_BAD_ARGUMENT);
        }
    static const uint64_t counts[] = {0, 5, 1ull << 32, ~0ull};
    for (uint32_t i = 0; i < 4; i++)
        CHECK_EQ(sys(proc(SERVER), SYS_QUEUE_POST, H_QUEUE, segment(0, 16, true), 0, 0, 0, counts[i]), E_BAD_ARGUMENT);
    CHECK_EQ(device_model.queues[0].notified, 0);
    CHECK_EQ(post1(segment(0, DMA_BYTES, true)), E_OK);
    CHECK_EQ(post1(segment(DMA_BYTES - 1, 1, true)), E_OK);
}

CASE(what_the_device_may_only_read_comes_first) {
    boot();
    driver_up();
    struct process *p = proc(SERVER);
    CHECK_EQ(sys(p, SYS_QUEUE_POST, H_QUEUE, segment(0, 8, true), segment(8, 8, false), 0, 0, 2), E_BAD_ARGUMENT);
    CHECK_EQ(sys(p, SYS_QUEUE_POST, H_QUEUE, segment(0, 8, false), segment(8, 8, true), segment(16, 8, false), 0, 3), E_BAD_ARGUMENT);
    CHECK_EQ(sys(p, SYS_QUEUE_POST, H_QUEUE, segment(0, 8, false), segment(8, 8, false), segment(16, 8, true), segment(24, 8, true), 4), E_OK);
    virtio_answer(0, 16, 0x77);
    CHECK_EQ(take(), E_OK);
    for (uint32_t i = 0; i < 32; i++) CHECK_EQ(devices[0].dma[i], i < 16 ? 0 : 0x77);
}

CASE(four_buffers_can_be_in_flight) {
    boot();
    driver_up();
    for (uint32_t turn = 0; turn < 100; turn++) {
        for (uint32_t i = 0; i < 4; i++) {
            CHECK_EQ(post1(segment(i * 64, 64, true)), E_OK);
            CHECK_EQ(reg(proc(SERVER), 1), i);
        }
        CHECK_EQ(post1(segment(0, 64, true)), E_FULL);
        for (uint32_t i = 0; i < 4; i++) virtio_answer(3 - i, 10 + i, (uint8_t)(turn + i));
        for (uint32_t i = 0; i < 4; i++) {
            CHECK_EQ(take(), E_OK);
            CHECK_EQ(reg(proc(SERVER), 1), 3 - i);
            CHECK_EQ(reg(proc(SERVER), 2), 10 + i);
        }
        CHECK_EQ(take(), E_AGAIN);
    }
    CHECK_EQ(device_model.queues[0].notified, 400);
}

CASE(two_queues_do_not_meet) {
    boot();
    driver_up();
    struct process *p = proc(SERVER);
    CHECK_EQ(sys(p, SYS_QUEUE_POST, H_QUEUE_1, segment(512, 32, true), 0, 0, 0, 1), E_OK);
    CHECK_EQ(post1(segment(0, 32, true)), E_OK);
    CHECK_EQ(device_model.queues[0].notified, 1);
    CHECK_EQ(device_model.queues[1].notified, 1);
    virtio_answer_on(1, 0, 32, 0x44);
    CHECK_EQ(take(), E_AGAIN);
    CHECK_EQ(sys(p, SYS_QUEUE_TAKE, H_QUEUE_1), E_OK);
    CHECK_EQ(sys(p, SYS_QUEUE_TAKE, H_QUEUE_1), E_AGAIN);
    CHECK_EQ(devices[0].dma[0], 0);
    CHECK_EQ(devices[0].dma[512], 0x44);
}

CASE(after_a_reset_a_queue_starts_afresh) {
    boot();
    for (uint32_t turn = 0; turn < 3; turn++) {
        driver_up();
        CHECK_EQ(take(), E_AGAIN);
        for (uint32_t i = 0; i < 4; i++) CHECK_EQ(post1(segment(i * 64, 64, true)), E_OK);
        CHECK_EQ(((uint16_t *)device_model.queues[0].available)[1], 4);
        virtio_answer(2, 64, 0x21);
        virtio_answer(0, 64, 0x22);
        CHECK_EQ(take(), E_OK);
    }
}

/* --- what the device says --- */

static void check_lie(uint32_t id, uint32_t bytes) {
    CHECK_EQ(post1(segment(0, 64, true)), E_OK);
    virtio_complete(id, bytes);
    CHECK_EQ(take(), E_BROKEN);
    CHECK_EQ(device_model.status, 0);      /* it was reset at once */
    CHECK_EQ(take(), E_BROKEN);
    CHECK_EQ(post1(segment(0, 64, true)), E_BROKEN);
    CHECK_EQ(write_reg(VIRTIO_REG_DRIVER_FEATURES, 0), E_BROKEN);
    driver_up();                            /* a reset by its driver gives it another chance */
}

CASE(a_completion_that_can_not_be_true_breaks_the_device) {
    boot();
    driver_up();
    check_lie(0, 65);                       /* more than was posted */
    check_lie(0, ~0u);
    check_lie(4, 16);                       /* not in flight */
    check_lie(1, 16);                       /* no buffer's first descriptor */
    check_lie(16, 16);                      /* beyond the queue */
    check_lie(~0u, 16);
    check_lie(0x10000, 16);
}

CASE(a_completion_is_believed_once) {
    boot();
    driver_up();
    CHECK_EQ(post1(segment(0, 64, true)), E_OK);
    CHECK_EQ(post1(segment(64, 64, true)), E_OK);
    virtio_complete(0, 64);
    CHECK_EQ(take(), E_OK);
    virtio_complete(0, 64);
    CHECK_EQ(take(), E_BROKEN);
}

CASE(an_index_ahead_of_what_was_posted_breaks_the_device) {
    boot();
    driver_up();
    virtio_complete(0, 1);
    CHECK_EQ(take(), E_BROKEN);
    driver_up();
    CHECK_EQ(post1(segment(0, 64, true)), E_OK);
    virtio_complete(0, 1);
    virtio_complete(0, 1);
    CHECK_EQ(take(), E_BROKEN);
    driver_up();
    CHECK_EQ(post1(segment(0, 64, true)), E_OK);
    ((uint16_t *)device_model.queues[0].used)[1] = 0x8000;
    CHECK_EQ(take(), E_BROKEN);
}

CASE(what_only_the_device_reads_does_not_count_as_room) {
    boot();
    driver_up();
    CHECK_EQ(sys(proc(SERVER), SYS_QUEUE_POST, H_QUEUE, segment(0, 100, false), segment(100, 10, true), 0, 0, 2), E_OK);
    virtio_complete(0, 11);
    CHECK_EQ(take(), E_BROKEN);
}

/* --- ends --- */

CASE(a_dead_drivers_device_is_reset_and_its_window_wiped) {
    boot();
    driver_up();
    CHECK_EQ(post1(segment(0, 64, true)), E_OK);
    memset(devices[0].dma, 0x77, DMA_BYTES);
    kill_process(SERVER);
    CHECK_EQ(device_model.status, 0);
    for (uint32_t i = 0; i < DMA_BYTES; i++) CHECK_EQ(devices[0].dma[i], 0);
    restart(SERVER);
    CHECK_EQ(take(), E_STATE);
    driver_up();
}

CASE(nobody_elses_death_touches_the_device) {
    boot();
    driver_up();
    CHECK_EQ(post1(segment(0, 64, true)), E_OK);
    memset(devices[0].dma, 0x77, DMA_BYTES);
    kill_process(CLIENT);
    kill_process(MIDDLE);
    CHECK_EQ(device_model.status, ACK | DRIVER | FEATURES | GO);
    CHECK_EQ(devices[0].dma[0], 0x77);
    virtio_answer(0, 64, 0x12);
    CHECK_EQ(take(), E_OK);
}

CASE(a_new_driver_is_not_blamed_for_the_old_ones_device) {
    boot();
    driver_up();
    virtio_complete(0, 1);
    CHECK_EQ(take(), E_BROKEN);
    restart(SERVER);
    CHECK_EQ(take(), E_STATE);
    CHECK_EQ(write_reg(VIRTIO_REG_DRIVER_FEATURES_SEL, 1), E_OK);
}

CASE(a_device_that_does_not_reset_is_dead_and_its_window_quarantined) {
    boot();
    driver_up();
    device_model.stuck = true;
    memset(devices[0].dma, 0x77, DMA_BYTES);
    kill_process(SERVER);
    CHECK(devices[0].dead);
    console_drain();
    CHECK(strstr(host_uart, "kernel: device id=4 dead: does not reset\n") != 0);
    CHECK_EQ(frame_of((uint64_t)devices[0].dma)->type, FRAME_QUARANTINE);
    CHECK_EQ(frame_of((uint64_t)devices[0].dma + DMA_BYTES - 1)->type, FRAME_QUARANTINE);
    CHECK_EQ(devices[0].dma[0], 0x77); /* the device may still write there: nobody else does */
    restart(SERVER);
    CHECK_EQ(write_reg(VIRTIO_REG_STATUS, 0), E_BROKEN);
    CHECK_EQ(take(), E_BROKEN);
    CHECK_EQ(sys(proc(SERVER), SYS_IRQ_ACK, H_IRQ), E_BROKEN);
}

static void check_unusable(const char *words) {
    boot();
    CHECK_EQ(write_reg(VIRTIO_REG_STATUS, 0), E_STATE);
    CHECK_EQ(sys(proc(SERVER), SYS_QUEUE_SETUP, H_QUEUE), E_STATE);
    CHECK_EQ(sys(proc(SERVER), SYS_IRQ_ACK, H_IRQ), E_STATE);
    CHECK(map_find(proc(SERVER), VA_DEVICE, IMAGE_R) == 0);
    console_drain();
    CHECK(strstr(host_uart, words) != 0);
}

CASE(an_absent_device_is_told) {
    device_model.present = false;
    check_unusable("kernel: device id=4 absent\n");
}

CASE(a_legacy_device_is_told_with_the_remedy) {
    device_model.version = 1;
    check_unusable("force-legacy=false");
}

CASE(two_of_a_kind_are_refused) {
    device_model.twice = true;
    check_unusable("kernel: device id=4 refused: 2 of them\n");
}

/* --- interrupts --- */

CASE(an_interrupt_is_a_bit_for_the_driver_until_acknowledged) {
    boot();
    CHECK_EQ(host_irq_enabled, 1u << UART_IRQ);
    driver_up();
    CHECK_EQ(sys(proc(SERVER), SYS_IRQ_ACK, H_IRQ), E_OK);
    CHECK_EQ(host_irq_enabled, 1u << UART_IRQ | 1u << devices[0].irq);
    CHECK_EQ(sys(proc(SERVER), SYS_WAIT, H_NOTE), BLOCKED);
    device_model.interrupt_status = 1;
    host_irq_pending = 1u << devices[0].irq;
    irq_handle();
    CHECK_EQ(outcome(proc(SERVER)), E_OK);
    CHECK_EQ(reg(proc(SERVER), 1), 1);
    CHECK_EQ(host_irq_enabled, 1u << UART_IRQ); /* masked until then */
    CHECK_EQ(sys(proc(SERVER), SYS_IRQ_ACK, H_IRQ), E_OK);
    CHECK_EQ(host_irq_enabled, 1u << UART_IRQ | 1u << devices[0].irq);
    CHECK_EQ(device_model.interrupt_status, 0);
}

CASE(an_interrupt_of_nobody_stays_masked) {
    boot();
    driver_up();
    host_irq_pending = 1u << (devices[0].irq - 1) | 1u << UART_IRQ;
    irq_handle();
    CHECK_EQ(host_irq_pending, 0);
    CHECK_EQ(proc(SERVER)->bits, 0);
    CHECK_EQ(host_irq_enabled, 1u << UART_IRQ);
}

CASE(a_source_above_its_rate_is_cut_off) {
    boot();
    driver_up();
    for (uint32_t i = 0; i < LIMIT_IRQ_RATE; i++) {
        host_irq_pending = 1u << devices[0].irq;
        irq_handle();
        CHECK_EQ(sys(proc(SERVER), SYS_IRQ_ACK, H_IRQ), E_OK);
    }
    host_irq_pending = 1u << devices[0].irq;
    irq_handle();
    CHECK_EQ(sys(proc(SERVER), SYS_IRQ_ACK, H_IRQ), E_BROKEN);
    CHECK_EQ(host_irq_enabled, 1u << UART_IRQ);
    CHECK(proc(ROOT)->bits >> SERVER & 1); /* its supervisor is told to look */
    console_drain();
    CHECK(strstr(host_uart, "kernel: interrupt cut off label=server\n") != 0);
}

CASE(a_rate_is_counted_afresh_in_each_period) {
    boot();
    driver_up();
    for (uint32_t i = 0; i < 2 * LIMIT_IRQ_RATE; i++) {
        if (i == LIMIT_IRQ_RATE) tick(LIMIT_SHARE_PERIOD_TICKS);
        host_irq_pending = 1u << devices[0].irq;
        irq_handle();
        CHECK_EQ(sys(proc(SERVER), SYS_IRQ_ACK, H_IRQ), E_OK);
    }
}
