/*
 * Long random walks of the kernel beside its model: every kind of step, wrong ones too, from every state that they lead to. The
 * seeds are fixed, so a failure comes again.
 */
#include "explore.h"

enum { STEPS = 200000 };

static uint64_t state;

static uint32_t roll(uint32_t sides) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(state >> 33) % sides;
}

/* One of an actor's capabilities of this type and with this right, or now and then anything. */
static uint16_t any_token(const struct model *m, uint16_t holder, uint8_t type, uint8_t right) {
    uint16_t found[TOKENS], count = 0;
    bool wrong = roll(60) == 0;
    for (uint16_t t = 0; t < TOKENS; t++) {
        const struct token *one = &m->tokens[t];
        if (one->holder == holder && (wrong || (one->type == type && (one->rights & right) == right))) found[count++] = t;
    }
    if (count == 0 || roll(100) == 0) return NO_TOKEN;
    return found[roll(count)];
}

static void choose_gifts(const struct model *m, struct step *s, uint32_t most) {
    s->gift_count = roll(3) ? 0 : roll(most + 1);
    for (uint32_t i = 0; i < s->gift_count; i++) {
        static const uint8_t types[] = {OBJ_ENDPOINT, OBJ_REGION, OBJ_NOTIFICATION};
        s->gifts[i] = any_token(m, s->actor, types[roll(3)], RIGHT_GRANT);
    }
}

static uint64_t some_time(const struct model *m) { return m->now + (roll(20) ? 1 + roll(200) : 0); }

static bool droppable(const struct model *m, uint16_t t) {
    return t == NO_TOKEN || m->tokens[t].type == OBJ_REPLY || m->tokens[t].badge >= GIFT_BADGE || m->tokens[t].type == OBJ_REGION ||
           (m->tokens[t].type == OBJ_NOTIFICATION && m->tokens[t].rights & RIGHT_CALL);
}

static void choose_details(const struct model *m, struct step *s) {
    bool server = s->actor == MIDDLE || s->actor == SERVER;
    s->behalf = NO_TOKEN;
    s->seed = roll(1000);
    s->length = roll(4) ? roll(64) : roll(IPC_DATA_BYTES + 1);
    s->until = some_time(m);
    switch (s->kind) {
    case STEP_CALL:
        s->token = any_token(m, s->actor, OBJ_ENDPOINT, RIGHT_CALL);
        s->accept = roll(GIFTS + 1);
        if (server && roll(2)) s->behalf = any_token(m, s->actor, OBJ_REPLY, 0);
        choose_gifts(m, s, GIFTS);
        break;
    case STEP_REPLY: case STEP_REPLY_RECV:
        s->token = any_token(m, s->actor, OBJ_REPLY, 0);
        choose_gifts(m, s, 2);
        s->grants = server && roll(4) == 0 ? 1 + roll(2) : 0;
        s->rights = RIGHT_CALL | (roll(2) ? RIGHT_GRANT : 0);
        s->badge = GIFT_BADGE + 0x100 + roll(4);
        s->accept = roll(GIFTS);
        if (roll(2)) s->until = 0;
        break;
    case STEP_RECV:
        s->token = any_token(m, s->actor, OBJ_ENDPOINT, RIGHT_RECV);
        s->accept = roll(GIFTS + 1);
        if (roll(2)) s->until = 0;
        break;
    case STEP_NOTIFY: s->token = any_token(m, s->actor, OBJ_NOTIFICATION, RIGHT_CALL); break;
    case STEP_WAIT: s->token = any_token(m, s->actor, OBJ_NOTIFICATION, RIGHT_USE); break;
    case STEP_MINT: case STEP_REVOKE:
        s->token = explore_find(m, s->actor, OBJ_ENDPOINT, s->actor == MIDDLE ? MIDDLE_ENDPOINT : SERVER_ENDPOINT, RIGHT_RECV);
        s->rights = RIGHT_CALL | RIGHT_GRANT;
        s->badge = GIFT_BADGE + (roll(2) ? roll(ACTORS) : 0x100 + roll(4));
        break;
    case STEP_DROP:
        for (uint32_t tries = 0; tries < 8; tries++) {
            static const uint8_t types[] = {OBJ_REPLY, OBJ_ENDPOINT, OBJ_ENDPOINT, OBJ_NOTIFICATION, OBJ_REGION};
            s->token = any_token(m, s->actor, types[roll(5)], 0);
            if (s->token != NO_TOKEN && droppable(m, s->token)) return;
        }
        s->token = NO_TOKEN;
        break;
    default: break;
    }
}

