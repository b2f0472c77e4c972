/*
 * The console: whole lines under the kernel's label, escaped, within quotas; what does not fit is refused, counted and told, and
 * nobody ever waits for a host that does not read.
 */
#include "host.h"

static uint32_t say(uint32_t index, const char *text, uint32_t bytes) {
    memcpy(user(proc(index), VA_HEAP), text, bytes);
    return sys(proc(index), SYS_CONSOLE_WRITE, H_CONSOLE, VA_HEAP, bytes);
}

static const char *printed(void) {
    console_drain();
    host_uart[host_uart_bytes] = 0;
    return host_uart;
}

static void start(void) {
    boot();
    printed();
    host_uart_bytes = 0;
}

CASE(a_line_bears_the_label_of_its_writer) {
    start();
    CHECK_EQ(say(CLIENT, "ready", 5), E_OK);
    CHECK_EQ(say(SERVER, "kernel: panic", 13), E_OK);
    CHECK(strcmp(printed(), "client: ready\nserver: kernel: panic\n") == 0);
}

CASE(nothing_but_printable_ascii_gets_through) {
    start();
    for (uint32_t c = 0; c < 256; c++) {
        char byte = (char)c, expected[32];
        host_uart_bytes = 0;
        CHECK_EQ(say(CLIENT, &byte, 1), E_OK);
        bool plain = c >= 0x20 && c < 0x7f && c != '\\';
        snprintf(expected, sizeof expected, plain ? "client: %c\n" : "client: \\x%02x\n", (int)c);
        CHECK(strcmp(printed(), expected) == 0);
    }
}

CASE(no_text_makes_a_second_line) {
    start();
    CHECK_EQ(say(CLIENT, "one\nSELFTEST: two\rthree", 23), E_OK);
    CHECK(strcmp(printed(), "client: one\\x0aSELFTEST: two\\x0dthree\n") == 0);
}

CASE(a_long_line_goes_on_under_its_label) {
    start();
    char text[LIMIT_WRITE_BYTES];
    memset(text, 'a', sizeof text);
    for (uint32_t bytes = 1; bytes <= sizeof text; bytes++) {
        host_uart_bytes = 0;
        CHECK_EQ(say(CLIENT, text, bytes), E_OK);
        const char *out = printed();
        uint32_t lines = 0, letters = 0;
        for (const char *at = out; *at; lines++) {
            CHECK(strncmp(at, lines ? "client| " : "client: ", 8) == 0);
            size_t width = strcspn(at, "\n");
            CHECK(width <= 8 + LIMIT_LINE_BYTES);
            letters += (uint32_t)width - 8;
            at += width + 1;
        }
        CHECK_EQ(proc(CLIENT)->console_used, 0);
        CHECK_EQ(letters, bytes);
        CHECK_EQ(lines, (bytes + LIMIT_LINE_BYTES - 1) / LIMIT_LINE_BYTES);
    }
}

CASE(an_escape_is_never_split) {
    start();
    char text[LIMIT_WRITE_BYTES];
    for (uint32_t shift = 0; shift < 4; shift++) {
        memset(text, 'a', sizeof text);
        memset(text + LIMIT_LINE_BYTES - shift, 1, 4);
        host_uart_bytes = 0;
        CHECK_EQ(say(CLIENT, text, LIMIT_LINE_BYTES + 8), E_OK);
        for (const char *at = printed(); (at = strchr(at, '\\')) != 0; at += 4) CHECK(strncmp(at, "\\x01", 4) == 0);
        CHECK_EQ(proc(CLIENT)->console_used, 0);
    }
}

CASE(a_writer_fills_its_quota_and_no_more) {
    start();
    host_uart_reads = false;
    char text[92];
    memset(text, 'q', sizeof text);
    uint32_t taken = 0;
    while (say(CLIENT, text, sizeof text) == E_OK) taken++;
    CHECK_EQ(taken, LIMIT_CONSOLE_QUOTA / (8 + sizeof text + 1));
    CHECK_EQ(say(CLIENT, text, sizeof text), E_FULL);
    CHECK_EQ(say(TWIN, "still heard", 11), E_OK);
    host_uart_reads = true;
    const char *out = printed();
    CHECK(strstr(out, "twin: still heard\n") != 0);
    CHECK(strstr(out, "kernel: console lost label=client lines=2\n") != 0);
    CHECK_EQ(say(CLIENT, text, sizeof text), E_OK);
}

