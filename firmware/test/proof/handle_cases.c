/*
 * The cases of wrong handles: three kinds for each system call of handles.c, and for each call what shows that it took effect.
 * The functions run in the judge, but for the client's.
 */
#include "client.h"
#include "effects.h"
#include "handles.h"
#include "help.h"

static uint64_t help_attacker(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return help_call(CAP_ATTACKER);
}

static uint64_t help_holder(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return help_call(CAP_HOLDER);
}

/* --- arranging --- */

static void arrange(uint32_t arg, bool right) {
    switch (arg / KINDS) {
    case USE_NOTIFY: give_notification(NOTICE_BIT); break;
    case USE_INFO: give_endpoint(RIGHT_CALL, secret); break;
    case USE_MAP: case USE_UNMAP: case USE_SEAL: give_region(0, RIGHT_MAP_R | RIGHT_MAP_W); break;
    case USE_CAPABILITY: plant_secret(arg, right); break;
    }
}

/* The kernel says that the attacker waits: only then is there something to wake. */
static void poll_wait(uint32_t arg, bool right) {
    if (arg / KINDS == USE_WAIT) wake_when_waiting(arg, right);
}

/* --- effects --- */

/* While the attacker is still there with what it got. */
static void at_done(uint32_t arg, bool right) {
    (void)right;
    switch (arg / KINDS) {
    case USE_DROP: seen.measured = slots_gained() == 0; break;
    case USE_MINT: seen.measured = slots_gained(); break;
    case USE_REVOKE: seen.measured = seen.kept_count == 1 && is_dead(seen.kept[0]); break;
    case USE_MAP: seen.measured = region_value(judge_region(0)) == seen.token; break;
    case USE_SEAL: seen.measured = !can_write(judge_region(0)); break;
    case USE_FREE: seen.measured = seen.kept_count > 0 && can_write(seen.kept[0]); break;
    case USE_SPAWN: case USE_SPAWN_REGION: seen.measured = live_apps(); break;
    case USE_SUPERVISE: seen.measured = ward_status().state == STATE_STOPPED; break;
    }
}

static int64_t effect(uint32_t arg, bool right) {
    switch (arg / KINDS) {
    case USE_CALL: return seen.probes;
    case USE_RECV: case USE_REPLY: case USE_REPLY_RECV: case USE_REPLY_RECV_ENDPOINT: case USE_DMA: return helper_succeeded(arg, right);
    case USE_BEHALF: return seen.behalf;
    case USE_NOTIFY: return seen.bits == NOTICE_BIT;
    case USE_INFO: return seen.data == secret;
    case USE_CAPABILITY: return planted_was_told(arg, right);
    case USE_UNMAP: return !seen.done;
    case USE_SYSTEM: return seen.data == system_phase();
    default: return seen.measured;
    }
}

/* --- the table --- */

#define CASE(call, kind, kind_number, target, where, helping, ...)                                                             \
    {.name = call "." kind, .attack = handle_attack, .arg = (target) * KINDS + (kind_number), .who = where, .help = helping,     \
     .helper = WHO_CLIENT, .arrange = arrange, .poll = poll_wait, .at_done = at_done, .effect = effect}
#define THREE(call, target, where, helping)                                                                                     \
    CASE(call, "absent", ABSENT, target, where, helping), CASE(call, "stale", STALE, target, where, helping),                   \
        CASE(call, "other", OTHER, target, where, helping)
#define TWO(call, target, where, helping)                                                                                       \
    CASE(call, "absent", ABSENT, target, where, helping), CASE(call, "stale", STALE, target, where, helping)

static const struct proof_case cases[] = {
    THREE("call", USE_CALL, WHO_ATTACKER, 0),
    THREE("recv", USE_RECV, WHO_ATTACKER, help_attacker),
    THREE("reply", USE_REPLY, WHO_ATTACKER, help_attacker),
    THREE("reply_recv", USE_REPLY_RECV, WHO_ATTACKER, help_attacker),
    THREE("reply_recv_endpoint", USE_REPLY_RECV_ENDPOINT, WHO_ATTACKER, help_attacker),
    THREE("behalf", USE_BEHALF, WHO_ATTACKER, help_attacker),
    THREE("notify", USE_NOTIFY, WHO_ATTACKER, 0),
    THREE("wait", USE_WAIT, WHO_ATTACKER, 0),
    THREE("console_write", USE_CONSOLE, WHO_ATTACKER, 0),
    TWO("cap_drop", USE_DROP, WHO_ATTACKER, 0),
    THREE("cap_mint", USE_MINT, WHO_ATTACKER, 0),
    THREE("cap_revoke", USE_REVOKE, WHO_ATTACKER, 0),
    TWO("cap_info", USE_INFO, WHO_ATTACKER, 0),
    THREE("device_write", USE_DEVICE, WHO_HOLDER, 0),
    THREE("queue_setup", USE_SETUP, WHO_HOLDER, 0),
    THREE("queue_post", USE_POST, WHO_HOLDER, 0),
    THREE("queue_take", USE_TAKE, WHO_HOLDER, 0),
    THREE("irq_ack", USE_IRQ, WHO_HOLDER, 0),
    THREE("dma_reply", USE_DMA, WHO_HOLDER, help_holder),
    THREE("region_map", USE_MAP, WHO_ATTACKER, 0),
    THREE("region_unmap", USE_UNMAP, WHO_ATTACKER, 0),
    THREE("region_seal", USE_SEAL, WHO_ATTACKER, 0),
    THREE("region_free", USE_FREE, WHO_HOLDER, 0),
    THREE("spawn", USE_SPAWN, WHO_HOLDER, 0),
    THREE("spawn_region", USE_SPAWN_REGION, WHO_HOLDER, 0),
    THREE("supervise", USE_SUPERVISE, WHO_HOLDER, 0),
    THREE("system", USE_SYSTEM, WHO_HOLDER, 0),
    THREE("system_capability", USE_CAPABILITY, WHO_HOLDER, 0),
};
const struct proof_group handle_group = {cases, COUNT(cases)};
