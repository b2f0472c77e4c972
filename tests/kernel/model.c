/* The model's rules, in the order in which a system call checks them. See model.h; a status here is a statement of the ABI. */
#include "model.h"

static const uint8_t ranks[ACTORS] = {[ROOT] = 3, [CLIENT] = 2, [TWIN] = 2, [LOW] = 1, [MIDDLE] = 5, [SERVER] = 7};
static const uint16_t owner_of[] = {[MIDDLE_ENDPOINT] = MIDDLE, [SERVER_ENDPOINT] = SERVER};

/* --- capabilities --- */

uint16_t model_token(struct model *m, uint16_t holder, uint8_t type, uint8_t rights, uint16_t object, uint64_t badge) {
    uint16_t t = 0;
    while (t < TOKENS && m->tokens[t].holder != NOBODY) t++;
    if (t == TOKENS) FAIL("the model has too few tokens");
    uint32_t seen = type == OBJ_ENDPOINT ? m->actors[owner_of[object]].incarnation : 0;
    m->tokens[t] = (struct token){type, rights, holder, object, badge, seen ? seen : 1, 0};
    return t;
}

uint32_t model_held(const struct model *m, uint16_t index) {
    uint32_t count = 0;
    for (uint16_t t = 0; t < TOKENS; t++) count += m->tokens[t].holder == index;
    return count;
}

static uint32_t room(const struct model *m, uint16_t index) {
    return LIMIT_CAP_SLOTS - m->actors[index].filler - model_held(m, index);
}

static bool holds(const struct model *m, uint16_t index, uint16_t t) { return t < TOKENS && m->tokens[t].holder == index; }

static uint32_t find(const struct model *m, uint16_t index, uint16_t t, uint8_t type, uint8_t right) {
    if (!holds(m, index, t)) return E_BAD_HANDLE;
    if (m->tokens[t].type != type) return E_BAD_TYPE;
    return (m->tokens[t].rights & right) == right ? E_OK : E_BAD_RIGHT;
}

static uint32_t check_gifts(const struct model *m, uint16_t index, const uint16_t *gifts, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (!holds(m, index, gifts[i])) return E_BAD_HANDLE;
        if (!(m->tokens[gifts[i]].rights & RIGHT_GRANT) || m->tokens[gifts[i]].rights & RIGHT_RECV) return E_BAD_RIGHT;
        for (uint32_t j = 0; j < i; j++)
            if (gifts[i] == gifts[j]) return E_BAD_ARGUMENT;
    }
    return E_OK;
}

/* --- being told --- */

static void tell(struct model *m, uint16_t index, uint32_t status) {
    struct actor *a = &m->actors[index];
    a->mode = RUNS;
    a->deadline = 0;
    a->told = true;
    a->status = status;
    a->flags = a->got_length = a->arrived_count = 0;
    a->subject = a->reply = NOBODY;
}

static void tell_bits(struct model *m, uint16_t index, bool receiving) {
    tell(m, index, E_OK);
    m->actors[index].flags = receiving ? DELIVER_NOTIFIED : TOLD_BITS;
    m->actors[index].got_badge = m->actors[index].bits;
    m->actors[index].bits = 0;
}

/* The call that index is in is over; whoever holds its reply can't answer it any more. */
static void withdraw(struct model *m, uint16_t index) {
    struct actor *a = &m->actors[index];
    if (a->mode != CALLS || a->server == NOBODY) return;
    for (uint16_t t = 0; t < TOKENS; t++)
        if (m->tokens[t].holder == a->server && m->tokens[t].type == OBJ_REPLY && m->tokens[t].object == index)
            m->tokens[t].object = NOBODY;
    if (m->actors[a->server].serving == index) m->actors[a->server].serving = NOBODY;
    a->server = NOBODY;
}

static void end_call(struct model *m, uint16_t index, uint32_t status) {
    withdraw(m, index);
    tell(m, index, status);
}

/* --- call and receive --- */

static void deliver(struct model *m, uint16_t server, uint16_t caller) {
    struct actor *s = &m->actors[server], *c = &m->actors[caller];
    tell(m, server, E_OK);
    for (uint32_t i = 0; i < c->gift_count; i++) m->tokens[s->arrived[i] = c->gifts[i]].holder = server;
    s->arrived_count = c->gift_count;
    s->reply = model_token(m, server, OBJ_REPLY, 0, caller, 0);
    s->flags = DELIVER_MESSAGE;
    if (c->behalf != NO_TOKEN) {
        s->flags |= DELIVER_BEHALF;
        s->subject = m->tokens[c->behalf].object;
    }
    s->got_length = c->length;
    s->got_seed = c->seed;
    s->got_badge = c->badge;
    s->got_sender = caller;
    s->serving = caller;
    c->server = server;
}