CASE(a_quota_comes_back_byte_for_byte) {
    start();
    for (uint32_t i = 0; i < 2000; i++) {
        CHECK_EQ(say(CLIENT, "some text", 9), E_OK);
        printed();
        host_uart_bytes = 0;
        CHECK_EQ(proc(CLIENT)->console_used, 0);
    }
}

CASE(time_that_jumps_cuts_no_line_off_at_the_end) {
    start();
    CHECK_EQ(say(CLIENT, "the last words", 14), E_OK);
    host_uart_ticks = LIMIT_DRAIN_TICKS;
    CHECK(strcmp(printed(), "client: the last words\n") == 0);
    host_uart_ticks = 0;
}

CASE(the_last_byte_is_out_before_the_end) {
    start();
    CHECK_EQ(say(CLIENT, "the last words", 14), E_OK);
    host_uart_slow = 9;
    host_uart_ticks = LIMIT_DRAIN_TICKS;
    CHECK(strcmp(printed(), "client: the last words\n") == 0);
    CHECK_EQ(host_uart_unsent, 0);
    host_uart_slow = 0;
    host_uart_ticks = 0;
}

CASE(host_that_does_not_read_holds_up_no_end) {
    start();
    CHECK_EQ(say(CLIENT, "the last words", 14), E_OK);
    host_uart_reads = false;
    host_uart_ticks = 1;
    uint64_t before = host_time;
    CHECK(strcmp(printed(), "") == 0);
    CHECK_EQ(host_time - before, LIMIT_DRAIN_TICKS);
    host_uart_reads = true;
    host_uart_ticks = 0;
    CHECK(strcmp(printed(), "client: the last words\n") == 0);
}

CASE(everybodys_flood_leaves_the_reserved_part) {
    start();
    host_uart_reads = false;
    char text[40];
    memset(text, 'f', sizeof text);
    for (uint32_t i = ROOT; i < SERVER; i++)
        while (say(i, text, sizeof text) == E_OK) {}
    uint32_t taken = 0;
    while (say(SERVER, text, sizeof text) == E_OK) taken++;
    CHECK_EQ(taken, LIMIT_CONSOLE_RESERVED / (8 + sizeof text + 1));
    console_say("still here %u", 7u);
    host_uart_reads = true;
    CHECK(strstr(printed(), "kernel: still here 7\n") != 0);
    CHECK_EQ(console_lost_lines(), SYSTEM_PROCESSES);
}

CASE(a_flood_of_short_lines_leaves_it_too) {
    start();
    host_uart_reads = false;
    for (uint32_t i = ROOT; i < SERVER; i++)
        while (say(i, "f", 1) == E_OK) {}
    CHECK_EQ(say(SERVER, "still heard", 11), E_OK);
    console_say("still here %u", 7u);
    host_uart_reads = true;
    const char *out = printed();
    CHECK(strstr(out, "server: still heard\n") != 0);
    CHECK(strstr(out, "kernel: still here 7\n") != 0);
}

CASE(what_was_lost_is_told_even_when_all_is_full) {
    start();
    host_uart_reads = false;
    for (uint32_t i = ROOT; i < SYSTEM_PROCESSES; i++)
        while (say(i, "fill", 4) == E_OK) {}
    uint64_t lost = 0;
    while (console_lost_lines() < 100) console_say("the kernel fills the rest");
    lost = console_lost_lines();
    host_uart_reads = true;
    const char *out = printed();
    uint32_t told = 0;
    for (const char *at = out; (at = strstr(at, "kernel: console lost label=")) != 0; at++) told++;
    CHECK_EQ(told, SYSTEM_PROCESSES + 1);
    CHECK(strstr(out, "label=kernel lines=") != 0);
    CHECK_EQ(console_lost_lines(), lost); /* none of these was refused itself */
}

CASE(a_host_that_stops_reading_stops_nobody) {
    start();
    host_uart_reads = false;
    CHECK_EQ(say(CLIENT, "ready", 5), E_OK);
    uint64_t before = host_time;
    console_interrupt();
    CHECK_EQ(host_time, before);
    CHECK_EQ(receive(proc(SERVER), 0), BLOCKED);
    CHECK_EQ(call(proc(CLIENT), H_SERVER), BLOCKED);
    host_uart_reads = true;
    CHECK(strcmp(printed(), "client: ready\n") == 0);
}

