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