static uint64_t capped(const struct model *m, uint16_t index, uint64_t until) {
    uint16_t serving = m->actors[index].serving;
    if (serving == NOBODY) return until;
    uint64_t limit = m->actors[serving].deadline;
    return limit < until ? limit : until;
}

static uint32_t check_behalf(const struct model *m, uint16_t index, uint16_t t) {
    if (t == NO_TOKEN) return E_OK;
    if (!holds(m, index, t)) return E_BAD_HANDLE;
    if (m->tokens[t].type != OBJ_REPLY) return E_BAD_TYPE;
    return m->tokens[t].object == NOBODY ? E_CALLER_GONE : E_OK;
}

static uint32_t check_call(struct model *m, const struct step *s, uint64_t *deadline) {
    uint32_t status = find(m, s->actor, s->token, OBJ_ENDPOINT, RIGHT_CALL);
    if (status != E_OK) return status;
    struct token *to = &m->tokens[s->token];
    struct actor *server = &m->actors[owner_of[to->object]];
    if (ranks[owner_of[to->object]] <= ranks[s->actor]) return E_RANK;
    if (room(m, s->actor) < s->accept) return E_NO_SLOT;
    status = check_behalf(m, s->actor, s->behalf);
    if (status == E_OK) status = check_gifts(m, s->actor, s->gifts, s->gift_count);
    if (status != E_OK) return status;
    *deadline = capped(m, s->actor, s->until);
    if (*deadline <= m->now) return E_DEADLINE;
    if (server->mode == DEAD) return E_PEER_DIED;
    if (to->seen != server->incarnation) {
        to->seen = server->incarnation;
        return E_RESTARTED;
    }
    return server->mode == RECEIVES && s->gift_count > server->accept ? E_NO_SLOT : E_OK;
}

static void step_call(struct model *m, const struct step *s) {
    uint64_t deadline = 0;
    uint32_t status = check_call(m, s, &deadline);
    if (status != E_OK) {
        tell(m, s->actor, status);
        return;
    }
    struct actor *a = &m->actors[s->actor];
    uint16_t endpoint = m->tokens[s->token].object;
    a->mode = CALLS;
    a->deadline = deadline;
    a->accept = s->accept;
    a->endpoint = endpoint;
    a->server = NOBODY;
    a->order = m->orders++;
    a->badge = m->tokens[s->token].badge;
    a->length = s->length;
    a->seed = s->seed;
    a->gift_count = s->gift_count;
    a->behalf = s->behalf;
    memcpy(a->gifts, s->gifts, sizeof a->gifts);
    if (m->actors[owner_of[endpoint]].mode == RECEIVES) deliver(m, owner_of[endpoint], s->actor);
}

/* Of those who wait: the highest rank, among them the one that came first. */
static uint16_t first_waiting(const struct model *m, uint16_t endpoint) {
    uint16_t best = NOBODY;
    for (uint16_t i = 0; i < ACTORS; i++) {
        const struct actor *a = &m->actors[i];
        if (a->mode != CALLS || a->server != NOBODY || a->endpoint != endpoint) continue;
        bool better = best == NOBODY || ranks[i] > ranks[best] || (ranks[i] == ranks[best] && a->order < m->actors[best].order);
        if (better) best = i;
    }
    return best;
}

static uint32_t check_waiting(const struct model *m, uint16_t caller, uint32_t accept) {
    const struct actor *a = &m->actors[caller];
    if (a->gift_count > accept) return E_NO_SLOT;
    if (a->behalf != NO_TOKEN && m->tokens[a->behalf].object == NOBODY) return E_CALLER_GONE;
    return check_gifts(m, caller, a->gifts, a->gift_count);
}

static void receive_on(struct model *m, uint16_t index, uint16_t endpoint, uint32_t accept, uint64_t until) {
    struct actor *a = &m->actors[index];
    if (room(m, index) < accept + 1) {
        tell(m, index, E_NO_SLOT);
        return;
    }
    a->serving = NOBODY;
    if (a->bits) {
        tell_bits(m, index, true);
        return;
    }
    for (uint16_t caller; (caller = first_waiting(m, endpoint)) != NOBODY;) {
        uint32_t status = check_waiting(m, caller, accept);
        if (status == E_OK) {
            deliver(m, index, caller);
            return;
        }
        end_call(m, caller, status);
    }
    if (until && until <= m->now) {
        tell(m, index, E_DEADLINE);
        return;
    }
    a->mode = RECEIVES;
    a->deadline = until;
    a->accept = accept;
}

