/*
 * Who runs: the highest rank, turns among equals, a share for those who have one, a budget for servers; and time goes to whom it
 * belongs.
 */
#include "host.h"

enum { SLICE = LIMIT_SLICE_TICKS, PERIOD = LIMIT_SHARE_PERIOD_TICKS };

/* Everybody but those named in the mask waits for a signal that never comes. */
static void leave_ready_booted(uint32_t mask) {
    for (uint32_t i = CLIENT; i < SYSTEM_PROCESSES; i++)
        if (proc(i)->state == STATE_SUSPENDED) resume(i);
    for (uint32_t i = 0; i < SYSTEM_PROCESSES; i++) {
        while (!(mask >> i & 1) && outcome(proc(i)) != BLOCKED) sys(proc(i), SYS_WAIT, H_NOTE);
        proc(i)->since_recv = 0;
    }
    sched_timer();
    sched_run();
}

static void leave_ready(uint32_t mask) {
    boot();
    leave_ready_booted(mask);
}

static struct process *next(uint64_t ticks) {
    tick(ticks);
    sched_run();
    check_invariants();
    return current;
}

CASE(the_highest_rank_runs) {
    leave_ready(1 << LOW | 1 << CLIENT);
    CHECK(current == proc(CLIENT));
    notify_signal(proc(SERVER), 1);
    sched_run();
    CHECK(current == proc(SERVER));
    CHECK(proc(CLIENT)->queued);
    CHECK_EQ(sys(proc(SERVER), SYS_WAIT, H_NOTE), BLOCKED);
    sched_run();
    CHECK(current == proc(CLIENT));
}

CASE(a_lower_rank_waits_however_long) {
    leave_ready(1 << LOW | 1 << CLIENT);
    for (uint32_t i = 0; i < 500; i++) CHECK(next(SLICE) == proc(CLIENT));
}

CASE(equals_take_turns) {
    leave_ready(1 << CLIENT | 1 << TWIN);
    uint32_t turns[2] = {0};
    for (uint32_t i = 0; i < 100; i++) {
        struct process *before = current;
        CHECK(next(SLICE) != before);
        turns[current == proc(TWIN)]++;
    }
    CHECK_EQ(turns[0], 50);
    CHECK_EQ(turns[1], 50);
}

CASE(who_is_interrupted_by_a_higher_rank_goes_on_with_its_turn) {
    leave_ready(1 << CLIENT | 1 << TWIN);
    struct process *turn = current;
    notify_signal(proc(SERVER), 1);
    sched_run();
    CHECK_EQ(sys(proc(SERVER), SYS_WAIT, H_NOTE), BLOCKED);
    sched_run();
    CHECK(current == turn);
    CHECK_EQ(sys(turn, SYS_WAIT, H_NOTE), BLOCKED);
    sched_run();
    CHECK(current == (turn == proc(CLIENT) ? proc(TWIN) : proc(CLIENT)));
}

CASE(cpu_time_is_charged_to_who_used_it) {
    leave_ready(1 << CLIENT | 1 << LOW);
    uint64_t client = proc(CLIENT)->cpu_ticks, low = proc(LOW)->cpu_ticks;
    next(300);
    CHECK_EQ(proc(CLIENT)->cpu_ticks, client + 300);
    host_time += 40;
    CHECK_EQ(sys(proc(CLIENT), SYS_WAIT, H_NOTE), BLOCKED);
    CHECK_EQ(proc(CLIENT)->cpu_ticks, client + 340);
    sched_run();
    CHECK(current == proc(LOW));
    next(500);
    CHECK_EQ(proc(LOW)->cpu_ticks, low + 500);
    CHECK_EQ(proc(CLIENT)->cpu_ticks, client + 340);
}

