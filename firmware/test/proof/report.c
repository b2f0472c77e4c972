/*
 * The judge's lines. One per run of a case: number, name, attack or twin, how it ended by the kernel's record, the effect, what
 * it cost in slots and frames. Parsed by tooling/nexus/machine/proof.py; a line that does not fit into the FIFO is said again.
 */
#include "measure.h"

enum { LINE_BYTES = LIMIT_WRITE_BYTES, RETRY_TICKS = MS, RETRIES = 20000 };

struct line {
    char text[LINE_BYTES];
    uint32_t bytes;
};

static void add(struct line *line, const char *text) {
    while (*text && line->bytes < LINE_BYTES) line->text[line->bytes++] = *text++;
}

static void add_hex(struct line *line, const char *name, uint64_t value) {
    char digits[17];
    uint32_t n = sizeof digits - 1;
    digits[n] = 0;
    do digits[--n] = "0123456789abcdef"[value & 15];
    while (value >>= 4);
    add(line, name);
    add(line, digits + n);
}

static void add_signed(struct line *line, const char *name, int64_t value) {
    char digits[21];
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    uint32_t n = sizeof digits - 1;
    digits[n] = 0;
    do digits[--n] = (char)('0' + rest % 10);
    while (rest /= 10);
    add(line, name);
    if (value < 0) add(line, "-");
    add(line, digits + n);
}

static void say(const struct line *line) {
    uint64_t bits;
    for (uint32_t i = 0; i < RETRIES && nexus_console_write(CAP_CONSOLE, line->text, line->bytes) == E_FULL; i++)
        (void)nexus_wait(CAP_NOTIFICATION, nexus_time() + RETRY_TICKS, &bits);
}

static const char *const faults[] = {"none", "exit", "memory", "instruction", "misaligned", "hung", "killed", "syscall"};

static void add_end(struct line *line, const char *name, const struct process_status *end) {
    add(line, name);
    add(line, end->fault < COUNT(faults) ? faults[end->fault] : "unknown");
    add_hex(line, ":", end->value);
}

void say_run(uint32_t number, const char *name, bool right, int64_t effect, const struct usage *before, const struct usage *after) {
    struct line line = {.bytes = 0};
    add_signed(&line, "case ", number);
    add(&line, " ");
    add(&line, name);
    add(&line, right ? " twin" : " attack");
    add_end(&line, seen.late ? " late=" : " end=", &seen.end);
    add_signed(&line, " effect=", effect);
    add_signed(&line, " slots=", (int64_t)(after->slots - before->slots));
    add_signed(&line, " frames=", (int64_t)(after->frames - before->frames));
    add_hex(&line, " token=", seen.token);
    add_hex(&line, " data=", seen.helper_data ? seen.helper_data : seen.data);
    say(&line);
}

void say_look(uint32_t number, const char *what, bool right) {
    struct line line = {.bytes = 0};
    add_signed(&line, "look ", number);
    add(&line, " ");
    add(&line, what);
    add(&line, right ? " twin" : " attack");
    add_hex(&line, " token=", seen.token);
    add_hex(&line, " data=", seen.data);
    say(&line);
}

void say_end(const struct usage *before, const struct usage *after) {
    struct line line = {.bytes = 0};
    uint32_t cases = 0;
    while (proof_case_at(cases)) cases++;
    add_signed(&line, "end cases=", cases);
    add_signed(&line, " slots=", (int64_t)before->slots);
    add_signed(&line, "/", (int64_t)after->slots);
    add_signed(&line, " frames=", (int64_t)before->frames);
    add_signed(&line, "/", (int64_t)after->frames);
    say(&line);
}
