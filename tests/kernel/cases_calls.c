/*
 * A call, its delivery and its answer: in both orders of arrival, with exactly the bytes named, once; who may call whom; and what
 * the kernel states of the sender.
 */
#include "host.h"

enum { CLEAN = 0x11, SECRET = 0x77 };

/* Exactly the first bytes of the sender's page arrive, nothing behind them, whatever the receiver's page held. */
static void check_copied(struct process *from, struct process *to, uint32_t bytes) {
    CHECK(memcmp(data_of(to), data_of(from), bytes) == 0);
    for (uint32_t i = bytes; i < IPC_DATA_BYTES; i++) CHECK_EQ(data_of(to)[i], CLEAN);
}

static void prepare(struct process *from, struct process *to) {
    fill(from, SECRET);
    for (uint32_t i = 0; i < IPC_DATA_BYTES; i++) data_of(from)[i] = (uint8_t)(i * 5 + 3);
    fill(to, CLEAN);
}

static void exchange(bool server_first, uint32_t there, uint32_t back) {
    struct process *client = proc(CLIENT), *server = proc(SERVER);
    prepare(client, server);
    if (server_first) CHECK_EQ(receive(server, 0), BLOCKED);
    CHECK_EQ(call(client, H_SERVER, .bytes = there), BLOCKED);
    if (!server_first) CHECK_EQ(receive(server, 0), E_OK);
    CHECK_EQ(outcome(server), E_OK);
    CHECK_EQ(got_bytes(server), there);
    check_copied(client, server, there);
    uint64_t handle = got_reply(server);
    prepare(server, client);
    CHECK_EQ(reply(server, handle, .bytes = back), E_OK);
    CHECK_EQ(outcome(client), E_OK);
    CHECK_EQ(reg(client, 1), back);
    check_copied(server, client, back);
    CHECK_EQ(reply(server, handle), E_BAD_HANDLE);
}

CASE(every_length_is_copied_exactly) {
    boot();
    for (uint32_t bytes = 0; bytes <= IPC_DATA_BYTES; bytes++) exchange(bytes % 2, bytes, IPC_DATA_BYTES - bytes);
}

CASE(the_server_may_wait_first) {
    boot();
    exchange(true, 32, 64);
}

CASE(the_client_may_come_first) {
    boot();
    exchange(false, 32, 64);
}

CASE(nothing_else_of_the_page_is_copied) {
    boot();
    struct process *client = proc(CLIENT), *server = proc(SERVER);
    prepare(client, server);
    CHECK_EQ(receive(server, 0), BLOCKED);
    CHECK_EQ(call(client, H_SERVER, .bytes = IPC_DATA_BYTES), BLOCKED);
    for (uint32_t i = IPC_DATA_BYTES; i < PAGE_BYTES; i++) CHECK_EQ(server->ipc[i], CLEAN);
    uint64_t handle = got_reply(server);
    prepare(server, client);
    CHECK_EQ(reply(server, handle, .bytes = IPC_DATA_BYTES), E_OK);
    for (uint32_t i = IPC_DATA_BYTES; i < PAGE_BYTES; i++) CHECK_EQ(client->ipc[i], CLEAN);
}

CASE(a_longer_message_is_refused) {
    boot();
    struct process *client = proc(CLIENT), *server = proc(SERVER);
    static const uint64_t words[] = {513, 0xffff, 5ull << WORD_CAPS, 15ull << WORD_CAPS, 1ull << WORD_GRANTS, 5ull << WORD_ACCEPT,
                                     255ull << WORD_ACCEPT, 1ull << 32, 1ull << 63};
    for (uint32_t i = 0; i < sizeof words / sizeof *words; i++)
        CHECK_EQ(sys(client, SYS_CALL, H_SERVER, words[i], host_time + 100), E_BAD_ARGUMENT);
    CHECK_EQ(call(client, H_SERVER), BLOCKED);
    CHECK_EQ(receive(server, 0), E_OK);
    uint64_t handle = got_reply(server);
    CHECK_EQ(sys(server, SYS_REPLY, handle, 513), E_BAD_ARGUMENT);
    CHECK_EQ(sys(server, SYS_REPLY, handle, 5ull << WORD_CAPS), E_BAD_ARGUMENT);
    CHECK_EQ(sys(server, SYS_REPLY, handle, 1ull << 32), E_BAD_ARGUMENT);
    CHECK_EQ(sys(server, SYS_RECV, H_SERVER_OWN, 1), E_BAD_ARGUMENT);
    CHECK_EQ(sys(server, SYS_RECV, H_SERVER_OWN, 1ull << 32), E_BAD_ARGUMENT);
    CHECK_EQ(reply(server, handle), E_OK);
}