/* Somebody with a share spins above somebody who wants all that is left. */
CASE(a_share_is_what_one_gets_of_a_period) {
    leave_ready(1 << LOW | 1 << CLIENT);
    proc(LOW)->rank = proc(CLIENT)->rank + 1;
    CHECK_EQ(sys(proc(LOW), SYS_TIME), E_OK);
    uint64_t begun = host_time, used = proc(LOW)->cpu_ticks, others = proc(CLIENT)->cpu_ticks;
    for (uint32_t i = 0; i < 1000; i++) next(SLICE);
    uint64_t ticks = host_time - begun, got = proc(LOW)->cpu_ticks - used;
    CHECK(got * 1000 <= ticks * TEST_SHARE * 105 / 100 && got * 1000 >= ticks * TEST_SHARE * 90 / 100);
    CHECK(proc(CLIENT)->cpu_ticks - others >= ticks * 7 / 10);
}

CASE(what_nobody_else_wants_goes_to_one_over_its_share) {
    leave_ready(1 << LOW);
    uint64_t begun = host_time, used = proc(LOW)->cpu_ticks;
    for (uint32_t i = 0; i < 1000; i++) {
        CHECK(current == proc(LOW));
        next(SLICE);
    }
    CHECK_EQ(proc(LOW)->cpu_ticks - used, host_time - begun);
    CHECK_EQ(sched_idle_ticks(), 0);
}

CASE(whoever_is_ready_goes_before_one_over_its_share) {
    leave_ready(1 << LOW);
    proc(LOW)->rank = proc(SERVER)->rank + 1; /* even from below */
    proc(LOW)->share_used = PERIOD;
    CHECK(next(SLICE) == proc(LOW) && proc(LOW)->throttled);
    notify_signal(proc(CLIENT), 1);
    sched_run();
    check_invariants();
    CHECK(current == proc(CLIENT) && proc(LOW)->throttled && !proc(LOW)->queued);
    CHECK_EQ(sys(proc(CLIENT), SYS_WAIT, H_NOTE), BLOCKED);
    sched_run();
    CHECK(current == proc(LOW));
    notify_signal(proc(TWIN), 1);
    CHECK(next(PERIOD) == proc(LOW) && !proc(LOW)->throttled); /* a new period: its rank counts again */
}

CASE(those_over_their_share_take_turns_in_what_is_left) {
    leave_ready(1 << LOW | 1 << CLIENT);
    static struct image_process limited; /* CLIENT's row with a share */
    limited = *proc(CLIENT)->row;
    limited.share = TEST_SHARE;
    proc(CLIENT)->row = &limited;
    proc(CLIENT)->share_used = proc(LOW)->share_used = PERIOD;
    uint64_t low = proc(LOW)->cpu_ticks, client = proc(CLIENT)->cpu_ticks;
    for (uint32_t i = 0; i < 60; i++) next(SLICE);
    CHECK(proc(LOW)->cpu_ticks - low >= 20 * SLICE && proc(CLIENT)->cpu_ticks - client >= 20 * SLICE);
}

CASE(one_over_its_share_that_blocks_waits_like_all) {
    leave_ready(1 << LOW | 1 << ROOT);
    CHECK_EQ(sys(proc(ROOT), SYS_WAIT, H_NOTE), BLOCKED);
    sched_run();
    proc(LOW)->share_used = PERIOD;
    CHECK(next(SLICE) == proc(LOW) && proc(LOW)->throttled);
    CHECK_EQ(sys(proc(LOW), SYS_WAIT, H_NOTE), BLOCKED);
    notify_signal(proc(ROOT), 1);
    notify_signal(proc(LOW), 1);
    CHECK(next(PERIOD) == proc(ROOT) && proc(LOW)->queued);
}

CASE(waking_does_not_get_around_the_share) {
    leave_ready(1 << LOW | 1 << ROOT);
    proc(LOW)->share_used = PERIOD;
    CHECK_EQ(sys(proc(LOW), SYS_WAIT, H_NOTE), BLOCKED);
    notify_signal(proc(LOW), 1);
    CHECK(proc(LOW)->throttled && !proc(LOW)->queued);
    CHECK_EQ(outcome(proc(LOW)), E_OK);
    tick(PERIOD);
    CHECK(proc(LOW)->queued || current == proc(LOW));
}

