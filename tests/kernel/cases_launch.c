/*
 * What the host tells a run: believed only if it is well-formed, wiped before anybody can look, and told on no further than stated.
 */
#include "host.h"

#define NONCE "0123456789abcdef0123456789abcdef"

static uint8_t *block(void) { return ld_payload_end; }

static void tell(uint64_t magic, const char *nonce, uint32_t phase, uint32_t flags) {
    memset(block(), 0xee, PAGE_BYTES);
    memcpy(block(), &magic, sizeof magic);
    memcpy(block() + LAUNCH_NONCE, nonce, LAUNCH_NONCE_BYTES);
    memcpy(block() + LAUNCH_PHASE, &phase, sizeof phase);
    memcpy(block() + LAUNCH_FLAGS, &flags, sizeof flags);
}

static void check_wiped(void) {
    for (uint32_t i = 0; i < PAGE_BYTES; i++) CHECK_EQ(block()[i], i < LAUNCH_BYTES ? 0 : 0xee);
}

CASE(a_launch_is_read_and_wiped) {
    tell(LAUNCH_MAGIC, NONCE, 5, FLAG_KEEP | FLAG_COUNT);
    launch_init();
    check_wiped();
    CHECK(strcmp(launch_nonce(), NONCE) == 0);
    CHECK_EQ(launch_phase(), 5);
    CHECK_EQ(launch_flags(), FLAG_KEEP | FLAG_COUNT);
}

CASE(without_the_magic_nothing_is_believed_and_all_is_wiped) {
    tell(LAUNCH_MAGIC ^ 1, NONCE, 5, FLAG_KEEP);
    launch_init();
    check_wiped();
    CHECK(strcmp(launch_nonce(), "none") == 0);
    CHECK_EQ(launch_phase(), ~0u);
    CHECK_EQ(launch_flags(), 0);
}

CASE(a_nonce_is_lower_case_hex_or_none) {
    static const char wrong[] = {'g', 'A', 'F', '/', ':', '`', ' ', '\n', 0, (char)0xe9};
    for (uint32_t i = 0; i < sizeof wrong; i++) {
        char nonce[] = NONCE;
        nonce[i * 3] = wrong[i];
        tell(LAUNCH_MAGIC, nonce, 0, 0);
        launch_init();
        check_wiped();
        CHECK(strcmp(launch_nonce(), "none") == 0);
    }
}

CASE(the_machines_holder_is_told_phase_and_flags_and_no_nonce) {
    tell(LAUNCH_MAGIC, NONCE, 5, FLAG_KEEP | FLAG_TEST_ENTROPY);
    boot();
    CHECK_EQ(sys(proc(ROOT), SYS_SYSTEM, H_SYSTEM, SYSTEM_PHASE), E_OK);
    CHECK_EQ(reg(proc(ROOT), 1), 5);
    CHECK_EQ(sys(proc(ROOT), SYS_SYSTEM, H_SYSTEM, SYSTEM_FLAGS), E_OK);
    CHECK_EQ(reg(proc(ROOT), 1), FLAG_KEEP | FLAG_TEST_ENTROPY);
    CHECK_EQ(sys(proc(ROOT), SYS_SYSTEM, H_SYSTEM, 0), E_BAD_ARGUMENT);
    CHECK_EQ(sys(proc(ROOT), SYS_SYSTEM, H_SYSTEM, 99), E_BAD_ARGUMENT);
    for (uint32_t at = 0; at < HOST_RAM_BYTES - LAUNCH_NONCE_BYTES; at++) CHECK(memcmp(host_ram + at, NONCE, LAUNCH_NONCE_BYTES) != 0);
}

CASE(each_life_is_told_of_known_entropy_and_nothing_else) {
    tell(LAUNCH_MAGIC, NONCE, 5, FLAG_KEEP | FLAG_COUNT | FLAG_TEST_ENTROPY);
    boot();
    for (uint32_t turn = 0; turn < 2; turn++) {
        for (uint32_t i = ROOT; i < SYSTEM_PROCESSES; i++) CHECK_EQ(word_of(proc(i), IPC_LAUNCH_FLAGS), FLAG_TEST_ENTROPY);
        fill(proc(CLIENT), 0);
        restart(CLIENT);
    }
}

static void close_latch(void) { CHECK_EQ(sys(proc(ROOT), SYS_SYSTEM, H_SYSTEM, SYSTEM_CLOSE_BRING_UP), E_OK); }

CASE(whoever_runs_is_told_when_the_latch_closes) {
    boot();
    CHECK_EQ(receive(proc(SERVER), 0), BLOCKED);
    CHECK_EQ(call(proc(CLIENT), H_MIDDLE), BLOCKED);
    CHECK_EQ(sys(proc(TWIN), SYS_WAIT, H_NOTE, 0), BLOCKED);
    for (uint32_t i = 0; i < SYSTEM_PROCESSES; i++) CHECK_EQ(word_of(proc(i), IPC_BRING_UP), 1);
    for (uint32_t i = 0; i < SYSTEM_PROCESSES; i++) fill(proc(i), 0xee);
    close_latch();
    for (uint32_t i = 0; i < SYSTEM_PROCESSES; i++) {
        CHECK_EQ(word_of(proc(i), IPC_BRING_UP), 0);
        for (uint32_t at = 0; at < PAGE_BYTES; at += 8) CHECK_EQ(word_of(proc(i), at), at == IPC_BRING_UP ? 0 : 0xeeeeeeeeeeeeeeee);
    }
}

CASE(each_life_is_told_of_the_latch_at_its_start) {
    boot_cold();
    resume(CLIENT);
    CHECK_EQ(word_of(proc(CLIENT), IPC_BRING_UP), 1);
    fill(proc(CLIENT), 0);
    restart(CLIENT);
    CHECK_EQ(word_of(proc(CLIENT), IPC_BRING_UP), 1);
    CHECK_EQ(sys(proc(ROOT), SYS_SUPERVISE, H_SUPERVISE_CLIENT + TWIN - CLIENT, SUP_RESUME), E_AGAIN);
    close_latch();
    fill(proc(CLIENT), 0xee);
    restart(CLIENT);
    CHECK_EQ(word_of(proc(CLIENT), IPC_BRING_UP), 0);
    resume(TWIN); /* was half loaded */
    CHECK_EQ(word_of(proc(TWIN), IPC_BRING_UP), 0);
    resume(LOW); /* was not loaded at all */
    CHECK_EQ(word_of(proc(LOW), IPC_BRING_UP), 0);
    CHECK_EQ(reg(proc(LOW), 6), 0);
}

CASE(the_page_of_whoever_has_stopped_is_left_alone) {
    boot();
    kill_process(CLIENT);
    fill(proc(CLIENT), 0xee);
    close_latch();
    CHECK_EQ(word_of(proc(CLIENT), IPC_BRING_UP), 0xeeeeeeeeeeeeeeee);
}
