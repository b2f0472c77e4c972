/* Notifications: bits merge, wake whoever waits, come before messages, and only through a capability that may signal. */
#include "host.h"

static uint32_t signal_to(uint32_t holder, uint32_t target, uint64_t bits) {
    return give(proc(holder), OBJ_NOTIFICATION, RIGHT_CALL, (uint16_t)target, bits);
}

CASE(bits_merge_until_they_are_taken) {
    boot();
    struct process *p = proc(MIDDLE);
    CHECK_EQ(sys(proc(CLIENT), SYS_NOTIFY, signal_to(CLIENT, MIDDLE, 1)), E_OK);
    CHECK_EQ(sys(proc(TWIN), SYS_NOTIFY, signal_to(TWIN, MIDDLE, 8)), E_OK);
    CHECK_EQ(sys(proc(TWIN), SYS_NOTIFY, signal_to(TWIN, MIDDLE, 8)), E_OK);
    CHECK_EQ(sys(proc(TWIN), SYS_NOTIFY, signal_to(TWIN, MIDDLE, 1ull << 63)), E_OK);
    CHECK_EQ(sys(p, SYS_WAIT, H_NOTE), E_OK);
    CHECK_EQ(reg(p, 1), 1ull << 63 | 9);
    CHECK_EQ(sys(p, SYS_WAIT, H_NOTE, host_time + 5), BLOCKED);
    tick(5);
    CHECK_EQ(outcome(p), E_DEADLINE);
}

CASE(a_signal_wakes_one_who_waits) {
    boot();
    struct process *p = proc(MIDDLE);
    CHECK_EQ(sys(p, SYS_WAIT, H_NOTE), BLOCKED);
    CHECK_EQ(sys(proc(CLIENT), SYS_NOTIFY, signal_to(CLIENT, MIDDLE, 6)), E_OK);
    CHECK_EQ(outcome(p), E_OK);
    CHECK_EQ(reg(p, 1), 6);
    CHECK_EQ(p->bits, 0);
}

CASE(a_signal_wakes_one_who_receives) {
    boot();
    struct process *p = proc(MIDDLE);
    CHECK_EQ(receive_until(p, 2, host_time + 100), BLOCKED);
    CHECK_EQ(sys(proc(CLIENT), SYS_NOTIFY, signal_to(CLIENT, MIDDLE, 6)), E_OK);
    CHECK_EQ(outcome(p), E_OK);
    CHECK_EQ(reg(p, 1), (uint64_t)DELIVER_NOTIFIED << 24);
    CHECK_EQ(got_badge(p), 6);
    CHECK_EQ(p->deadline, 0);
}

CASE(bits_come_before_messages_and_no_message_is_lost) {
    boot();
    struct process *p = proc(MIDDLE);
    CHECK_EQ(call(proc(CLIENT), H_MIDDLE), BLOCKED);
    CHECK_EQ(sys(proc(TWIN), SYS_NOTIFY, signal_to(TWIN, MIDDLE, 2)), E_OK);
    CHECK_EQ(receive(p, 0), E_OK);
    CHECK_EQ(got_flags(p), DELIVER_NOTIFIED);
    CHECK_EQ(receive(p, 0), E_OK);
    CHECK_EQ(got_flags(p), DELIVER_MESSAGE);
    CHECK_EQ(got_sender(p), CLIENT);
}

CASE(a_signal_does_not_end_a_call) {
    boot();
    CHECK_EQ(call(proc(CLIENT), H_SERVER), BLOCKED);
    CHECK_EQ(sys(proc(TWIN), SYS_NOTIFY, signal_to(TWIN, CLIENT, 2)), E_OK);
    CHECK_EQ(outcome(proc(CLIENT)), BLOCKED);
    CHECK_EQ(receive(proc(SERVER), 0), E_OK);
    CHECK_EQ(reply(proc(SERVER), got_reply(proc(SERVER))), E_OK);
    CHECK_EQ(sys(proc(CLIENT), SYS_WAIT, H_NOTE), E_OK);
    CHECK_EQ(reg(proc(CLIENT), 1), 2);
}

CASE(signalling_up_and_down_the_rank_is_free) {
    boot();
    CHECK_EQ(sys(proc(SERVER), SYS_NOTIFY, signal_to(SERVER, LOW, 1)), E_OK);
    CHECK_EQ(sys(proc(LOW), SYS_NOTIFY, signal_to(LOW, SERVER, 1)), E_OK);
    CHECK_EQ(sys(proc(LOW), SYS_NOTIFY, signal_to(LOW, LOW, 1)), E_OK);
    CHECK_EQ(sys(proc(LOW), SYS_WAIT, H_NOTE), E_OK);
}