CASE(what_a_server_does_for_a_caller_is_paid_by_the_callers_share) {
    leave_ready(1 << LOW | 1 << SERVER);
    CHECK_EQ(receive(proc(SERVER), 0), BLOCKED);
    uint64_t paid = proc(LOW)->share_used;
    CHECK_EQ(call(proc(LOW), H_SERVER), BLOCKED);
    CHECK(current == proc(SERVER));
    host_time += 700;
    CHECK_EQ(reply(proc(SERVER), got_reply(proc(SERVER))), E_OK);
    sched_account(host_time);
    CHECK_EQ(proc(LOW)->share_used, paid + 700);
    CHECK_EQ(receive(proc(SERVER), 0), BLOCKED);
}

CASE(time_changes_hands_with_the_message) {
    leave_ready(1 << CLIENT | 1 << SERVER | 1 << MIDDLE);
    struct process *client = proc(CLIENT), *server = proc(SERVER);
    CHECK_EQ(receive(server, 0), BLOCKED);
    CHECK_EQ(sys(client, SYS_TIME), E_OK);
    uint64_t mine = client->cpu_ticks, its = server->cpu_ticks, begun = host_time;
    host_time += 1000;
    CHECK_EQ(call(client, H_SERVER), BLOCKED);
    host_time += 30;
    uint64_t handle = got_reply(server);
    CHECK_EQ(sys(server, SYS_REPLY_RECV, handle, 0, H_SERVER_OWN), BLOCKED);
    CHECK_EQ(client->cpu_ticks, mine + 1000);
    CHECK_EQ(server->cpu_ticks, its + 30);
    CHECK_EQ(host_time, begun + 1030);
    CHECK_EQ(call(proc(MIDDLE), H_SERVER), BLOCKED);
    CHECK_EQ(call(client, H_MIDDLE), BLOCKED); /* waits in the queue: its time ends here */
    uint64_t until_here = client->cpu_ticks;
    host_time += 500;
    sched_account(host_time);
    CHECK_EQ(client->cpu_ticks, until_here);
}

CASE(after_a_signal_a_server_pays_for_itself) {
    leave_ready(1 << LOW | 1 << MIDDLE);
    CHECK_EQ(receive(proc(MIDDLE), 0), BLOCKED);
    CHECK_EQ(call(proc(LOW), H_MIDDLE), BLOCKED);
    CHECK_EQ(reply(proc(MIDDLE), got_reply(proc(MIDDLE))), E_OK);
    CHECK_EQ(proc(MIDDLE)->payer, LOW);
    notify_signal(proc(MIDDLE), 1);
    CHECK_EQ(receive(proc(MIDDLE), 0), E_OK);
    CHECK_EQ(proc(MIDDLE)->payer, MIDDLE);
}

CASE(a_stopped_process_leaves_its_time_and_its_throttle_behind) {
    leave_ready(1 << LOW | 1 << ROOT);
    CHECK_EQ(sys(proc(LOW), SYS_TIME), E_OK);
    uint64_t used = proc(LOW)->cpu_ticks;
    host_time += 400;
    CHECK_EQ(sys(proc(LOW), SYS_EXIT, 0), STOPPED);
    CHECK_EQ(proc(LOW)->cpu_ticks, used + 400);
    restart(LOW);
    proc(LOW)->share_used = PERIOD;
    CHECK_EQ(sys(proc(LOW), SYS_WAIT, H_NOTE), BLOCKED);
    notify_signal(proc(LOW), 1);
    CHECK(proc(LOW)->throttled);
    kill_process(LOW);
    CHECK(!proc(LOW)->throttled);
    tick(PERIOD);
    restart(LOW);
    CHECK(proc(LOW)->queued);
    tick(PERIOD);
    check_invariants();
}

/* --- the timer --- */

CASE(the_timer_fires_each_slice_while_somebody_runs) {
    boot_cold();
    CHECK_EQ(host_timer, host_time + SLICE);
    leave_ready_booted(1 << CLIENT);
    next(SLICE);
    CHECK_EQ(host_timer, host_time + SLICE);
    next(100);
    CHECK_EQ(host_timer, host_time + SLICE);
}

