/*
 * Every state that two equal clients, a server between and a server above can reach in so many steps from boot, each compared with
 * the model: breadth first, states that behave alike are gone on from once. Sequences that random walks are unlikely to try.
 */
#include "explore.h"

enum { DEPTH = 7, MOST_STATES = 1 << 18, TABLE = 1 << 20, MOST_CHOICES = 32, SHORT = 10, LONG = 20 };

struct state { uint32_t before; uint16_t depth; struct step last; };
static struct state states[MOST_STATES];
static uint32_t state_count;
static uint64_t keys[TABLE];

/* --- what is alike --- */

static uint64_t mix(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * 0x9e3779b97f4a7c15ull;
    return hash ^ hash >> 29;
}

static uint64_t order_among(const struct model *m, const struct actor *a) {
    uint64_t earlier = 0;
    for (uint16_t i = CLIENT; i < ACTORS; i++) earlier += m->actors[i].mode == CALLS && m->actors[i].order < a->order;
    return earlier;
}

/* Times count from now, incarnations as what a capability does not know of yet; sets are summed, so their order does not count. */
static uint64_t token_key(const struct model *m, uint16_t t) {
    const struct token *one = &m->tokens[t];
    uint32_t owner = one->object == MIDDLE_ENDPOINT ? MIDDLE : SERVER;
    bool news = one->type == OBJ_ENDPOINT && !(one->rights & RIGHT_RECV) && one->seen != m->actors[owner].incarnation;
    return mix(mix(mix(one->holder, (uint64_t)one->type << 32 | one->object), one->badge), (uint64_t)one->rights << 1 | news);
}

static uint64_t actor_key(const struct model *m, const struct actor *a) {
    uint64_t hash = mix(mix(a->mode, a->bits), a->deadline ? a->deadline - m->now : 0);
    hash = mix(hash, a->serving);
    if (a->mode == RECEIVES) return mix(hash, a->accept);
    if (a->mode != CALLS) return hash;
    hash = mix(mix(hash, (uint64_t)a->endpoint << 32 | a->server), order_among(m, a));
    hash = mix(mix(hash, a->badge), a->accept);
    for (uint32_t i = 0; i < a->gift_count; i++) hash = mix(hash, m->tokens[a->gifts[i]].holder == NOBODY ? 1 : token_key(m, a->gifts[i]));
    return mix(hash, a->behalf == NO_TOKEN ? 0 : token_key(m, a->behalf));
}

static uint64_t key_of(const struct model *m) {
    uint64_t hash = 1, sum = 0;
    for (uint16_t i = CLIENT; i < ACTORS; i++) hash = mix(hash, actor_key(m, &m->actors[i]));
    for (uint16_t t = 0; t < TOKENS; t++)
        if (m->tokens[t].holder != NOBODY) sum += token_key(m, t);
    return mix(hash, sum) | 1;
}

static bool is_new(uint64_t key) {
    uint64_t at = key % TABLE;
    for (; keys[at]; at = (at + 1) % TABLE)
        if (keys[at] == key) return false;
    keys[at] = key;
    return true;
}

/* --- what can be done --- */

struct choices { struct step list[MOST_CHOICES]; uint32_t count; };

static struct step *add(struct choices *c, enum kind kind, uint16_t actor, uint16_t token) {
    if (c->count == MOST_CHOICES) FAIL("more choices than there is room for");
    struct step *s = &c->list[c->count++];
    *s = (struct step){.kind = kind, .actor = actor, .token = token, .behalf = NO_TOKEN};
    return s;
}

static void add_call(const struct model *m, struct choices *c, uint16_t actor, uint16_t endpoint, uint64_t within, uint16_t behalf) {
    uint16_t to = explore_find(m, actor, OBJ_ENDPOINT, endpoint, RIGHT_CALL);
    if (to == NO_TOKEN) return;
    struct step *s = add(c, STEP_CALL, actor, to);
    s->until = m->now + within;
    s->behalf = behalf;
    s->accept = 1;
}