CASE(waiting_and_signalling_are_two_rights) {
    boot();
    CHECK_EQ(sys(proc(CLIENT), SYS_NOTIFY, H_NOTE), E_BAD_RIGHT);
    uint32_t handle = signal_to(CLIENT, MIDDLE, 1);
    CHECK_EQ(sys(proc(CLIENT), SYS_WAIT, handle, host_time + 5), E_BAD_RIGHT);
    CHECK_EQ(sys(proc(MIDDLE), SYS_CAP_MINT, H_NOTE, 16, RIGHT_CALL | RIGHT_GRANT), E_OK);
    CHECK_EQ(sys(proc(MIDDLE), SYS_CAP_MINT, H_NOTE, 16, RIGHT_USE), E_BAD_RIGHT);
}

CASE(a_wait_may_last_for_ever_or_not_at_all) {
    boot();
    CHECK_EQ(sys(proc(CLIENT), SYS_WAIT, H_NOTE, host_time), E_DEADLINE);
    CHECK_EQ(sys(proc(CLIENT), SYS_WAIT, H_NOTE, 0), BLOCKED);
    CHECK_EQ(proc(CLIENT)->deadline, 0);
    tick(1ull << 40);
    CHECK_EQ(outcome(proc(CLIENT)), BLOCKED);
}

static uint64_t pending(uint32_t index) { return word_of(proc(index), IPC_PENDING); }

CASE(who_runs_sees_in_its_page_which_bits_wait) {
    boot();
    struct process *p = proc(MIDDLE);
    CHECK_EQ(pending(MIDDLE), 0);
    CHECK_EQ(sys(proc(CLIENT), SYS_NOTIFY, signal_to(CLIENT, MIDDLE, 1)), E_OK);
    CHECK_EQ(pending(MIDDLE), 1);
    CHECK_EQ(sys(proc(TWIN), SYS_NOTIFY, signal_to(TWIN, MIDDLE, 1ull << 63)), E_OK);
    CHECK_EQ(pending(MIDDLE), 1ull << 63 | 1);
    CHECK_EQ(sys(p, SYS_WAIT, H_NOTE), E_OK);
    CHECK_EQ(pending(MIDDLE), 0);
    CHECK_EQ(sys(proc(CLIENT), SYS_NOTIFY, signal_to(CLIENT, MIDDLE, 2)), E_OK);
    CHECK_EQ(pending(MIDDLE), 2);
    CHECK_EQ(receive(p, 0), E_OK);
    CHECK_EQ(pending(MIDDLE), 0);
    CHECK_EQ(pending(CLIENT), 0); /* it is the target's page */
}

CASE(one_in_a_call_sees_in_its_page_what_waits_when_it_goes_on) {
    boot();
    CHECK_EQ(call(proc(CLIENT), H_SERVER), BLOCKED);
    CHECK_EQ(sys(proc(TWIN), SYS_NOTIFY, signal_to(TWIN, CLIENT, 2)), E_OK);
    CHECK_EQ(receive(proc(SERVER), 0), E_OK);
    CHECK_EQ(reply(proc(SERVER), got_reply(proc(SERVER))), E_OK);
    CHECK_EQ(pending(CLIENT), 2);
}

CASE(what_is_told_at_once_leaves_nothing_in_the_page) {
    boot();
    CHECK_EQ(sys(proc(MIDDLE), SYS_WAIT, H_NOTE), BLOCKED);
    CHECK_EQ(receive(proc(SERVER), 0), BLOCKED);
    CHECK_EQ(sys(proc(CLIENT), SYS_NOTIFY, signal_to(CLIENT, MIDDLE, 6)), E_OK);
    CHECK_EQ(sys(proc(CLIENT), SYS_NOTIFY, signal_to(CLIENT, SERVER, 6)), E_OK);
    CHECK_EQ(pending(MIDDLE), 0);
    CHECK_EQ(pending(SERVER), 0);
}

CASE(bits_of_one_life_are_not_in_the_page_of_the_next) {
    boot();
    notify_signal(proc(CLIENT), 4);
    restart(CLIENT);
    CHECK_EQ(pending(CLIENT), 0);
}

CASE(a_signal_leaves_the_page_of_whoever_does_not_run_alone) {
    boot();
    kill_process(CLIENT);
    fill(proc(CLIENT), 0xee);
    notify_signal(proc(CLIENT), 4);
    CHECK_EQ(pending(CLIENT), 0xeeeeeeeeeeeeeeee);
    restart(CLIENT);
    CHECK_EQ(pending(CLIENT), 0);
}
