/*
 * What bundlemgrd and execd refuse somebody who has the way there and no right to anything: each of their operations, about bundles that
 * are installed and such as are not, that a rule denies and that none allows, about a child that another one has and about none.
 */
#include "uniform.h"

#include "bench.h"
#include "nexus.h"
#include "refusals.h"

enum { ROUNDS = 128, NAMES = 4, LABEL = 24, STAGED = 1000, NO_ROW = 200 };

/* Of one length. The last two are installed, the first and the last one are denied by a rule. */
static const char *const names[NAMES] = {"selftest.deny", "selftest.none", "selftest.stay", "selftest.keep"};
static const char *const classes[NAMES] = {".rule", ".none", ".here", ".both"};

static size_t put_text(char *to, const char *text) {
    size_t n = 0;
    while ((to[n] = text[n])) n++;
    return n;
}

static void put_number(struct request *request, uint32_t number, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) request->payload[request->bytes++] = (uint8_t)(number >> 8 * i);
}

static struct request about(const struct request *opening, const char *name) {
    struct request request = *opening;
    request.bytes += put_text((char *)request.payload + request.bytes, name);
    return request;
}

/* One operation about each of the names, behind what its payload begins with. */
static void say_names(const char *operation, const struct request *opening) {
    static char labels[NAMES][LABEL];
    struct refusal refusals[NAMES];
    for (size_t i = 0; i < NAMES; i++) {
        put_text(labels[i] + put_text(labels[i], operation), classes[i]);
        refusals[i] = (struct refusal){labels[i], about(opening, names[i])};
    }
    say_refusals(refusals, NAMES, ROUNDS);
}

/* One operation about two numbers. */
static void say_numbers(const struct request *opening, size_t bytes, const char *const labels[2], const uint32_t numbers[2]) {
    struct refusal refusals[2] = {{labels[0], *opening}, {labels[1], *opening}};
    for (size_t i = 0; i < 2; i++) put_number(&refusals[i].request, numbers[i], bytes);
    say_refusals(refusals, 2, ROUNDS);
}

void bundle_refusals(void) {
    struct request list = {CAP_BUNDLEMGRD, OP_BUNDLEMGRD_LIST, 0, 0, {0}}, stage = {CAP_BUNDLEMGRD, OP_BUNDLEMGRD_STAGE, 0, 0, {0}};
    say_numbers(&list, 1, (const char *const[]){"list.here", "list.none"}, (const uint32_t[]){0, NO_ROW});
    say_names("verify", &(struct request){CAP_BUNDLEMGRD, OP_BUNDLEMGRD_VERIFY, 0, 0, {0}});
    say_names("install", &(struct request){CAP_BUNDLEMGRD, OP_BUNDLEMGRD_INSTALL, 0, 0, {0}});
    say_names("uninstall", &(struct request){CAP_BUNDLEMGRD, OP_BUNDLEMGRD_UNINSTALL, 0, 0, {0}});
    say_names("open", &(struct request){CAP_BUNDLEMGRD, OP_BUNDLEMGRD_OPEN, 1, 0, {0}});
    put_number(&stage, STAGED, sizeof(uint32_t));
    say_names("stage", &stage);
}

void exec_refusals(uint32_t others_child) {
    struct request exec = {CAP_EXECD, OP_EXECD_EXEC, 0, 0, {0}}, children = {CAP_EXECD, OP_EXECD_LIST, 0, 0, {0}};
    const uint32_t numbers[] = {others_child, 0};
    put_number(&exec, 0, 1);
    say_names("exec", &exec);
    put_number(&children, 0, sizeof(uint32_t));
    say_names("children", &children);
    struct request kill = {CAP_EXECD, OP_EXECD_KILL, 0, 0, {0}}, wait = {CAP_EXECD, OP_EXECD_WAIT, 0, 0, {0}};
    say_numbers(&kill, sizeof(uint32_t), (const char *const[]){"kill.other", "kill.none"}, numbers);
    say_numbers(&wait, sizeof(uint32_t), (const char *const[]){"wait.other", "wait.none"}, numbers);
}