CASE(delivery_states_the_sender) {
    boot();
    for (uint32_t i = ROOT; i < SERVER; i++) {
        struct process *server = proc(SERVER);
        CHECK_EQ(receive(server, 0), BLOCKED);
        CHECK_EQ(call(proc(i), H_SERVER), BLOCKED);
        CHECK_EQ(got_flags(server), DELIVER_MESSAGE);
        CHECK_EQ(got_badge(server), 2 * BADGE_STEP + i);
        CHECK_EQ(reg(server, 4), proc(i)->row->service_id);
        CHECK_EQ(reg(server, 5), i | KIND_SERVICE << 16);
        CHECK_EQ(reply(server, got_reply(server)), E_OK);
    }
}

CASE(nobody_calls_down_or_across_the_rank) {
    boot();
    for (uint32_t i = 0; i < SYSTEM_PROCESSES; i++)
        for (uint16_t e = 0; e < 2; e++) {
            uint32_t handle = give(proc(i), OBJ_ENDPOINT, RIGHT_CALL, e, 0);
            bool up = processes[endpoints[e].owner].rank > proc(i)->rank;
            CHECK_EQ(call(proc(i), handle, .within = 10), up ? BLOCKED : E_RANK);
            if (up) tick(20);
            CHECK_EQ(sys(proc(i), SYS_CAP_DROP, handle), E_OK);
        }
    endpoints[MIDDLE_ENDPOINT].owner = TWIN;
    CHECK_EQ(call(proc(CLIENT), H_MIDDLE), E_RANK);
    CHECK_EQ(call(proc(TWIN), H_MIDDLE), E_RANK);
    CHECK_EQ(call(proc(LOW), H_MIDDLE), BLOCKED);
}

CASE(a_reply_is_good_once) {
    boot();
    struct process *server = proc(SERVER);
    CHECK_EQ(call(proc(CLIENT), H_SERVER), BLOCKED);
    CHECK_EQ(receive(server, 0), E_OK);
    uint64_t handle = got_reply(server);
    CHECK_EQ(count_caps(OBJ_REPLY, CLIENT), 1);
    CHECK_EQ(reply(server, handle), E_OK);
    CHECK_EQ(count_caps(OBJ_REPLY, CLIENT), 0);
    CHECK_EQ(reply(server, handle), E_BAD_HANDLE);
    CHECK_EQ(call(proc(CLIENT), H_SERVER), BLOCKED);
    CHECK_EQ(receive(server, 0), E_OK);
    CHECK(got_reply(server) != handle);
    CHECK_EQ(reply(server, handle), E_BAD_HANDLE);
    CHECK_EQ(proc(CLIENT)->state, STATE_CALLING);
}

CASE(a_server_may_answer_in_any_order) {
    boot();
    struct process *server = proc(SERVER);
    uint64_t handles[3];
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_EQ(call(proc(CLIENT + i), H_SERVER), BLOCKED);
        CHECK_EQ(receive(server, 0), E_OK);
        handles[i] = got_reply(server);
    }
    static const uint32_t order[] = {1, 2, 0};
    for (uint32_t i = 0; i < 3; i++) {
        data_of(server)[0] = (uint8_t)(40 + order[i]);
        CHECK_EQ(reply(server, handles[order[i]], .bytes = 1), E_OK);
        CHECK_EQ(data_of(proc(CLIENT + order[i]))[0], 40 + order[i]);
        CHECK_EQ(outcome(proc(CLIENT + order[i])), E_OK);
    }
}

