/*
 * Answers that are put off: a server keeps replies while it receives and answers other calls. Each caller waits on its own deadline,
 * and what the server does meanwhile is bounded and paid by whom it serves then.
 */
#include "host.h"

enum { SOON = 50, LATER = 5000 };

/* CLIENT's call is with MIDDLE, which will answer it some time: the reply handle. */
static uint64_t park(uint32_t who, uint64_t within) {
    CHECK_EQ(call(proc(who), H_MIDDLE, .within = within), BLOCKED);
    CHECK_EQ(receive(proc(MIDDLE), 0), E_OK);
    CHECK_EQ(got_sender(proc(MIDDLE)), who);
    return got_reply(proc(MIDDLE));
}

CASE(others_are_served_while_an_answer_is_put_off) {
    boot();
    uint64_t parked = park(CLIENT, LATER);
    for (uint32_t i = 0; i < 3 * LIMIT_CAP_SLOTS; i++) CHECK_EQ(reply(proc(MIDDLE), park(TWIN, SOON)), E_OK);
    CHECK_EQ(proc(CLIENT)->state, STATE_CALLING);
    data_of(proc(MIDDLE))[0] = 0x77;
    CHECK_EQ(reply(proc(MIDDLE), parked, .bytes = 1), E_OK);
    CHECK_EQ(outcome(proc(CLIENT)), E_OK);
    CHECK_EQ(data_of(proc(CLIENT))[0], 0x77);
}

CASE(an_answer_put_off_too_long_gives_its_slot_back) {
    boot();
    struct process *middle = proc(MIDDLE);
    uint32_t free = middle->free_slots;
    for (uint32_t dies = 0; dies < 2; dies++) {
        uint64_t parked = park(CLIENT, SOON);
        CHECK_EQ(receive(middle, 0), BLOCKED);
        if (dies) kill_process(CLIENT); else tick(SOON + 1);
        CHECK_EQ(middle->state, STATE_RECEIVING); /* nobody tells it */
        notify_signal(middle, 1);
        CHECK_EQ(reply(middle, parked), E_CALLER_GONE);
        CHECK_EQ(reply(middle, parked), E_BAD_HANDLE);
        CHECK_EQ(middle->free_slots, free);
    }
}

/* What an answer put off can be exchanged for: dropped, its caller is told; after its caller's end, only the slot comes back. */
CASE(a_reply_put_off_may_be_dropped) {
    boot();
    uint64_t parked = park(CLIENT, LATER), gone = park(TWIN, SOON);
    tick(SOON + 1);
    CHECK_EQ(sys(proc(MIDDLE), SYS_CAP_DROP, gone), E_OK);
    CHECK_EQ(sys(proc(MIDDLE), SYS_CAP_DROP, parked), E_OK);
    CHECK_EQ(outcome(proc(CLIENT)), E_PEER_DIED);
    CHECK_EQ(outcome(proc(TWIN)), E_DEADLINE);
}

/* The next call of a caller that gave up is another one: the old reply does not reach it. */
CASE(a_reply_put_off_is_for_that_call_only) {
    boot();
    uint64_t parked = park(CLIENT, SOON);
    tick(SOON + 1);
    uint64_t again = park(CLIENT, LATER);
    CHECK(again != parked);
    CHECK_EQ(reply(proc(MIDDLE), parked), E_CALLER_GONE);
    CHECK_EQ(proc(CLIENT)->state, STATE_CALLING);
    CHECK_EQ(reply(proc(MIDDLE), again), E_OK);
    CHECK_EQ(outcome(proc(CLIENT)), E_OK);
}

/* Ways in which a server gets going again after it has put an answer off. */
enum { BY_BITS, BY_WAITING_BITS, BY_TIME, BY_TIME_AT_ONCE, WAYS };
static void go_on(uint32_t way) {
    struct process *middle = proc(MIDDLE);
    switch (way) {
    case BY_BITS: notify_signal(middle, 1); CHECK_EQ(receive(middle, 0), E_OK); break;
    case BY_WAITING_BITS: CHECK_EQ(receive(middle, 0), BLOCKED); notify_signal(middle, 1); CHECK_EQ(outcome(middle), E_OK); break;
    case BY_TIME: CHECK_EQ(receive_until(middle, 0, host_time + 5), BLOCKED); tick(5); CHECK_EQ(outcome(middle), E_DEADLINE); break;
    case BY_TIME_AT_ONCE: CHECK_EQ(receive_until(middle, 0, host_time), E_DEADLINE); break;
    }
}

