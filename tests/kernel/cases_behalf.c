/*
 * On behalf: a server that serves a call may pass it on with a question of its own, and the kernel states whose it is. Only a live
 * call counts, only its direct sender, and nobody can name a subject.
 */
#include "host.h"

/* CLIENT calls MIDDLE, which serves it; gives MIDDLE's reply handle. */
static uint64_t serve(uint32_t client) {
    CHECK_EQ(call(proc(client), H_MIDDLE, .within = 1000), BLOCKED);
    CHECK_EQ(receive(proc(MIDDLE), 0), E_OK);
    return got_reply(proc(MIDDLE));
}

static void check_subject(struct process *server, const struct process *subject) {
    CHECK(got_flags(server) & DELIVER_BEHALF);
    CHECK_EQ(word_of(server, IPC_SUBJECT_ID), subject->service_id);
    CHECK_EQ(word_of(server, IPC_SUBJECT), subject->index | (uint64_t)subject->kind << 16);
    CHECK_EQ(word_of(server, IPC_SUBJECT_MASK), subject->mask);
    CHECK_EQ(word_of(server, IPC_SUBJECT_PUBLISHER), subject->publisher);
}

CASE(a_question_on_behalf_states_subject_and_asker) {
    boot();
    uint64_t handle = serve(CLIENT);
    CHECK_EQ(receive(proc(SERVER), 0), BLOCKED);
    CHECK_EQ(call(proc(MIDDLE), H_SERVER, .behalf = handle), BLOCKED);
    check_subject(proc(SERVER), proc(CLIENT));
    CHECK_EQ(got_sender(proc(SERVER)), MIDDLE);
    CHECK_EQ(reply(proc(SERVER), got_reply(proc(SERVER))), E_OK);
    CHECK_EQ(reply(proc(MIDDLE), handle), E_OK); /* passing it on did not use it up */
}

CASE(it_is_stated_when_the_server_comes_later_too) {
    boot();
    uint64_t handle = serve(TWIN);
    CHECK_EQ(call(proc(MIDDLE), H_SERVER, .behalf = handle), BLOCKED);
    CHECK_EQ(receive(proc(SERVER), 0), E_OK);
    check_subject(proc(SERVER), proc(TWIN));
}

CASE(without_it_no_subject_is_stated) {
    boot();
    serve(CLIENT);
    fill(proc(SERVER), 0xee);
    CHECK_EQ(receive(proc(SERVER), 0), BLOCKED);
    CHECK_EQ(call(proc(MIDDLE), H_SERVER), BLOCKED);
    CHECK_EQ(got_flags(proc(SERVER)), DELIVER_MESSAGE);
    CHECK_EQ(word_of(proc(SERVER), IPC_SUBJECT), 0xeeeeeeeeeeeeeeee);
}

CASE(it_does_not_stick_to_the_next_question) {
    boot();
    uint64_t handle = serve(CLIENT);
    CHECK_EQ(receive(proc(SERVER), 0), BLOCKED);
    CHECK_EQ(call(proc(MIDDLE), H_SERVER, .behalf = handle), BLOCKED);
    CHECK_EQ(reply(proc(SERVER), got_reply(proc(SERVER))), E_OK);
    CHECK_EQ(receive(proc(SERVER), 0), BLOCKED);
    CHECK_EQ(call(proc(MIDDLE), H_SERVER), BLOCKED);
    CHECK_EQ(got_flags(proc(SERVER)), DELIVER_MESSAGE);
}

CASE(only_a_call_being_served_or_a_child_is_a_subject) {
    boot();
    struct process *p = proc(MIDDLE);
    uint64_t handle = serve(CLIENT);
    static const uint64_t wrong[] = {H_CONSOLE, H_NOTE, H_OWN, H_SERVER, H_GIFT, H_GIFT_REGION, H_SPAWN};
    for (uint32_t i = 0; i < sizeof wrong / sizeof *wrong; i++) CHECK_EQ(call(p, H_SERVER, .behalf = wrong[i]), E_BAD_TYPE);
    CHECK_EQ(call(p, H_SERVER, .behalf = HANDLE_BOOT + 200), E_BAD_HANDLE);
    CHECK_EQ(call(p, H_SERVER, .behalf = HANDLE_BOOT + LIMIT_CAP_SLOTS), E_BAD_HANDLE);
    CHECK_EQ(call(p, H_SERVER, .behalf = handle | 1ull << 40), E_BAD_HANDLE);
    CHECK_EQ(call(p, H_SERVER, .behalf = handle + 0x100), E_BAD_HANDLE);
    CHECK_EQ(call(proc(TWIN), H_SERVER, .behalf = handle), E_BAD_HANDLE); /* a handle is worth nothing elsewhere */
    CHECK_EQ(call(proc(ROOT), H_SERVER, .behalf = H_SUPERVISE_CLIENT), E_STATE); /* it runs: it can ask itself */
}

