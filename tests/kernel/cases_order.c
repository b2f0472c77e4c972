/* Who is served first and how long anybody waits: rank, then first come; deadlines that are capped, sorted and always kept. */
#include "host.h"

static void serve(uint32_t expected) {
    struct process *server = proc(SERVER);
    CHECK_EQ(receive(server, 0), E_OK);
    CHECK_EQ(got_sender(server), expected);
    CHECK_EQ(reply(server, got_reply(server)), E_OK);
}

CASE(higher_rank_is_served_first) {
    boot();
    CHECK_EQ(call(proc(LOW), H_SERVER), BLOCKED);
    CHECK_EQ(call(proc(CLIENT), H_SERVER), BLOCKED);
    CHECK_EQ(call(proc(ROOT), H_SERVER), BLOCKED);
    CHECK_EQ(call(proc(MIDDLE), H_SERVER), BLOCKED);
    serve(MIDDLE);
    serve(ROOT);
    serve(CLIENT);
    serve(LOW);
}

CASE(among_equals_the_first_is_served_first) {
    boot();
    for (uint32_t turn = 0; turn < 4; turn++) {
        CHECK_EQ(call(proc(TWIN), H_SERVER), BLOCKED);
        CHECK_EQ(call(proc(LOW), H_SERVER), BLOCKED);
        CHECK_EQ(call(proc(CLIENT), H_SERVER), BLOCKED);
        serve(TWIN);
        CHECK_EQ(call(proc(TWIN), H_SERVER), BLOCKED);
        serve(CLIENT);
        serve(TWIN);
        serve(LOW);
    }
}

/* All 24 orders of arrival of four callers, and for each of them the one in every place gives up. */
CASE(the_queue_keeps_its_order_whoever_leaves) {
    boot();
    static const uint32_t who[] = {LOW, CLIENT, TWIN, MIDDLE};
    for (uint32_t code = 0; code < 256; code++) {
        uint32_t order[4], used = 0;
        for (uint32_t i = 0; i < 4; i++) used |= 1u << (order[i] = code >> 2 * i & 3);
        if (used != 15) continue;
        for (uint32_t leaves = 0; leaves < 4; leaves++) {
            uint32_t twins[2], count = 0;
            for (uint32_t i = 0; i < 4; i++) {
                uint32_t index = who[order[i]];
                CHECK_EQ(call(proc(index), H_SERVER, .within = i == leaves ? 10 : 1000), BLOCKED);
                if (i != leaves && (index == CLIENT || index == TWIN)) twins[count++] = index;
            }
            tick(20);
            CHECK_EQ(outcome(proc(who[order[leaves]])), E_DEADLINE);
            if (who[order[leaves]] != MIDDLE) serve(MIDDLE);
            for (uint32_t i = 0; i < count; i++) serve(twins[i]);
            if (who[order[leaves]] != LOW) serve(LOW);
            CHECK(endpoints[SERVER_ENDPOINT].head == 0);
        }
    }
}

/* --- deadlines --- */

CASE(a_call_without_time_left_is_refused) {
    boot();
    struct process *p = proc(CLIENT);
    CHECK_EQ(sys(p, SYS_CALL, H_SERVER, 0, 0), E_DEADLINE);
    CHECK_EQ(sys(p, SYS_CALL, H_SERVER, 0, host_time - 1), E_DEADLINE);
    CHECK_EQ(sys(p, SYS_CALL, H_SERVER, 0, host_time), E_DEADLINE);
    CHECK_EQ(sys(p, SYS_CALL, H_SERVER, 0, host_time + 1), BLOCKED);
    tick(1);
    CHECK_EQ(outcome(p), E_DEADLINE);
    CHECK_EQ(sys(p, SYS_CALL, H_SERVER, 0, ~0ull), BLOCKED);
}

CASE(a_waiting_call_ends_at_its_deadline) {
    boot();
    CHECK_EQ(call(proc(CLIENT), H_SERVER, .within = 100), BLOCKED);
    tick(99);
    CHECK_EQ(outcome(proc(CLIENT)), BLOCKED);
    tick(1);
    CHECK_EQ(outcome(proc(CLIENT)), E_DEADLINE);
    CHECK(endpoints[SERVER_ENDPOINT].head == 0);
}

CASE(a_call_being_served_ends_at_its_deadline) {
    boot();
    struct process *server = proc(SERVER);
    CHECK_EQ(call(proc(CLIENT), H_SERVER, .within = 100), BLOCKED);
    CHECK_EQ(receive(server, 0), E_OK);
    uint64_t handle = got_reply(server);
    tick(100);
    CHECK_EQ(outcome(proc(CLIENT)), E_DEADLINE);
    fill(proc(CLIENT), 0x33);
    write_text(server, "too late");
    CHECK_EQ(reply(server, handle, .bytes = 8), E_CALLER_GONE);
    CHECK_EQ(data_of(proc(CLIENT))[0], 0x33);
    CHECK_EQ(reply(server, handle), E_BAD_HANDLE);
}

CASE(the_timer_is_set_for_the_next_deadline) {
    boot();
    sched_timer();
    CHECK_EQ(call(proc(CLIENT), H_SERVER, .within = 300), BLOCKED);
    CHECK_EQ(host_timer, host_time + 300);
    CHECK_EQ(call(proc(TWIN), H_SERVER, .within = 200), BLOCKED);
    CHECK_EQ(host_timer, host_time + 200);
    CHECK_EQ(call(proc(LOW), H_SERVER, .within = 400), BLOCKED);
    CHECK_EQ(host_timer, host_time + 200);
    tick(200);
    CHECK_EQ(outcome(proc(TWIN)), E_DEADLINE);
    CHECK_EQ(host_timer, host_time + 100);
}

