/*
 * What boot does, in order; this list is the table of contents of the kernel. Called once by start.S, never returns.
 */
#include "kernel.h"
#include "pmp.h"

static const char *digest_text(const uint8_t *digest) {
    static char text[2][2 * IMAGE_DIGEST_BYTES + 1];
    static uint32_t turn;
    char *out = text[turn++ & 1];
    for (uint32_t i = 0; i < IMAGE_DIGEST_BYTES; i++) {
        out[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    return out;
}

static const uint8_t kernel_contract[IMAGE_DIGEST_BYTES] = CONTRACT_DIGEST_BYTES;

/* The kernel, the table and each program were built from one contract, or nothing runs (EXIT_IMAGE_INCONSISTENT). */
static void check_contract(void) {
    bool same = __builtin_memcmp(image.contract_digest, kernel_contract, IMAGE_DIGEST_BYTES) == 0;
    for (uint32_t i = 0; i < image.process_count; i++) {
        const struct image_process *row = &image.processes[i];
        if (__builtin_memcmp(row->program->contract_digest, kernel_contract, IMAGE_DIGEST_BYTES) != 0) {
            console_say("contract differs label=%s", row->label);
            same = false;
        }
    }
    if (!same) finish(EXIT_IMAGE_INCONSISTENT);
}

void main(void) {
    trap_init();        /* a trap from here on is a panic with its cause */
    pmp_init();         /* text, guard page and payload get their rights */
    uart_init();
    console_init();
    launch_init();      /* run nonce, phase to stop after, test flags */
    console_say("boot run=%s contract=%s policy=%s", launch_nonce(), digest_text(image.contract_digest),
                image.policy.bytes ? digest_text(image.policy_digest) : "none");
    frame_init((uint64_t)ld_payload_end, image.ram_bytes);
    map_pool_init();
    check_contract();
    irq_init();         /* PLIC: everything masked but the UART */
    device_init();      /* probe virtio-mmio, mint one window per row */
    queue_init();
    region_init();
    sched_init();
    process_build_all();/* every row of the image: page tables, capabilities; only the root one runs */
    sched_run();        /* picks the root process */
    trap_return(&current->frame);
}