CASE(answering_and_receiving_in_one_step) {
    boot();
    struct process *server = proc(SERVER);
    CHECK_EQ(call(proc(CLIENT), H_SERVER), BLOCKED);
    CHECK_EQ(receive(server, 0), E_OK);
    CHECK_EQ(sys(server, SYS_REPLY_RECV, got_reply(server), 0, H_SERVER_OWN), BLOCKED);
    CHECK_EQ(outcome(proc(CLIENT)), E_OK);
    CHECK_EQ(call(proc(CLIENT), H_SERVER), BLOCKED);
    CHECK_EQ(call(proc(TWIN), H_SERVER), BLOCKED);
    CHECK_EQ(sys(server, SYS_REPLY_RECV, got_reply(server), 0, H_SERVER_OWN), E_OK);
    CHECK_EQ(got_sender(server), TWIN);
    uint64_t handle = got_reply(server);
    CHECK_EQ(sys(server, SYS_REPLY_RECV, 0, 0, H_SERVER_OWN), E_BAD_HANDLE); /* no answer, no receive */
    CHECK_EQ(sys(server, SYS_REPLY_RECV, handle, 513, H_SERVER_OWN), E_BAD_ARGUMENT);
    CHECK_EQ(proc(TWIN)->state, STATE_CALLING);
    CHECK_EQ(server->state, STATE_READY);
    CHECK_EQ(sys(server, SYS_REPLY_RECV, handle, 0, H_SERVER_OWN), BLOCKED);
    CHECK_EQ(call(proc(CLIENT), H_SERVER), BLOCKED);
    CHECK_EQ(sys(server, SYS_REPLY_RECV, got_reply(server), (IPC_MAX_CAPS + 1ull) << WORD_ACCEPT, H_SERVER_OWN), E_BAD_ARGUMENT);
    CHECK_EQ(server->state, STATE_READY);
}

CASE(a_server_that_takes_a_message_off_its_own_endpoint_only) {
    boot();
    CHECK_EQ(sys(proc(CLIENT), SYS_RECV, H_SERVER), E_BAD_RIGHT);
    CHECK_EQ(sys(proc(MIDDLE), SYS_RECV, H_SERVER), E_BAD_RIGHT);
    CHECK_EQ(sys(proc(MIDDLE), SYS_RECV, H_GIFT), E_BAD_RIGHT);
    CHECK_EQ(call(proc(CLIENT), H_SERVER), BLOCKED);
    CHECK_EQ(receive(proc(MIDDLE), 0), BLOCKED);
    CHECK_EQ(receive(proc(SERVER), 0), E_OK);
    CHECK_EQ(proc(MIDDLE)->state, STATE_RECEIVING);
}

CASE(dropping_a_live_reply_tells_the_caller) {
    boot();
    struct process *server = proc(SERVER);
    CHECK_EQ(call(proc(CLIENT), H_SERVER), BLOCKED);
    CHECK_EQ(receive(server, 0), E_OK);
    CHECK_EQ(sys(server, SYS_CAP_DROP, got_reply(server)), E_OK);
    CHECK_EQ(outcome(proc(CLIENT)), E_PEER_DIED);
    CHECK_EQ(server->serving, NOBODY);
}

CASE(the_processor_goes_straight_to_the_server_and_back) {
    boot();
    CHECK_EQ(receive(proc(SERVER), 0), BLOCKED);
    CHECK_EQ(call(proc(CLIENT), H_SERVER), BLOCKED);
    CHECK(current == proc(SERVER));
    CHECK_EQ(sys(proc(SERVER), SYS_REPLY_RECV, got_reply(proc(SERVER)), 0, H_SERVER_OWN), BLOCKED);
    CHECK(current == 0);
    CHECK(proc(CLIENT)->queued);
}
