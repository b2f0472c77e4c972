/* See explore.h. A step is a system call of a process, time going on, or ROOT ending or restarting somebody. */
#include "explore.h"

enum { BAD_HANDLE = 0xabcdef05, SIGNAL_BITS = 0x10 };

uint64_t explored_steps;

/* --- what led to a failure --- */

enum { REMEMBERED = 12 };
static struct step trace[REMEMBERED];

static void tell_trace(void) {
    static const char *const names[STEP_KINDS] = {"call", "recv", "reply", "reply_recv", "notify", "wait", "drop", "mint", "revoke", "time", "kill",
                                                  "restart"};
    fprintf(stderr, "at time %llu after %llu steps, the last of them:\n", (unsigned long long)host_time, (unsigned long long)explored_steps);
    for (uint32_t i = 0; i < REMEMBERED; i++) {
        const struct step *s = &trace[(explored_steps + 1 + i) % REMEMBERED];
        if (s->actor == 0 && s->kind != STEP_TIME) continue;
        fprintf(stderr, "  %s by %s: token %u behalf %u accept %u gifts %u (%u %u) grants %u until %llu badge %llx\n", names[s->kind],
                proc(s->actor)->row->label, s->token, s->behalf, s->accept, s->gift_count, s->gifts[0], s->gifts[1], s->grants,
                (unsigned long long)s->until, (unsigned long long)s->badge);
    }
}

/* --- the same capabilities on both sides --- */

static uint16_t add(struct model *m, uint16_t index, uint8_t type, uint8_t rights, uint16_t object, uint64_t badge, uint64_t handle) {
    uint16_t t = model_token(m, index, type, rights, object, badge);
    m->tokens[t].handle = handle;
    return t;
}

/* What image.c gives that the model is about, a capability to signal, and a table so full that room matters. */
void model_boot_tokens(struct model *m, uint16_t index) {
    static const uint16_t signals_to[ACTORS] = {[CLIENT] = MIDDLE, [TWIN] = CLIENT, [LOW] = SERVER, [MIDDLE] = SERVER, [SERVER] = MIDDLE};
    struct process *p = proc(index);
    add(m, index, OBJ_NOTIFICATION, RIGHT_USE, index, 0, H_NOTE);
    for (uint32_t n = 2; n < p->row->cap_count; n++) {
        const struct image_cap *c = &p->row->caps[n];
        if (c->type == OBJ_ENDPOINT || c->type == OBJ_REGION) add(m, index, c->type, c->rights, c->object, c->badge, HANDLE_BOOT + n);
    }
    uint64_t signal = give(p, OBJ_NOTIFICATION, RIGHT_CALL | RIGHT_GRANT, signals_to[index], SIGNAL_BITS << index);
    add(m, index, OBJ_NOTIFICATION, RIGHT_CALL | RIGHT_GRANT, signals_to[index], SIGNAL_BITS << index, signal);
    leave_free(p, SPARE);
    m->actors[index].filler = LIMIT_CAP_SLOTS - SPARE - model_held(m, index);
}

static void start(struct model *m) {
    model_start(m);
    for (uint16_t i = CLIENT; i < ACTORS; i++) {
        m->actors[i].incarnation = proc(i)->incarnation;
        m->actors[i].mode = RUNS;
    }
    for (uint16_t i = CLIENT; i < ACTORS; i++) model_boot_tokens(m, i);
    check_invariants();
}

void explore_boot(struct model *m) {
    boot();
    start(m);
}

void explore_afresh(struct model *m) {
    host_checks_each_step = false;
    for (uint16_t i = ACTORS; i-- > CLIENT;) restart(i); /* the owners of endpoints first, so that nobody has news to hear */
    host_checks_each_step = true;
    start(m);
}

uint16_t explore_find(const struct model *m, uint16_t holder, uint8_t type, uint16_t object, uint8_t rights) {
    for (uint16_t t = 0; t < TOKENS; t++) {
        const struct token *one = &m->tokens[t];
        if (one->holder == holder && one->type == type && one->object == object && (one->rights & rights) == rights) return t;
    }
    return NO_TOKEN;
}

/* --- the kernel's side of a step --- */

static uint64_t handle_of(const struct model *m, uint16_t index, uint16_t t) {
    return t < TOKENS && m->tokens[t].holder == index ? m->tokens[t].handle : BAD_HANDLE;
}

static uint8_t letter(uint32_t seed, uint32_t at) { return (uint8_t)(seed * 31 + at * 7 + (at >> 5)); }

static void write_message(const struct model *m, struct process *p, const struct step *s) {
    for (uint32_t i = 0; i < s->length; i++) data_of(p)[i] = letter(s->seed, i);
    for (uint32_t i = 0; i < s->gift_count; i++) caps_of(p)[i] = (uint32_t)handle_of(m, s->actor, s->gifts[i]);
    for (uint32_t i = 0; i < s->grants; i++) grants_of(p)[i] = (struct grant){H_OWN, s->rights, s->badge};
}