static void client_choices(const struct model *m, struct choices *c, uint16_t actor) {
    add_call(m, c, actor, MIDDLE_ENDPOINT, actor == CLIENT ? LONG : SHORT, NO_TOKEN);
    add_call(m, c, actor, SERVER_ENDPOINT, actor == CLIENT ? SHORT : LONG, NO_TOKEN);
    if (actor != CLIENT) return;
    uint16_t gift = explore_find(m, actor, OBJ_ENDPOINT, SERVER_ENDPOINT, RIGHT_GRANT);
    uint16_t to = explore_find(m, actor, OBJ_ENDPOINT, MIDDLE_ENDPOINT, RIGHT_CALL);
    if (gift != NO_TOKEN && to != NO_TOKEN) {
        struct step *s = add(c, STEP_CALL, actor, to);
        s->until = m->now + LONG;
        s->gift_count = 1;
        s->gifts[0] = gift;
    }
    add(c, STEP_NOTIFY, actor, explore_find(m, actor, OBJ_NOTIFICATION, MIDDLE, RIGHT_CALL));
}

static void server_choices(const struct model *m, struct choices *c, uint16_t actor) {
    uint16_t own = explore_find(m, actor, OBJ_ENDPOINT, actor == MIDDLE ? MIDDLE_ENDPOINT : SERVER_ENDPOINT, RIGHT_RECV);
    for (uint32_t accept = 0; accept < (actor == MIDDLE ? 2 : 1); accept++) add(c, STEP_RECV, actor, own)->accept = accept;
    for (uint16_t t = 0; t < TOKENS; t++) {
        if (m->tokens[t].holder != actor || m->tokens[t].type != OBJ_REPLY) continue;
        struct step *s = add(c, actor == SERVER ? STEP_REPLY_RECV : STEP_REPLY, actor, t);
        s->grants = 1;
        s->rights = RIGHT_CALL;
        s->badge = GIFT_BADGE;
        add(c, STEP_REPLY, actor, t);
        if (actor == MIDDLE) add_call(m, c, actor, SERVER_ENDPOINT, LONG, t);
    }
    if (actor == MIDDLE) return;
    struct step *s = add(c, STEP_REVOKE, actor, own);
    s->badge = GIFT_BADGE + CLIENT;
}

static void all_choices(const struct model *m, struct choices *c) {
    c->count = 0;
    for (uint16_t i = CLIENT; i < ACTORS; i++) {
        const struct actor *a = &m->actors[i];
        if (i == LOW) continue;
        if (a->mode == DEAD) add(c, STEP_RESTART, i, NO_TOKEN);
        else if (i != TWIN) add(c, STEP_KILL, i, NO_TOKEN);
        if (a->mode != RUNS) continue;
        if (i == MIDDLE || i == SERVER) server_choices(m, c, i);
        else client_choices(m, c, i);
    }
    add(c, STEP_TIME, ROOT, NO_TOKEN)->until = m->now + SHORT;
}

/* --- going through --- */

/* Takes both from a fresh start to a state again; gives when it started, since points in time are kept relative to that. */
static uint64_t replay(struct model *m, uint32_t state) {
    uint32_t path[DEPTH], length = 0;
    explore_afresh(m);
    uint64_t begun = m->now;
    for (uint32_t at = state; at; at = states[at].before) path[length++] = at;
    while (length) {
        struct step s = states[path[--length]].last;
        if (s.until) s.until += begun;
        explore_step(m, &s);
    }
    return begun;
}

static void remember(uint32_t before, const struct step *s, uint64_t begun) {
    if (state_count == MOST_STATES) FAIL("more states than there is room for");
    struct state *one = &states[state_count++];
    *one = (struct state){before, (uint16_t)(states[before].depth + 1), *s};
    if (s->until) one->last.until -= begun;
}

/* Every step from this state. The choices are listed anew after each replay: they are the same ones, at that replay's time. */
static uint32_t go_on_from(uint32_t state) {
    static struct model m;
    struct choices c;
    uint32_t tried = 0;
    do {
        uint64_t begun = replay(&m, state);
        all_choices(&m, &c);
        explore_step(&m, &c.list[tried]);
        if (is_new(key_of(&m))) remember(state, &c.list[tried], begun);
    } while (++tried < c.count);
    return tried;
}

CASE(every_state_within_seven_steps_agrees_with_the_model) {
    static struct model m;
    uint64_t transitions = 0;
    explore_boot(&m);
    explore_afresh(&m);
    is_new(key_of(&m));
    states[state_count++] = (struct state){0};
    for (uint32_t at = 0; at < state_count && states[at].depth < DEPTH; at++) transitions += go_on_from(at);
    CHECK(state_count > 1000);
    printf("exhaustive: %u states within %u steps, %llu transitions, %llu steps with replays\n", state_count, DEPTH,
           (unsigned long long)transitions, (unsigned long long)explored_steps);
}