static void step_recv(struct model *m, const struct step *s) {
    uint32_t status = find(m, s->actor, s->token, OBJ_ENDPOINT, RIGHT_RECV);
    if (status != E_OK) tell(m, s->actor, status);
    else receive_on(m, s->actor, m->tokens[s->token].object, s->accept, s->until);
}

/* --- reply --- */

/* What is granted is always a badged way to call the replier, from its own endpoint; it needs that capability. */
static uint32_t check_reply(struct model *m, const struct step *s, uint16_t own) {
    uint32_t status = find(m, s->actor, s->token, OBJ_REPLY, 0);
    if (status != E_OK) return status;
    uint16_t caller = m->tokens[s->token].object;
    if (caller == NOBODY) {
        m->tokens[s->token].holder = NOBODY;
        return E_CALLER_GONE;
    }
    if (s->gift_count + s->grants > m->actors[caller].accept) return E_NO_SLOT;
    status = check_gifts(m, s->actor, s->gifts, s->gift_count);
    if (status == E_OK && s->grants && !holds(m, s->actor, own)) status = E_BAD_HANDLE;
    return status;
}

static bool step_reply(struct model *m, const struct step *s) {
    uint16_t own = NO_TOKEN;
    for (uint16_t t = 0; t < TOKENS; t++)
        if (holds(m, s->actor, t) && m->tokens[t].type == OBJ_ENDPOINT && m->tokens[t].rights & RIGHT_RECV) own = t;
    uint32_t status = check_reply(m, s, own);
    if (status != E_OK) {
        tell(m, s->actor, status);
        return false;
    }
    uint16_t caller = m->tokens[s->token].object;
    struct actor *c = &m->actors[caller];
    uint16_t endpoint = s->grants ? m->tokens[own].object : 0;
    tell(m, caller, E_OK);
    c->flags = TOLD_ANSWER;
    for (uint32_t i = 0; i < s->gift_count; i++) m->tokens[c->arrived[i] = s->gifts[i]].holder = caller;
    for (uint32_t i = 0; i < s->grants; i++)
        c->arrived[s->gift_count + i] = model_token(m, caller, OBJ_ENDPOINT, (uint8_t)s->rights, endpoint, s->badge);
    c->arrived_count = s->gift_count + s->grants;
    c->got_length = s->length;
    c->got_seed = s->seed;
    c->server = NOBODY;
    if (m->actors[s->actor].serving == caller) m->actors[s->actor].serving = NOBODY;
    m->tokens[s->token].holder = NOBODY;
    tell(m, s->actor, E_OK);
    return true;
}

static void step_reply_recv(struct model *m, const struct step *s) {
    if (!step_reply(m, s)) return;
    uint16_t endpoint = s->actor == MIDDLE ? MIDDLE_ENDPOINT : SERVER_ENDPOINT; /* explore.c names the boot handle of its own */
    receive_on(m, s->actor, endpoint, s->accept, s->until);
}

/* --- the rest --- */

static void signal(struct model *m, uint16_t index, uint64_t bits) {
    m->actors[index].bits |= bits;
    if (m->actors[index].mode == RECEIVES) tell_bits(m, index, true);
    else if (m->actors[index].mode == WAITS) tell_bits(m, index, false);
}

static void step_notify(struct model *m, const struct step *s) {
    uint32_t status = find(m, s->actor, s->token, OBJ_NOTIFICATION, RIGHT_CALL);
    tell(m, s->actor, status);
    if (status == E_OK && m->actors[m->tokens[s->token].object].mode != DEAD) signal(m, m->tokens[s->token].object, m->tokens[s->token].badge);
}

static void step_wait(struct model *m, const struct step *s) {
    struct actor *a = &m->actors[s->actor];
    uint32_t status = find(m, s->actor, s->token, OBJ_NOTIFICATION, RIGHT_USE);
    if (status != E_OK) {
        tell(m, s->actor, status);
    } else if (a->bits) {
        tell_bits(m, s->actor, false);
    } else {
        uint64_t until = s->until || a->serving != NOBODY ? capped(m, s->actor, s->until ? s->until : UINT64_MAX) : 0;
        if (until && until <= m->now) {
            tell(m, s->actor, E_DEADLINE);
        } else {
            a->mode = WAITS;
            a->deadline = until;
        }
    }
}