CASE(an_idle_machine_wakes_for_the_next_period_or_deadline) {
    leave_ready(1 << CLIENT);
    uint64_t begun = host_time, idle = sched_idle_ticks();
    CHECK_EQ(sys(proc(CLIENT), SYS_WAIT, H_NOTE, host_time + 5 * PERIOD + 77), BLOCKED);
    sched_run();
    CHECK(current == proc(CLIENT));
    CHECK_EQ(host_time, begun + 5 * PERIOD + 77);
    CHECK_EQ(sched_idle_ticks(), idle + 5 * PERIOD + 77);
}

CASE(an_interrupt_ends_idleness) {
    leave_ready(1 << CLIENT);
    CHECK_EQ(sys(proc(CLIENT), SYS_WAIT, H_NOTE), BLOCKED);
    host_irq_pending = 1u << devices[0].irq;
    uint64_t server = proc(SERVER)->cpu_ticks;
    sched_run();
    CHECK(current == proc(SERVER));
    CHECK_EQ(proc(SERVER)->cpu_ticks, server);
    CHECK_EQ(reg(proc(SERVER), 1), 1);
}

CASE(time_until_a_switch_is_the_old_ones) {
    leave_ready(1 << CLIENT);
    uint64_t client = proc(CLIENT)->cpu_ticks, server = proc(SERVER)->cpu_ticks;
    host_time += 60;
    notify_signal(proc(SERVER), 1);
    sched_run();
    CHECK(current == proc(SERVER));
    CHECK_EQ(proc(CLIENT)->cpu_ticks, client + 60);
    CHECK_EQ(proc(SERVER)->cpu_ticks, server);
}

/* --- the budget of a server --- */

static void spin(struct process *p, uint64_t ticks) {
    CHECK_EQ(sys(p, SYS_TIME), E_OK);
    for (; ticks >= SLICE && p->state == STATE_READY; ticks -= SLICE) tick(SLICE);
}

CASE(a_server_that_spins_is_stopped_as_hung) {
    leave_ready(1 << MIDDLE | 1 << CLIENT);
    CHECK_EQ(call(proc(CLIENT), H_MIDDLE), BLOCKED);
    CHECK_EQ(receive(proc(MIDDLE), 0), E_OK);
    spin(proc(MIDDLE), TEST_BUDGET);
    CHECK_EQ(proc(MIDDLE)->state, STATE_READY);
    spin(proc(MIDDLE), 2 * SLICE);
    CHECK_EQ(proc(MIDDLE)->state, STATE_STOPPED);
    CHECK_EQ(proc(MIDDLE)->fault, FAULT_HUNG);
    CHECK_EQ(outcome(proc(CLIENT)), E_PEER_DIED);
    CHECK_EQ(outcome(proc(ROOT)), E_OK); /* its supervisor was waiting for just that */
    CHECK_EQ(reg(proc(ROOT), 1), 1 << MIDDLE);
}

CASE(each_request_has_the_whole_budget) {
    leave_ready(1 << MIDDLE | 1 << CLIENT);
    for (uint32_t i = 0; i < 10; i++) {
        CHECK_EQ(call(proc(CLIENT), H_MIDDLE, .within = 10 * TEST_BUDGET), BLOCKED);
        CHECK_EQ(receive(proc(MIDDLE), 0), E_OK);
        spin(proc(MIDDLE), TEST_BUDGET - 2 * SLICE);
        CHECK_EQ(reply(proc(MIDDLE), got_reply(proc(MIDDLE))), E_BAD_HANDLE); /* the registers hold the time now */
        uint32_t slot = proc(CLIENT)->reply_slot;
        CHECK_EQ(reply(proc(MIDDLE), cap_handle(proc(MIDDLE), &proc(MIDDLE)->caps[slot])), E_OK);
    }
}

CASE(a_server_that_only_waits_is_not_hung) {
    leave_ready(1 << MIDDLE);
    for (uint32_t i = 0; i < 200; i++) {
        spin(proc(MIDDLE), SLICE);
        CHECK_EQ(receive_until(proc(MIDDLE), 0, host_time + SLICE), BLOCKED);
        tick(SLICE);
        CHECK_EQ(outcome(proc(MIDDLE)), E_DEADLINE);
    }
}