CASE(the_device_asks_for_more_while_there_is_more) {
    start();
    CHECK(!host_uart_asks || host_uart_bytes == 0);
    console_interrupt();
    CHECK(!host_uart_asks);
    char text[200];
    memset(text, 'm', sizeof text);
    CHECK_EQ(say(CLIENT, text, sizeof text), E_OK);
    CHECK(host_uart_asks);
    while (host_uart_asks) console_interrupt();
    CHECK_EQ(host_uart_bytes, sizeof text + 2 * (8 + 1));
    host_uart_reads = false;
    CHECK_EQ(say(CLIENT, text, 1), E_OK);
    console_interrupt();
    CHECK(host_uart_asks);
}

CASE(an_empty_text_is_no_line) {
    start();
    CHECK_EQ(sys(proc(CLIENT), SYS_CONSOLE_WRITE, H_CONSOLE, VA_HEAP, 0), E_BAD_POINTER);
    CHECK(strcmp(printed(), "") == 0);
}

CASE(bytes_that_wait_are_counted) {
    start();
    host_uart_reads = false;
    uint32_t before = console_waiting_bytes();
    CHECK_EQ(say(CLIENT, "x", 1), E_OK);
    CHECK_EQ(console_waiting_bytes() - before, sizeof "client: x\n" - 1);
    host_uart_reads = true;
    (void)printed();
    CHECK_EQ(console_waiting_bytes(), 0);
}

CASE(ten_thousand_short_lines_are_accounted_for) {
    start();
    uint32_t accepted = 0, refused = 0, lines = 0;
    host_uart_reads = false;
    for (uint32_t i = 0; i < 10000; i++) {
        uint32_t who = i % SYSTEM_PROCESSES;
        if (say(who, "x", 1) == E_OK) accepted++; else refused++;
        if (i % 2500 != 2499) continue; /* more than there is room for, in bytes and in lines */
        host_uart_reads = true;
        for (const char *at = printed(); (at = strstr(at, ": x\n")) != 0; at++) lines++;
        host_uart_bytes = 0;
        host_uart_reads = false;
    }
    host_uart_reads = true;
    for (const char *at = printed(); (at = strstr(at, ": x\n")) != 0; at++) lines++;
    CHECK_EQ(lines, accepted);
    CHECK_EQ(accepted + refused, 10000);
    CHECK_EQ(console_lost_lines(), refused);
}

/* --- lines that a server writes for somebody --- */

static const char line[] = "a line that is written because CLIENT has asked for something";

static uint64_t owed; /* the reply that SERVER holds: its registers change with each line */

static void take_call(void) {
    CHECK_EQ(receive(proc(SERVER), 0), E_OK);
    owed = got_reply(proc(SERVER));
}

/* Served: CLIENT's call lies with SERVER, which has a quota of LIMIT_CONSOLE_RESERVED. */
static void start_serving(void) {
    start();
    host_uart_reads = false;
    CHECK_EQ(call(proc(CLIENT), H_SERVER), BLOCKED);
    take_call();
}

/* Not by console_drain, which is the end of the system: as it goes on. */
static void printed_later(void) {
    host_uart_reads = true;
    while (console_waiting_bytes()) console_interrupt();
    check_invariants();
}

static void serve_until_stalled(void) {
    while (proc(CLIENT)->console_of == NOBODY) CHECK_EQ(say(SERVER, line, sizeof line), E_OK);
    CHECK_EQ(proc(CLIENT)->console_of, SERVER);
    CHECK_EQ(reply(proc(SERVER), owed), E_OK);
}

CASE(whose_lines_the_host_has_not_read_waits_and_nobody_else) {
    start_serving();
    serve_until_stalled();
    CHECK(proc(SERVER)->console_used <= LIMIT_CONSOLE_RESERVED / 2 + sizeof line + 8); /* as much again is free */
    CHECK(proc(CLIENT)->state == STATE_READY && !proc(CLIENT)->queued);
    CHECK(proc(SERVER)->console_of == NOBODY && proc(TWIN)->queued);
    CHECK_EQ(say(SERVER, line, sizeof line), E_OK);
    host_uart_reads = true;
    for (uint32_t last = proc(SERVER)->console_used; proc(CLIENT)->console_of != NOBODY; last = proc(SERVER)->console_used) {
        CHECK(last > LIMIT_CONSOLE_RESERVED / 4);
        console_interrupt();
        check_invariants();
    }
    CHECK(proc(SERVER)->console_used <= LIMIT_CONSOLE_RESERVED / 4 && proc(CLIENT)->queued);
    CHECK_EQ(console_lost_lines(), 0);
}