CASE(equal_deadlines_all_end) {
    boot();
    for (uint32_t i = CLIENT; i <= MIDDLE; i++) CHECK_EQ(call(proc(i), H_SERVER, .within = 50), BLOCKED);
    tick(50);
    for (uint32_t i = CLIENT; i <= MIDDLE; i++) CHECK_EQ(outcome(proc(i)), E_DEADLINE);
}

CASE(a_nested_call_can_not_outlast_the_one_it_serves) {
    boot();
    struct process *middle = proc(MIDDLE);
    CHECK_EQ(call(proc(CLIENT), H_MIDDLE, .within = 100), BLOCKED);
    CHECK_EQ(receive(middle, 0), E_OK);
    uint64_t handle = got_reply(middle);
    CHECK_EQ(call(middle, H_SERVER, .within = 1000000), BLOCKED);
    CHECK_EQ(middle->deadline, proc(CLIENT)->deadline);
    tick(99);
    CHECK_EQ(outcome(middle), BLOCKED);
    tick(1);
    CHECK_EQ(outcome(middle), E_DEADLINE);
    CHECK_EQ(outcome(proc(CLIENT)), E_DEADLINE);
    CHECK_EQ(reply(middle, handle), E_CALLER_GONE);
}

CASE(a_shorter_deadline_of_ones_own_counts) {
    boot();
    struct process *middle = proc(MIDDLE);
    CHECK_EQ(call(proc(CLIENT), H_MIDDLE, .within = 100), BLOCKED);
    CHECK_EQ(receive(middle, 0), E_OK);
    CHECK_EQ(call(middle, H_SERVER, .within = 30), BLOCKED);
    tick(30);
    CHECK_EQ(outcome(middle), E_DEADLINE);
    CHECK_EQ(outcome(proc(CLIENT)), BLOCKED);
}

CASE(after_the_answer_nothing_is_capped) {
    boot();
    struct process *middle = proc(MIDDLE);
    CHECK_EQ(call(proc(CLIENT), H_MIDDLE, .within = 100), BLOCKED);
    CHECK_EQ(receive(middle, 0), E_OK);
    CHECK_EQ(reply(middle, got_reply(middle)), E_OK);
    CHECK_EQ(call(middle, H_SERVER, .within = 1000), BLOCKED);
    CHECK_EQ(middle->deadline, host_time + 1000);
}

CASE(answering_an_older_call_does_not_uncap_the_newer) {
    boot();
    struct process *middle = proc(MIDDLE);
    CHECK_EQ(call(proc(TWIN), H_MIDDLE, .within = 500), BLOCKED);
    CHECK_EQ(receive(middle, 0), E_OK);
    uint64_t older = got_reply(middle);
    CHECK_EQ(call(proc(CLIENT), H_MIDDLE, .within = 100), BLOCKED);
    CHECK_EQ(receive(middle, 0), E_OK);
    CHECK_EQ(reply(middle, older), E_OK);
    CHECK_EQ(call(middle, H_SERVER, .within = 1000), BLOCKED);
    CHECK_EQ(middle->deadline, proc(CLIENT)->deadline);
}

CASE(a_nested_wait_is_capped_too) {
    boot();
    struct process *middle = proc(MIDDLE);
    CHECK_EQ(call(proc(CLIENT), H_MIDDLE, .within = 100), BLOCKED);
    CHECK_EQ(receive(middle, 0), E_OK);
    CHECK_EQ(sys(middle, SYS_WAIT, H_NOTE, host_time + 100000), BLOCKED);
    tick(100);
    CHECK_EQ(outcome(middle), E_DEADLINE);
}

/* For ever too: a server that waits so keeps its client no longer than the client's own deadline, and can take the next call. */
CASE(a_nested_wait_for_ever_ends_with_the_call_being_served) {
    boot();
    struct process *middle = proc(MIDDLE);
    CHECK_EQ(call(proc(CLIENT), H_MIDDLE, .within = 100), BLOCKED);
    CHECK_EQ(receive(middle, 0), E_OK);
    CHECK_EQ(sys(middle, SYS_WAIT, H_NOTE, 0), BLOCKED);
    tick(99);
    CHECK_EQ(outcome(middle), BLOCKED);
    tick(1);
    CHECK_EQ(outcome(middle), E_DEADLINE);
    CHECK_EQ(outcome(proc(CLIENT)), E_DEADLINE);
    CHECK_EQ(sys(middle, SYS_WAIT, H_NOTE, 0), BLOCKED);
    CHECK_EQ(middle->deadline, 0);
}

CASE(a_receive_with_a_deadline_ends_at_it) {
    boot();
    struct process *server = proc(SERVER);
    CHECK_EQ(receive_until(server, 0, host_time), E_DEADLINE);
    CHECK_EQ(receive_until(server, 0, host_time + 50), BLOCKED);
    tick(50);
    CHECK_EQ(outcome(server), E_DEADLINE);
    CHECK_EQ(receive_until(server, 0, host_time + 50), BLOCKED);
    CHECK_EQ(call(proc(CLIENT), H_SERVER), BLOCKED);
    CHECK_EQ(outcome(server), E_OK);
    CHECK_EQ(server->deadline, 0);
    tick(60);
    CHECK_EQ(outcome(server), E_OK);
    CHECK_EQ(got_sender(server), CLIENT);
}
