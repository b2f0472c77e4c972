/*
 * The servers of the proof, `victim` and, behind it, `deep`: they do what a caller asks, honestly or as a bad server would,
 * and tell the judge (READY badge) what they saw. Called by main.c and runner.c.
 */
#include "proof.h"

#include "victim.h"

enum { MAX_KEPT = LIMIT_CAP_SLOTS };

static struct report report;
static uint64_t kept[MAX_KEPT];
static uint32_t kept_count;
static uint64_t filled[LIMIT_CAP_SLOTS];
static uint32_t filled_count;
static uint64_t held;     /* reply kept back, or 0 */
static uint32_t accepted; /* capabilities taken with the next message */
static uint64_t next_server;

static void forget_all(void) {
    while (kept_count) (void)nexus_cap_drop(kept[--kept_count]);
    while (filled_count) (void)nexus_cap_drop(filled[--filled_count]);
    if (held) (void)nexus_cap_drop(held);
    held = 0;
    accepted = IPC_MAX_CAPS;
    report = (struct report){0};
}

/* Minting until only so many slots are left, the reply of the call being served counted as used. */
static void fill(uint32_t leave) {
    uint64_t handle;
    while (filled_count < LIMIT_CAP_SLOTS && nexus_cap_mint(CAP_ENDPOINT, 1, RIGHT_CALL, &handle) == E_OK)
        filled[filled_count++] = handle;
    while (leave-- && filled_count) (void)nexus_cap_drop(filled[--filled_count]);
}

static void take_caps(const struct nexus_delivery *d) {
    for (uint32_t i = 0; i < nexus_caps(d->word) && kept_count < MAX_KEPT; i++) kept[kept_count++] = NEXUS_CAPS[i];
    report.kept = kept_count;
}

static uint32_t put_kept(uint32_t count) {
    uint32_t n = 0;
    while (n < count && kept_count) NEXUS_CAPS[n++] = (uint32_t)kept[--kept_count];
    return n;
}

/* Awake only between two ticks: by the kernel's clock it hardly ever runs when somebody looks. */
static void evade(void) {
    uint64_t bits;
    for (;;) {
        uint64_t begun = nexus_time();
        while (nexus_time() - begun < LIMIT_SLICE_TICKS / 5) {}
        (void)nexus_wait(CAP_NOTIFICATION, nexus_time() + LIMIT_SLICE_TICKS / 25, &bits);
    }
}

static uint64_t nest(uint32_t op, uint64_t number) {
    uint64_t word, begun = nexus_time();
    outgoing()->op = op;
    uint64_t status = nexus_call(next_server, nexus_word(sizeof(struct message), 0, 0), begun + number * MS, 0, &word);
    report.ticks = nexus_time() - begun;
    return status;
}

/* The capability that came last, wherever it leads. */
static uint64_t call_kept(void) {
    uint64_t word;
    outgoing()->op = OP_PROBE;
    return kept_count ? nexus_call(kept[kept_count - 1], nexus_word(sizeof(struct message), 0, 0), nexus_time() + 20 * MS, 0, &word) : E_BAD_HANDLE;
}

static uint64_t wait_for_nothing(uint64_t number) {
    uint64_t bits, begun = nexus_time();
    uint64_t status = nexus_wait(CAP_NOTIFICATION, begun + number * MS, &bits);
    report.ticks = nexus_time() - begun;
    return status;
}

static void answer_held(uint32_t count) {
    struct nexus_answer answer = {.caps = put_kept(count)};
    uint32_t named = answer.caps;
    report.status = nexus_reply(held, &answer);
    if (report.status != E_OK) kept_count += named; /* nothing moved: still in its table */
    if (report.status == E_OK) report.count++;
    if (report.status == E_OK || report.status == E_CALLER_GONE) held = 0;
}

/* Work of its own that takes longer than its caller may wait. */
static void put_off(uint64_t reply, uint32_t ms) {
    struct nexus_delivery d;
    uint64_t word;
    held = reply;
    (void)nexus_recv(CAP_ENDPOINT, 0, 1, &d); /* long past: it takes nobody, as only this caller calls */
    outgoing()->op = SERVE_BUSY;
    outgoing()->number = ms;
    report.value = nexus_call(next_server, nexus_word(sizeof(struct message), 0, 0), nexus_time() + PATIENCE, 0, &word);
    answer_held(0);
}

static void count_call(const struct nexus_delivery *d, uint64_t value) {
    report.count++;
    report.badge = d->badge;
    report.sender_id = d->sender_id;
    report.value = value;
}

/* What the caller's message asks for; false: no answer now. */
static bool handle(const struct nexus_delivery *d, struct nexus_answer *answer) {
    struct message m;
    memcpy(&m, NEXUS_BUFFER, sizeof m);
    *answer = (struct nexus_answer){.bytes = sizeof m};
    switch (m.op) {
    case OP_ASK: *(volatile struct told *)NEXUS_BUFFER = (struct told){.role = ROLE_SERVE}; answer->bytes = sizeof(struct told); break;
    case SERVE_COUNT: count_call(d, m.value); take_caps(d); break;
    case SERVE_GIVE: answer->caps = put_kept(m.number); break;
    case SERVE_GRANT: *NEXUS_GRANTS = (struct grant){CAP_ENDPOINT, m.number, m.value}; answer->grants = 1; break;
    case SERVE_ECHO: answer->bytes = m.number; break;
    case SERVE_HOLD: take_caps(d); held = d->reply; return false;
    case SERVE_PUT_OFF: put_off(d->reply, m.number); return false;
    case SERVE_ANSWER: answer_held(m.number); break;
    case SERVE_LET_GO: (void)nexus_cap_drop(held); held = 0; break;
    case SERVE_EXIT: nexus_exit(1);
    case SERVE_FAULT: __builtin_trap();
    case SERVE_SPIN: for (;;) {}
    case SERVE_EVADE: evade(); break;
    case SERVE_BUSY: spin(m.number * MS); break;
    case SERVE_NEST: outgoing()->value = nest(SERVE_HOLD, m.number); break;
    case SERVE_NEST_COUNT: outgoing()->value = nest(SERVE_COUNT, 20); break;
    case SERVE_CALL: outgoing()->value = call_kept(); break;
    case SERVE_WAIT: outgoing()->value = wait_for_nothing(m.number); break;
    case SERVE_FILL: fill(m.number); break;
    case SERVE_ACCEPT: accepted = m.number; break;
    case SERVE_RESET: forget_all(); break;
    case SERVE_REPORT: memcpy(NEXUS_BUFFER, &report, sizeof report); answer->bytes = sizeof report; break;
    }
    return true;
}

/* `next`: the server that this one may call, or 0. */
int serve(uint64_t next) {
    struct nexus_delivery d;
    struct nexus_answer answer;
    next_server = next;
    forget_all();
    for (;;) {
        uint64_t status = nexus_recv(CAP_ENDPOINT, accepted, 0, &d);
        if (status != E_OK && status != E_NO_SLOT) return (int)status; /* an app without endpoint ends here */
        if (status == E_NO_SLOT) accepted = 0;                         /* its table is full, as somebody wanted */
        if (status != E_OK || !(nexus_flags(d.word) & DELIVER_MESSAGE)) continue;
        if (handle(&d, &answer)) {
            uint64_t given_back = nexus_reply(d.reply, &answer);
            if (given_back != E_OK) report.status = given_back;
            if (given_back != E_OK && given_back != E_CALLER_GONE) (void)nexus_cap_drop(d.reply);
        }
    }
}