CASE(who_was_stalled_in_a_call_is_answered_and_goes_on_when_the_host_reads) {
    start_serving();
    while (proc(CLIENT)->console_of == NOBODY) CHECK_EQ(say(SERVER, line, sizeof line), E_OK);
    printed_later();
    CHECK_EQ(proc(CLIENT)->state, STATE_CALLING);
    CHECK_EQ(reply(proc(SERVER), owed), E_OK);
    CHECK(proc(CLIENT)->queued);
}

CASE(a_host_that_reads_no_more_keeps_nobody_from_running_for_long) {
    start_serving();
    serve_until_stalled();
    uint64_t until = host_time + LIMIT_CONSOLE_STALL;
    while (host_time < until) {
        CHECK_EQ(proc(CLIENT)->console_of, SERVER);
        tick(LIMIT_SHARE_PERIOD_TICKS / 2);
    }
    tick(LIMIT_SHARE_PERIOD_TICKS);
    CHECK(proc(CLIENT)->console_of == NOBODY && (proc(CLIENT)->queued || proc(CLIENT) == current));
}

CASE(who_serves_others_never_waits_for_the_host) {
    start();
    host_uart_reads = false;
    CHECK_EQ(call(proc(MIDDLE), H_SERVER), BLOCKED);
    CHECK_EQ(receive(proc(SERVER), 0), E_OK);
    while (say(SERVER, line, sizeof line) == E_OK) CHECK_EQ(proc(MIDDLE)->console_of, NOBODY);
    CHECK(console_lost_lines() > 0);
}

CASE(what_one_writes_for_oneself_stalls_nobody) {
    start();
    host_uart_reads = false;
    while (say(CLIENT, line, sizeof line) == E_OK) CHECK_EQ(proc(CLIENT)->console_of, NOBODY);
    while (say(SERVER, line, sizeof line) == E_OK) {}
    for (uint32_t i = 0; i < SYSTEM_PROCESSES; i++) CHECK_EQ(proc(i)->console_of, NOBODY);
}

CASE(one_asked_on_the_way_stalls_whoever_asked_first) {
    start();
    host_uart_reads = false;
    CHECK_EQ(call(proc(CLIENT), H_MIDDLE), BLOCKED);
    CHECK_EQ(receive(proc(MIDDLE), 0), E_OK);
    CHECK_EQ(receive(proc(SERVER), 0), BLOCKED);
    CHECK_EQ(call(proc(MIDDLE), H_SERVER), BLOCKED);
    while (proc(CLIENT)->console_of == NOBODY) CHECK_EQ(say(SERVER, line, sizeof line), E_OK);
    CHECK_EQ(proc(MIDDLE)->console_of, NOBODY);
}

CASE(a_stalled_process_can_be_ended_and_starts_anew) {
    start_serving();
    serve_until_stalled();
    restart(CLIENT);
    CHECK(proc(CLIENT)->console_of == NOBODY && proc(CLIENT)->queued);
}

CASE(a_throttled_process_that_stalls_waits_for_both) {
    start();
    host_uart_reads = false;
    CHECK_EQ(call(proc(LOW), H_SERVER), BLOCKED);
    take_call();
    while (proc(LOW)->console_of == NOBODY) CHECK_EQ(say(SERVER, line, sizeof line), E_OK);
    tick(LIMIT_SHARE_PERIOD_TICKS * TEST_SHARE / 1000); /* SERVER's work, which LOW pays for */
    CHECK_EQ(reply(proc(SERVER), owed), E_OK);
    CHECK(proc(LOW)->throttled && !proc(LOW)->queued);
    printed_later();
    CHECK(proc(LOW)->throttled && !proc(LOW)->queued);
    tick(LIMIT_SHARE_PERIOD_TICKS);
    CHECK(proc(LOW)->queued || proc(LOW) == current);
}