static void act(const struct model *m, const struct step *s) {
    struct process *p = proc(s->actor);
    uint64_t handle = handle_of(m, s->actor, s->token);
    uint64_t word = s->length | (uint64_t)s->gift_count << WORD_CAPS;
    switch (s->kind) {
    case STEP_CALL:
        write_message(m, p, s);
        sys(p, SYS_CALL, handle, word | (uint64_t)s->accept << WORD_ACCEPT, s->until, s->behalf == NO_TOKEN ? 0 : handle_of(m, s->actor, s->behalf));
        break;
    case STEP_RECV: sys(p, SYS_RECV, handle, (uint64_t)s->accept << WORD_ACCEPT, s->until); break;
    case STEP_REPLY:
        write_message(m, p, s);
        sys(p, SYS_REPLY, handle, word | (uint64_t)s->grants << WORD_GRANTS);
        break;
    case STEP_REPLY_RECV:
        write_message(m, p, s);
        sys(p, SYS_REPLY_RECV, handle, word | (uint64_t)s->grants << WORD_GRANTS | (uint64_t)s->accept << WORD_ACCEPT, H_OWN, s->until);
        break;
    case STEP_NOTIFY: sys(p, SYS_NOTIFY, handle); break;
    case STEP_WAIT: sys(p, SYS_WAIT, handle, s->until); break;
    case STEP_DROP: sys(p, SYS_CAP_DROP, handle); break;
    case STEP_MINT: sys(p, SYS_CAP_MINT, handle, s->badge, s->rights); break;
    case STEP_REVOKE: sys(p, SYS_CAP_REVOKE, handle, s->badge); break;
    case STEP_TIME: tick(s->until - host_time); break;
    case STEP_KILL: if (p->state != STATE_STOPPED) kill_process(s->actor); break;
    default: restart(s->actor);
    }
}

/* --- comparing --- */

static void check_message(const struct actor *a, struct process *p) {
    CHECK_EQ(got_bytes(p), a->got_length);
    CHECK_EQ(got_caps(p), a->arrived_count);
    for (uint32_t i = 0; i < a->got_length; i++) CHECK_EQ(data_of(p)[i], letter(a->got_seed, i));
}

/* What the registers and the page say; new capabilities get the handle by which the kernel told them. */
static void check_told(struct model *m, const struct actor *a, struct process *p) {
    CHECK_EQ(reg(p, 0), a->status);
    if (a->status != E_OK) return;
    if (a->flags & (DELIVER_MESSAGE | TOLD_ANSWER)) check_message(a, p);
    if (a->flags & DELIVER_MESSAGE) {
        CHECK_EQ(got_flags(p), a->flags);
        CHECK_EQ(got_badge(p), a->got_badge);
        CHECK_EQ(got_sender(p), a->got_sender);
        if (a->subject != NOBODY) CHECK_EQ(word_of(p, IPC_SUBJECT), a->subject);
        m->tokens[a->reply].handle = got_reply(p);
    }
    if (a->flags & DELIVER_NOTIFIED) CHECK_EQ(reg(p, 1), (uint64_t)DELIVER_NOTIFIED << 24);
    if (a->flags & (DELIVER_NOTIFIED | TOLD_BITS)) CHECK_EQ(reg(p, a->flags & TOLD_BITS ? 1 : 3), a->got_badge);
    if (a->flags & TOLD_COUNT) CHECK_EQ(reg(p, 1), a->got_length);
    for (uint32_t i = 0; i < a->arrived_count; i++)
        m->tokens[a->arrived[i]].handle = a->flags & TOLD_HANDLE ? reg(p, 1) : caps_of(p)[i];
}

static void check_actor(struct model *m, uint16_t index) {
    static const uint8_t states[] = {[DEAD] = STATE_STOPPED, [RUNS] = STATE_READY, [RECEIVES] = STATE_RECEIVING, [CALLS] = STATE_CALLING,
                                     [WAITS] = STATE_WAITING};
    const struct actor *a = &m->actors[index];
    struct process *p = proc(index);
    CHECK_EQ(p->state, states[a->mode]);
    CHECK_EQ(p->incarnation, a->incarnation);
    CHECK_EQ(p->deadline, a->deadline);
    CHECK_EQ(p->serving, a->serving);
    if (a->mode != DEAD) {
        CHECK_EQ(p->bits, a->bits);
        CHECK_EQ(word_of(p, IPC_PENDING), a->bits);
    }
    if (a->mode == CALLS) CHECK_EQ(p->server, a->server);
    if (a->told && a->mode == RUNS) check_told(m, a, p);
}

/* Every capability of the model is where the model says, and the kernel has no other. */
static void check_tokens(const struct model *m) {
    for (uint16_t t = 0; t < TOKENS; t++) {
        const struct token *one = &m->tokens[t];
        if (one->holder == NOBODY) continue;
        const struct cap *cap = cap_at(proc(one->holder), one->handle);
        if (cap == 0) FAIL("token %u (type %u) is lost: process %u has no handle %llx", t, one->type, one->holder, (unsigned long long)one->handle);
        CHECK(cap->type == one->type && cap->rights == one->rights && cap->object == one->object);
        if (one->type != OBJ_REPLY) CHECK_EQ(cap->badge, one->badge);
        if (one->type == OBJ_ENDPOINT && !(one->rights & RIGHT_RECV)) CHECK_EQ(cap->seen, one->seen);
    }
    for (uint16_t i = CLIENT; i < ACTORS; i++)
        CHECK_EQ(LIMIT_CAP_SLOTS - proc(i)->free_slots, model_held(m, i) + m->actors[i].filler);
}

void explore_step(struct model *m, const struct step *s) {
    trace[explored_steps % REMEMBERED] = *s;
    host_tell_more = tell_trace;
    act(m, s);
    model_step(m, s);
    for (uint16_t i = CLIENT; i < ACTORS; i++) check_actor(m, i);
    check_tokens(m);
    explored_steps++;
}