static void step_drop(struct model *m, const struct step *s) {
    bool held = holds(m, s->actor, s->token);
    struct token *t = &m->tokens[s->token];
    if (held && t->type == OBJ_REPLY && t->object != NOBODY) end_call(m, t->object, E_PEER_DIED);
    if (held) t->holder = NOBODY;
    tell(m, s->actor, held ? E_OK : E_BAD_HANDLE);
}

static void step_mint(struct model *m, const struct step *s) {
    uint32_t status = find(m, s->actor, s->token, OBJ_ENDPOINT, RIGHT_RECV);
    if (status == E_OK && room(m, s->actor) == 0) status = E_NO_SLOT;
    tell(m, s->actor, status);
    if (status != E_OK) return;
    struct actor *a = &m->actors[s->actor];
    a->arrived[0] = model_token(m, s->actor, OBJ_ENDPOINT, (uint8_t)s->rights, m->tokens[s->token].object, s->badge);
    a->arrived_count = 1;
    a->flags = TOLD_HANDLE;
}

static void step_revoke(struct model *m, const struct step *s) {
    uint32_t status = find(m, s->actor, s->token, OBJ_ENDPOINT, RIGHT_RECV), killed = 0;
    uint16_t endpoint = m->tokens[s->token].object;
    for (uint16_t t = 0; status == E_OK && t < TOKENS; t++) {
        struct token *one = &m->tokens[t];
        if (one->holder == NOBODY || one->type != OBJ_ENDPOINT || one->object != endpoint) continue;
        if (one->badge != s->badge || one->rights & RIGHT_RECV) continue;
        one->holder = NOBODY;
        killed++;
    }
    for (uint16_t i = 0; status == E_OK && i < ACTORS; i++) {
        struct actor *a = &m->actors[i];
        if (a->mode == CALLS && a->server == NOBODY && a->endpoint == endpoint && a->badge == s->badge) end_call(m, i, E_BAD_HANDLE);
    }
    tell(m, s->actor, status);
    m->actors[s->actor].flags = status == E_OK ? TOLD_COUNT : 0;
    m->actors[s->actor].got_length = killed;
}

static void step_time(struct model *m, const struct step *s) {
    m->now = s->until;
    for (uint16_t i = 0; i < ACTORS; i++)
        if (m->actors[i].deadline && m->actors[i].deadline <= m->now) end_call(m, i, E_DEADLINE);
}

static void kill_actor(struct model *m, uint16_t index) {
    if (m->actors[index].mode == DEAD) return;
    withdraw(m, index);
    for (uint16_t i = 0; i < ACTORS; i++) {
        struct actor *a = &m->actors[i];
        bool waits = a->mode == CALLS && (a->server == NOBODY ? owner_of[a->endpoint] == index : a->server == index);
        if (waits && i != index) end_call(m, i, E_PEER_DIED);
    }
    for (uint16_t t = 0; t < TOKENS; t++)
        if (m->tokens[t].holder == index) m->tokens[t].holder = NOBODY;
    uint32_t incarnation = m->actors[index].incarnation;
    m->actors[index] = (struct actor){.mode = DEAD, .incarnation = incarnation, .serving = NOBODY, .server = NOBODY};
}

static void restart_actor(struct model *m, uint16_t index) {
    kill_actor(m, index);
    m->actors[index].incarnation++;
    m->actors[index].mode = RUNS;
    model_boot_tokens(m, index);
}

void model_start(struct model *m) {
    memset(m, 0, sizeof *m);
    m->now = host_time;
    for (uint16_t t = 0; t < TOKENS; t++) m->tokens[t].holder = NOBODY;
    for (uint16_t i = 0; i < ACTORS; i++) m->actors[i] = (struct actor){.mode = DEAD, .serving = NOBODY, .server = NOBODY};
}

void model_step(struct model *m, const struct step *s) {
    static void (*const steps[])(struct model *, const struct step *) = {
        [STEP_CALL] = step_call, [STEP_RECV] = step_recv, [STEP_REPLY_RECV] = step_reply_recv, [STEP_NOTIFY] = step_notify,
        [STEP_WAIT] = step_wait, [STEP_DROP] = step_drop, [STEP_MINT] = step_mint, [STEP_REVOKE] = step_revoke, [STEP_TIME] = step_time,
    };
    for (uint16_t i = 0; i < ACTORS; i++) m->actors[i].told = false;
    if (s->kind == STEP_KILL) kill_actor(m, s->actor);
    else if (s->kind == STEP_RESTART) restart_actor(m, s->actor);
    else if (s->kind == STEP_REPLY) step_reply(m, s);
    else steps[s->kind](m, s);
}