CASE(an_answer_put_off_does_not_bound_the_servers_own_calls) {
    boot();
    for (uint32_t way = 0; way < WAYS; way++) {
        uint64_t parked = park(CLIENT, SOON);
        go_on(way);
        CHECK_EQ(call(proc(MIDDLE), H_SERVER, .within = LATER), BLOCKED);
        tick(SOON + 1);
        CHECK_EQ(outcome(proc(CLIENT)), E_DEADLINE);
        CHECK_EQ(proc(MIDDLE)->state, STATE_CALLING);
        CHECK_EQ(receive(proc(SERVER), 0), E_OK);
        CHECK_EQ(reply(proc(SERVER), got_reply(proc(SERVER))), E_OK);
        CHECK_EQ(outcome(proc(MIDDLE)), E_OK);
        CHECK_EQ(reply(proc(MIDDLE), parked), E_CALLER_GONE);
    }
}

CASE(an_answer_put_off_does_not_bound_the_servers_own_waits) {
    boot();
    uint64_t parked = park(CLIENT, SOON);
    go_on(BY_BITS);
    CHECK_EQ(sys(proc(MIDDLE), SYS_WAIT, H_NOTE, host_time + LATER), BLOCKED);
    tick(SOON + 1);
    CHECK_EQ(proc(MIDDLE)->state, STATE_WAITING);
    tick(LATER);
    CHECK_EQ(outcome(proc(MIDDLE)), E_DEADLINE);
    CHECK_EQ(reply(proc(MIDDLE), parked), E_CALLER_GONE);
}

/* The one served now still does, whoever else waits for an answer. */
CASE(the_call_being_served_bounds_the_servers_own_calls) {
    boot();
    uint64_t parked = park(CLIENT, LATER), now = park(TWIN, SOON);
    CHECK_EQ(call(proc(MIDDLE), H_SERVER, .within = LATER), BLOCKED);
    tick(SOON + 1);
    CHECK_EQ(outcome(proc(MIDDLE)), E_DEADLINE);
    CHECK_EQ(reply(proc(MIDDLE), now), E_CALLER_GONE);
    CHECK_EQ(reply(proc(MIDDLE), parked), E_OK);
}

CASE(an_answer_put_off_does_not_pay_for_the_rest) {
    for (uint32_t way = 0; way < WAYS; way++) {
        if (way == 0) boot();
        uint64_t parked = park(LOW, LATER);
        CHECK_EQ(proc(MIDDLE)->payer, LOW);
        go_on(way);
        CHECK_EQ(proc(MIDDLE)->payer, MIDDLE);
        CHECK_EQ(reply(proc(MIDDLE), parked), E_OK);
    }
}

/* What is done for one that waits is still said to be: a reply put off is as good a subject as the one being served. */
CASE(a_question_on_behalf_of_one_that_waits) {
    boot();
    uint64_t parked = park(CLIENT, LATER), now = park(TWIN, LATER);
    CHECK_EQ(receive(proc(SERVER), 0), BLOCKED);
    CHECK_EQ(call(proc(MIDDLE), H_SERVER, .behalf = parked), BLOCKED);
    CHECK_EQ(word_of(proc(SERVER), IPC_SUBJECT), CLIENT);
    CHECK_EQ(reply(proc(SERVER), got_reply(proc(SERVER))), E_OK);
    CHECK_EQ(reply(proc(MIDDLE), now), E_OK);
}

CASE(a_dead_server_tells_all_whose_answer_it_put_off) {
    boot();
    park(CLIENT, LATER);
    park(TWIN, LATER);
    kill_process(MIDDLE);
    CHECK_EQ(outcome(proc(CLIENT)), E_PEER_DIED);
    CHECK_EQ(outcome(proc(TWIN)), E_PEER_DIED);
}