CASE(a_call_already_answered_is_no_subject) {
    boot();
    uint64_t handle = serve(CLIENT);
    CHECK_EQ(reply(proc(MIDDLE), handle), E_OK);
    CHECK_EQ(call(proc(MIDDLE), H_SERVER, .behalf = handle), E_BAD_HANDLE);
}

CASE(a_caller_that_gave_up_is_no_subject) {
    boot();
    uint64_t handle = serve(CLIENT);
    tick(1000);
    CHECK_EQ(call(proc(MIDDLE), H_SERVER, .behalf = handle), E_CALLER_GONE);
}

CASE(a_subject_that_dies_while_the_question_waits_ends_it) {
    boot();
    uint64_t handle = serve(CLIENT);
    CHECK_EQ(call(proc(MIDDLE), H_SERVER, .behalf = handle), BLOCKED);
    kill_process(CLIENT);
    CHECK_EQ(call(proc(TWIN), H_SERVER), BLOCKED);
    CHECK_EQ(receive(proc(SERVER), 0), E_OK);
    CHECK_EQ(got_sender(proc(SERVER)), TWIN);
    CHECK_EQ(outcome(proc(MIDDLE)), E_CALLER_GONE);
    CHECK_EQ(call(proc(MIDDLE), H_SERVER, .behalf = handle), E_CALLER_GONE);
}

CASE(a_subject_that_restarts_is_not_taken_for_the_old_one) {
    boot();
    uint64_t handle = serve(CLIENT);
    restart(CLIENT);
    CHECK_EQ(call(proc(CLIENT), H_MIDDLE), BLOCKED);
    CHECK_EQ(call(proc(MIDDLE), H_SERVER, .behalf = handle), E_CALLER_GONE);
    CHECK_EQ(reply(proc(MIDDLE), handle), E_CALLER_GONE);
    CHECK_EQ(outcome(proc(CLIENT)), BLOCKED);
}

CASE(the_subject_is_the_direct_sender_never_a_chain) {
    boot();
    CHECK_EQ(call(proc(CLIENT), H_MIDDLE), BLOCKED);
    CHECK_EQ(receive(proc(MIDDLE), 0), E_OK);
    CHECK_EQ(call(proc(MIDDLE), H_SERVER, .behalf = got_reply(proc(MIDDLE))), BLOCKED);
    CHECK_EQ(receive(proc(SERVER), 0), E_OK);
    /* A third server, above: SERVER asks on behalf of the call it serves, which is MIDDLE's. */
    endpoints[MIDDLE_ENDPOINT].owner = ROOT;
    proc(ROOT)->rank = 9;
    uint32_t up = give(proc(SERVER), OBJ_ENDPOINT, RIGHT_CALL, MIDDLE_ENDPOINT, 0);
    CHECK_EQ(call(proc(SERVER), up, .behalf = got_reply(proc(SERVER))), BLOCKED);
    uint32_t own = give(proc(ROOT), OBJ_ENDPOINT, RIGHT_RECV, MIDDLE_ENDPOINT, 0);
    CHECK_EQ(sys(proc(ROOT), SYS_RECV, own), E_OK);
    check_subject(proc(ROOT), proc(MIDDLE));
    CHECK_EQ(got_sender(proc(ROOT)), SERVER);
}

CASE(a_child_not_yet_running_is_a_subject) {
    boot_cold();
    struct process *root = proc(ROOT);
    resume(SERVER);
    CHECK_EQ(receive(proc(SERVER), 0), BLOCKED);
    CHECK_EQ(call(root, H_SERVER, .behalf = H_SUPERVISE_CLIENT), BLOCKED);
    check_subject(proc(SERVER), proc(CLIENT));
    CHECK_EQ(reply(proc(SERVER), got_reply(proc(SERVER))), E_OK);
    resume(CLIENT);
    CHECK_EQ(call(root, H_SERVER, .behalf = H_SUPERVISE_CLIENT), E_STATE);
}

CASE(a_child_that_is_killed_while_the_question_waits_ends_it) {
    boot_cold();
    resume(SERVER);
    CHECK_EQ(call(proc(ROOT), H_SERVER, .behalf = H_SUPERVISE_CLIENT), BLOCKED);
    process_stop(proc(CLIENT), FAULT_KILLED, 0);
    CHECK_EQ(receive(proc(SERVER), 0), BLOCKED);
    CHECK_EQ(outcome(proc(ROOT)), E_CALLER_GONE);
}
