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