/* What somebody in this role mostly does next; whatever else there is comes too, now and then. */
static enum kind likely(const struct model *m, uint16_t actor) {
    static const enum kind client[] = {STEP_CALL, STEP_CALL, STEP_CALL, STEP_CALL, STEP_CALL, STEP_CALL, STEP_NOTIFY, STEP_DROP, STEP_WAIT};
    static const enum kind idle[] = {STEP_RECV, STEP_RECV, STEP_RECV, STEP_RECV, STEP_RECV, STEP_NOTIFY, STEP_CALL, STEP_MINT, STEP_REVOKE};
    static const enum kind busy[] = {STEP_REPLY, STEP_REPLY_RECV, STEP_REPLY_RECV, STEP_CALL, STEP_CALL, STEP_RECV, STEP_WAIT, STEP_DROP,
                                     STEP_REVOKE};
    bool server = actor == MIDDLE || actor == SERVER, full = model_held(m, actor) + m->actors[actor].filler > LIMIT_CAP_SLOTS - 4;
    if (full && roll(4)) return STEP_DROP;
    const enum kind *kinds = server ? explore_find(m, actor, OBJ_REPLY, NOBODY, 0) == NO_TOKEN && m->actors[actor].serving == NOBODY ? idle : busy
                                    : client;
    return roll(30) ? kinds[roll(9)] : (enum kind)roll(STEP_TIME);
}

static bool may_act(const struct model *m, uint16_t actor) { return m->actors[actor].mode == RUNS || m->actors[actor].mode == DEAD; }

static void choose(const struct model *m, struct step *s) {
    uint32_t ready = 0;
    for (uint16_t i = CLIENT; i < ACTORS; i++) ready += may_act(m, i);
    *s = (struct step){.kind = STEP_TIME, .until = m->now + 1 + roll(60)};
    if (ready == 0 || roll(8) == 0) return;
    do s->actor = (uint16_t)(CLIENT + roll(ACTORS - CLIENT)); while (!may_act(m, s->actor));
    s->kind = likely(m, s->actor);
    if (roll(150) == 0) s->actor = (uint16_t)(CLIENT + roll(ACTORS - CLIENT)), s->kind = roll(3) ? STEP_RESTART : STEP_KILL;
    else if (m->actors[s->actor].mode == DEAD) s->kind = STEP_RESTART;
    else choose_details(m, s);
}

static void walk(uint64_t seed) {
    static struct model m;
    uint32_t kinds[STEP_KINDS] = {0}, refused = 0, delivered = 0;
    state = seed;
    explore_boot(&m);
    for (uint32_t i = 0; i < STEPS; i++) {
        struct step s;
        choose(&m, &s);
        explore_step(&m, &s);
        kinds[s.kind]++;
        for (uint16_t a = CLIENT; a < ACTORS; a++) {
            refused += m.actors[a].told && m.actors[a].status != E_OK;
            delivered += m.actors[a].told && (m.actors[a].flags & (DELIVER_MESSAGE | TOLD_ANSWER)) != 0;
        }
    }
    for (uint32_t k = 0; k < STEP_KINDS; k++) CHECK(kinds[k] > STEPS / 2000);
    printf("random walk %llu: %u steps, %u messages, %u refusals\n", (unsigned long long)seed, STEPS, delivered, refused);
}

CASE(a_random_walk_agrees_with_the_model) { walk(1); }
CASE(a_second_random_walk_agrees_with_the_model) { walk(2); }
CASE(a_third_random_walk_agrees_with_the_model) { walk(3); }
