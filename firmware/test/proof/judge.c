/*
 * The judge: runs every case twice, without and with the right, and prints what the kernel's records and the parties attacked
 * show. Called by main.c in the root process. Never says whether that is right: the host compares it with its own table.
 */
#include "proof.h"

#include "measure.h"

enum { POLL_TICKS = MS, QUIET_TICKS = LIMIT_TICK_HZ, CASE_TICKS = 5 * LIMIT_TICK_HZ, LOOK_TICKS = 20 * LIMIT_TICK_HZ, SETTLE_TICKS = LIMIT_TICK_HZ / 5 };

struct seen seen;
uint64_t secret;
/* The host writes the number of the last look that it has finished; found by name in the ELF. */
volatile uint32_t proof_host_word;
static uint32_t looks;
static const struct proof_case *running;
static uint32_t running_number;
static bool running_right;
static struct nexus_delivery postponed; /* the attacker's question, while it has to wait */

/* --- messages of the processes under test --- */

static void describe(struct told *order) {
    if (running == 0) return;
    order->number = running_number;
    order->right = running_right;
    order->token = seen.token;
    const char *name = running->name;
    while (*name && *name++ != '.') {}
    for (uint32_t i = 0; i + 1 < sizeof order->name && name[i]; i++) order->name[i] = name[i];
}

static void answer_ask(const struct nexus_delivery *d, enum who who) {
    struct told order = {.role = ROLE_IDLE};
    uint32_t grants = 0;
    if (running && who == seen.who && !seen.asked) {
        if (running->after_helper && !waits_in_call(running->helper)) {
            postponed = *d;
            return;
        }
        order = (struct told){.role = ROLE_ATTACK, .life = seen.lives};
        grants = gifts_put();
        seen.asked = true;
    } else if (running && who == running->helper && running->help) {
        order.role = ROLE_HELP;
        seen.helper_asked = true;
    } else if (running && who == running->second && running->assist) {
        order.role = ROLE_ASSIST;
    }
    describe(&order);
    memcpy(NEXUS_BUFFER, &order, sizeof order);
    answer(d, sizeof order, grants);
    if (order.role == ROLE_ATTACK) seen.at_ask = status_of(who);
}

/* The host reads the machine's memory and devices now: they stay as they are until it has written the number. */
void let_host_look(const char *what) {
    uint64_t end = nexus_time() + LOOK_TICKS, bits;
    say_look(++looks, what, running_right);
    while (proof_host_word != looks && nexus_time() < end) (void)nexus_wait(CAP_NOTIFICATION, nexus_time() + POLL_TICKS, &bits);
}

static void on_done(const struct nexus_delivery *d, const struct message *m, enum who who) {
    if (running && who == running->helper && m->data) seen.helper_data = m->data;
    if (running && who == seen.who) {
        seen.done = true;
        seen.status = m->value;
        seen.data = m->data;
        seen.at_done = status_of(who);
        if (running->at_done) running->at_done(running->arg, running_right);
        if (running->look) let_host_look(running->look);
    }
    answer(d, 0, 0);
}

static void on_probe(const struct nexus_delivery *d, const struct message *m) {
    seen.probes++;
    seen.beyond = take_token_behind();
    seen.probe_value = m->value;
    seen.probe_badge = d->badge;
    seen.probe_flags = nexus_flags(d->word);
    if (seen.probe_flags & DELIVER_BEHALF && *(volatile uint64_t *)(VA_IPC + IPC_SUBJECT_ID) == status_of(running->helper).service_id)
        seen.behalf++;
    seen.probe_mask = *(volatile uint64_t *)(VA_IPC + IPC_SENDER_MASK);
    seen.probe_publisher = *(volatile uint64_t *)(VA_IPC + IPC_SENDER_PUBLISHER);
    for (uint32_t i = 0; i < nexus_caps(d->word); i++) keep(NEXUS_CAPS[i]);
    if (running->poll) running->poll(running->arg, running_right);
    answer(d, sizeof *m, 0);
}

static void on_message(const struct nexus_delivery *d) {
    struct message m;
    memcpy(&m, NEXUS_BUFFER, sizeof m);
    enum who who = who_is(d);
    if (m.op == OP_ASK) answer_ask(d, who);
    else if (m.op == OP_DONE) on_done(d, &m, who);
    else on_probe(d, &m);
}

/* --- one run of a case --- */

static bool ended(enum who who) { return status_of(who).state == STATE_STOPPED; }

static bool all_ended(void) {
    return ended(seen.who) && (!running->help || running->helper >= WHO_COUNT || ended(running->helper)) &&
           (!running->assist || ended(running->second));
}

static void serve_until_ended(void) {
    uint64_t end = nexus_time() + CASE_TICKS;
    struct nexus_delivery d;
    while (!all_ended()) {
        if (nexus_time() > end) {
            seen.late = true;
            return;
        }
        uint64_t status = nexus_recv(CAP_ENDPOINT, MAX_ACCEPT, nexus_time() + (running->quiet ? QUIET_TICKS : POLL_TICKS), &d);
        if (status == E_OK && nexus_flags(d.word) & DELIVER_MESSAGE) on_message(&d);
        else if (status == E_OK) seen.bits |= nexus_bits(&d) & ~CHILDREN_BITS;
        if (postponed.reply && waits_in_call(running->helper)) {
            const struct nexus_delivery d = postponed;
            postponed.reply = 0;
            answer_ask(&d, seen.who);
        }
        if (running->poll) running->poll(running->arg, running_right);
    }
}

/* Everybody as before the case; what the kernel still has to give back gets its time. */
static void tidy(void) {
    stop_all();
    drop_kept();
    free_judge_regions();
    repair_servers();
    uint64_t end = nexus_time() + SETTLE_TICKS, bits;
    while (live_apps() && nexus_time() < end) (void)nexus_wait(CAP_NOTIFICATION, nexus_time() + POLL_TICKS, &bits);
}

static void run_once(bool right) {
    const struct proof_case *c = running;
    seen = (struct seen){.who = right && c->twin_who != WHO_ATTACKER ? c->twin_who : c->who, .begun = nexus_time()};
    running_right = right;
    postponed.reply = 0;
    seen.token = next_random();
    secret = next_random();
    gifts_forget();
    struct usage before = usage_now();
    if (c->arrange) c->arrange(c->arg, right);
    uint64_t started = restart(seen.who);
    if (started == E_OK && c->help && c->helper < WHO_COUNT) started = restart(c->helper);
    if (started == E_OK && c->assist) started = restart(c->second);
    serve_until_ended();
    seen.end = status_of(seen.who);
    if (c->help && c->helper < WHO_COUNT) seen.helper_end = status_of(c->helper);
    int64_t effect = c->effect ? c->effect(c->arg, right) : seen.done;
    tidy();
    struct usage after = usage_now();
    say_run(running_number, c->name, right, effect, &before, &after);
}

static void run_cases(void) {
    for (uint32_t number = 0; proof_case_at(number); number++) {
        running = proof_case_at(number);
        running_number = number;
        run_once(false);
        run_once(true);
    }
    running = 0;
}

int judge(void) {
    uint64_t nothing;
    measure_begin();
    let_host_look("start");
    struct usage before = usage_now();
    run_cases();
    struct usage after = usage_now();
    say_end(&before, &after);
    let_host_look("end");
    (void)nexus_system(CAP_SYSTEM, SYSTEM_SHUTDOWN, EXIT_OK, 0, &nothing);
    return 1;
}