CASE(asking_in_vain_does_not_renew_the_budget) {
    leave_ready(1 << MIDDLE);
    for (uint32_t i = 0; i < 100 && proc(MIDDLE)->state == STATE_READY; i++) {
        spin(proc(MIDDLE), SLICE);
        if (proc(MIDDLE)->state == STATE_READY) CHECK_EQ(receive_until(proc(MIDDLE), 0, host_time), E_DEADLINE);
    }
    CHECK_EQ(proc(MIDDLE)->fault, FAULT_HUNG);
}

/* Nor does telling oneself something: bits are no message. */
CASE(ones_own_signal_does_not_renew_the_budget) {
    leave_ready(1 << MIDDLE | 1 << CLIENT);
    struct process *m = proc(MIDDLE);
    CHECK_EQ(sys(m, SYS_CAP_MINT, H_NOTE, 1, RIGHT_CALL), E_OK);
    uint64_t own = reg(m, 1);
    for (uint32_t i = 0; i < 1000 && m->state == STATE_READY; i++) {
        spin(m, SLICE);
        if (m->state != STATE_READY) break;
        CHECK_EQ(sys(m, SYS_NOTIFY, own), E_OK);
        CHECK_EQ(receive(m, 0), E_OK);
    }
    CHECK_EQ(m->fault, FAULT_HUNG);
}

/* What it slept comes back, and no more than that. */
CASE(a_nap_gives_back_as_much_budget_as_it_was_long) {
    leave_ready(1 << MIDDLE | 1 << CLIENT);
    struct process *m = proc(MIDDLE);
    uint64_t naps = 0;
    for (; naps < 1000 && m->state == STATE_READY; naps++) {
        spin(m, 4 * SLICE);
        if (m->state != STATE_READY) break;
        CHECK_EQ(receive_until(m, 0, host_time + 1), BLOCKED);
        tick(1);
        CHECK_EQ(outcome(m), E_DEADLINE);
    }
    CHECK_EQ(m->fault, FAULT_HUNG);
    CHECK(naps * 4 * SLICE <= TEST_BUDGET + 8 * SLICE);
}

CASE(sleeping_through_each_tick_does_not_hide_a_spinning_server) {
    leave_ready(1 << MIDDLE);
    uint32_t turns = 0;
    for (; turns < 2000 && proc(MIDDLE)->state == STATE_READY; turns++) {
        CHECK_EQ(sys(proc(MIDDLE), SYS_TIME), E_OK);
        host_time += SLICE - 10;
        CHECK_EQ(sys(proc(MIDDLE), SYS_WAIT, H_NOTE, host_time + 10), BLOCKED);
        tick(10);
    }
    CHECK_EQ(proc(MIDDLE)->fault, FAULT_HUNG);
    CHECK(turns * SLICE < 2 * TEST_BUDGET + LIMIT_SHARE_PERIOD_TICKS);
}

CASE(who_has_no_budget_is_never_hung) {
    leave_ready(1 << CLIENT);
    spin(proc(CLIENT), 100 * TEST_BUDGET);
    CHECK_EQ(proc(CLIENT)->state, STATE_READY);
}

CASE(deadlines_end_while_nobody_runs) {
    leave_ready(1 << CLIENT);
    CHECK_EQ(call(proc(CLIENT), H_SERVER, .within = 123456), BLOCKED);
    uint64_t end = host_time + 123456;
    sched_run();
    CHECK(current == proc(CLIENT));
    CHECK_EQ(outcome(proc(CLIENT)), E_DEADLINE);
    CHECK_EQ(host_time, end);
}

/* The timer was far away, for the sleep of one that is over its share; it must not be for whoever runs instead. */
CASE(a_slice_ends_beside_spare_time_too) {
    leave_ready(1 << LOW);
    proc(LOW)->share_used = PERIOD;
    CHECK(next(SLICE) == proc(LOW) && proc(LOW)->throttled);
    CHECK(host_timer <= host_time + SLICE);
    notify_signal(proc(MIDDLE), 1);
    sched_run();
    CHECK(current == proc(MIDDLE));
    CHECK(host_timer <= host_time + SLICE);
}
