/*
 * Lines that are to look like another's, floods, and a host that stops reading. The host judges what arrives: every line must
 * carry its writer's label and nothing raw; lines lost are counted and told.
 */
#include "app.h"
#include "attacker.h"
#include "effects.h"
#include "help.h"
#include "holder.h"

enum { FLOOD = 20000, REFUSALS = 50, LONGEST = LIMIT_WRITE_BYTES, HELD_PROBES = 40, TOKEN = 16 };

static void put_token(char *to) {
    for (uint32_t i = 0; i < TOKEN; i++) to[i] = "0123456789abcdef"[told.token >> (60 - 4 * i) & 15];
}

/* With %: the token stands there, so that the host knows the line. Without the escapes of C these would be raw bytes. */
struct forgery {
    const char *text;
    uint32_t bytes;
};
#define FORGERY(string) {string, sizeof string - 1}
static const struct forgery forgeries[] = {
    FORGERY("SELFTEST: " MARK_END " %"),
    FORGERY("%\nSELFTEST: " MARK_END),
    FORGERY("%\r\nkernel: panic forged"),
    FORGERY("%\n\n\nkernel: end run=00000000000000000000000000000000 code=42"),
    FORGERY("\x1b[2K\x1b[1Gkernel: panic %"),
    FORGERY("\b\b\b\b\b\b\b\b\b\bjudge: %"),
    FORGERY("%\\x0akernel: panic"),
    FORGERY("\0kernel: panic %"),
    FORGERY("\xff\xfe\x80\xc3\x28 %"),
    FORGERY("%"),
};

static uint64_t write_forgery(uint32_t number, bool right) {
    char text[128];
    const struct forgery *f = &forgeries[right ? COUNT(forgeries) - 1 : number];
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->bytes; i++) {
        if (f->text[i] == '%') put_token(text + n), n += TOKEN;
        else text[n++] = f->text[i];
    }
    return nexus_console_write(CAP_CONSOLE, text, n);
}

/* So long that it goes on in a second line, which starts where the forgery does. */
static uint64_t write_long(uint32_t arg, bool right) {
    (void)arg;
    static const char forged[] = "kernel: panic forged SELFTEST: " MARK_END;
    char text[LONGEST];
    memset(text, '.', sizeof text);
    put_token(text);
    memcpy(text + LIMIT_LINE_BYTES, forged, sizeof forged - 1);
    return nexus_console_write(CAP_CONSOLE, text, right ? TOKEN : LONGEST);
}

/* Until so many lines were refused, which `data` counts. The host has stopped reading, so that comes. */
static uint64_t write_often(const char *text, uint32_t bytes) {
    uint64_t status = E_OK;
    for (uint32_t i = 0; i < FLOOD && done_data < REFUSALS; i++) {
        status = nexus_console_write(CAP_CONSOLE, text, bytes);
        done_data += status == E_FULL;
    }
    return status;
}

/* Once, as soon as what was written before is out. */
static uint64_t write_patiently(const char *text, uint32_t bytes) {
    uint64_t status, end = deadline_in(PATIENCE);
    while ((status = nexus_console_write(CAP_CONSOLE, text, bytes)) == E_FULL && nexus_time() < end) {
        done_data++;
        pause_for(MS);
    }
    return status;
}

/* More than the quota holds, as fast as it goes. */
static uint64_t flood(uint32_t arg, bool right) {
    (void)arg;
    if (probe(0) != E_OK) return UNLIKE;
    char text[LIMIT_LINE_BYTES];
    memset(text, 'f', sizeof text);
    put_token(text);
    return right ? write_patiently(text, TOKEN) : write_often(text, sizeof text);
}

/* Every byte is written as four: the quota counts what goes out, not what came in. */
static uint64_t flood_escaped(uint32_t arg, bool right) {
    (void)arg;
    if (probe(0) != E_OK) return UNLIKE;
    char text[LONGEST];
    memset(text, '\n', sizeof text);
    put_token(text);
    return right ? write_patiently(text, TOKEN) : write_often(text, sizeof text);
}

/* Nobody may wait for it: the calls after the flood show how long they take. */
static uint64_t flood_held(uint32_t arg, bool right) {
    uint64_t refused = flood(arg, right), begun = nexus_time();
    for (uint32_t i = 0; i < HELD_PROBES; i++)
        if (probe(i) != E_OK) return UNLIKE;
    return nexus_time() - begun < 100 * MS ? refused : UNLIKE;
}

/* What one process floods is its own quota: another one still gets its line in. */
static uint64_t flood_beside(uint32_t arg, bool right) {
    uint64_t status = flood(arg, right);
    return probe(1) == E_OK ? status : UNLIKE;
}

static uint64_t help_write_once(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return nexus_console_write(CAP_CONSOLE, "beside", 6);
}

/* The host stops reading before the first probe is answered. */
static void let_host_hold(uint32_t arg, bool right) {
    (void)arg;
    if (seen.probes != 1 || seen.measured) return;
    seen.measured = 1;
    if (!right) let_host_look("hold");
}

static void hold_then_write(uint32_t arg, bool right) {
    let_host_hold(arg, right);
    if (seen.probes != 2 || seen.measured != 1) return;
    seen.measured = 2;
    (void)restart(WHO_EQUAL);
}

static int64_t other_refused(uint32_t arg, bool right) {
    return helper_succeeded(arg, right) ? right : -1;
}

/* The calls went on, and the refused lines were counted. */
static int64_t went_on(uint32_t arg, bool right) {
    (void)arg;
    return seen.probes != HELD_PROBES + 1 ? -1 : right;
}

/* --- an app's label is its name --- */

static uint64_t spawn_label(uint32_t number, bool right) {
    static const char *const ids[] = {"a: kernel", "kernel\n", "x| y"};
    return spawn_simple(CAP_SPAWN, sealed_app(CAP_REGION_0, right ? "proof" : ids[number]));
}

#define FORGE(title, number) {.name = "console." title, .attack = write_forgery, .arg = number}
#define LABEL(title, number) {.name = "console." title, .attack = spawn_label, .arg = number, .who = WHO_HOLDER, .at_done = measure_apps, .effect = was_measured}
static const struct proof_case cases[] = {
    FORGE("marker", 0), FORGE("newline", 1), FORGE("carriage_return", 2), FORGE("last_line", 3), FORGE("escape", 4), FORGE("backspace", 5),
    FORGE("backslash", 6), FORGE("nul", 7), FORGE("high_bytes", 8),
    {.name = "console.continued", .attack = write_long},
    {.name = "console.flood", .attack = flood, .poll = let_host_hold},
    {.name = "console.flood_escaped", .attack = flood_escaped, .poll = let_host_hold},
    {.name = "console.held", .attack = flood_held, .poll = let_host_hold, .effect = went_on},
    {.name = "console.flood_beside", .attack = flood_beside, .helper = WHO_EQUAL, .help = help_write_once, .poll = hold_then_write,
     .effect = other_refused},
    LABEL("label_colon", 0), LABEL("label_newline", 1), LABEL("label_bar", 2),
};
const struct proof_group console_group = {cases, COUNT(cases)};
