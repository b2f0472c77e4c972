/*
 * The terminal's bytes. The driver (guest/drivers/virtio_console.py) brings the device up and opens it here; from then on the port's queues
 * are moved by this file alone. Called by the prompt, by print and sleep, and by the VM while the device has something to tell. Never
 * takes more than it has room for and believes no more than its checks: a device that breaks a rule ends the process, which its
 * supervisor starts anew.
 */
#include "terminal.h"

#include <string.h>

#include "nexus.h"
#include "py/runtime.h"

enum { BUFFERS = TERMINAL_RECEIVE_BUFFERS, RING = TERMINAL_RING_BYTES, NO_INTERRUPT = -1 };
enum { PACE = LIMIT_IRQ_RATE / 32, PACE_TICKS = LIMIT_SHARE_PERIOD_TICKS / 16 }; /* so many interrupts in no less than that time */
_Static_assert((RING & (RING - 1)) == 0, "places in the ring are counted for ever");
_Static_assert(RING >= TERMINAL_RECEIVE_BYTES, "no buffer would ever be lent");
_Static_assert(TERMINAL_CONTROL_SEND_AT + TERMINAL_CONTROL_BYTES <= LIMIT_DMA_PAGES * 4096, "the window is too small");

struct control_message {
    uint32_t port;
    uint16_t event, value;
};

/* Handles, and what is with the device: bit s of `lent` for receive buffer s, which it knows as the id i with slot_of[i] == s. */
static struct {
    struct terminal_handles with;
    uint32_t lent, lent_count;
    uint8_t slot_of[BUFFERS];
    bool open, sending, connected;
} port;

static uint8_t ring[RING];
static uint32_t first, last; /* of what was typed and is not read: it is ring[first % RING] up to, not with, last */
static int interrupt = NO_INTERRUPT;

static _Noreturn void lost(void) { nexus_exit(LEAVE_FAILED); }

static void must(uint64_t status) {
    if (status != E_OK) lost();
}

static uint8_t *window(uint32_t offset) { return (uint8_t *)(VA_DMA + (uintptr_t)offset); }

/* Whether a buffer of that queue is done. */
static bool taken(uint64_t queue, uint32_t *id, uint32_t *used) {
    uint64_t status = nexus_queue_take(queue, id, used);
    if (status != E_AGAIN) must(status);
    return status == E_OK;
}

static uint32_t post(uint64_t queue, uint32_t offset, uint32_t bytes, bool write) {
    uint64_t segments[LIMIT_QUEUE_SEGMENTS] = {nexus_segment(offset, bytes, write)};
    uint32_t id;
    must(nexus_queue_post(queue, segments, 1, &id));
    if (id >= BUFFERS) lost();
    return id;
}

/* ---- What is typed ---- */

static uint32_t room(void) { return RING - (last - first); }

/* Lend the device buffers as long as the ring could take all that are lent, each of them full: that is all the flow control there is. */
static void lend(void) {
    for (; port.lent_count < BUFFERS && room() >= (port.lent_count + 1) * TERMINAL_RECEIVE_BYTES; port.lent_count++) {
        uint32_t slot = (uint32_t)__builtin_ctz(~port.lent);
        uint32_t id = post(port.with.receive, TERMINAL_RECEIVE_AT + slot * TERMINAL_RECEIVE_BYTES, TERMINAL_RECEIVE_BYTES, true);
        port.slot_of[id] = (uint8_t)slot;
        port.lent |= 1u << slot;
    }
}

static void typed(uint8_t byte) {
    if (byte == interrupt) mp_sched_keyboard_interrupt();
    else ring[last++ % RING] = byte;
}

static void take_received(void) {
    uint32_t id, used;
    while (taken(port.with.receive, &id, &used)) {
        uint32_t slot = port.slot_of[id];
        const uint8_t *bytes = window(TERMINAL_RECEIVE_AT + slot * TERMINAL_RECEIVE_BYTES);
        for (uint32_t i = 0; i < used; i++) typed(bytes[i]);
        port.lent &= ~(1u << slot);
        port.lent_count--;
    }
    lend();
}

/* ---- What the device says about the port ---- */

static void heard(const struct control_message *message) {
    if (message->port != TERMINAL_PORT) return;
    if (message->event == TERMINAL_EVENT_PORT_OPEN) port.connected = message->value != 0;
    if (message->event == TERMINAL_EVENT_PORT_REMOVE) lost();
}

/* Each piece is lent again at once and so keeps its number. A device that answers for ever is left alone until its next interrupt. */
static void take_control(void) {
    uint32_t id, used;
    for (uint32_t i = 0; i < TERMINAL_CONTROL_BUFFERS && taken(port.with.control, &id, &used); i++) {
        uint32_t offset = TERMINAL_CONTROL_AT + id * TERMINAL_CONTROL_BYTES;
        struct control_message message;
        if (used < sizeof message) lost();
        memcpy(&message, window(offset), sizeof message);
        heard(&message);
        if (post(port.with.control, offset, TERMINAL_CONTROL_BYTES, true) != id) lost();
    }
}

static bool interrupted(void) { return interrupt != NO_INTERRUPT && MP_STATE_MAIN_THREAD(mp_pending_exception) != MP_OBJ_NULL; }

void terminal_open(const struct terminal_handles *handles, bool connected) {
    port.with = *handles;
    port.connected = connected;
    port.open = true;
    lend();
}

/* Whether bits came before the deadline. */
static bool notified(uint64_t deadline) {
    uint64_t bits, status = nexus_wait(port.with.notification, deadline, &bits);
    if (status != E_DEADLINE) must(status);
    return status == E_OK;
}

/*
 * Let the device interrupt again, at half the rate at most at which the kernel would cut it off for good: neither a program that prints
 * byte by byte nor a host that types so can have that done. Nothing but the deadline wakes us here, as the source is masked.
 */
static void acknowledge(void) {
    static uint32_t count;
    static uint64_t due;
    if (++count % PACE == 0) {
        uint64_t now = nexus_time();
        if (now < due) notified(due);
        due = (now < due ? due : now) + PACE_TICKS;
    }
    must(nexus_irq_ack(port.with.irq));
}

void terminal_wait(uint64_t deadline) {
    if (!notified(deadline)) return;
    acknowledge(); /* before looking: what is done later interrupts again */
    take_received();
    take_control();
}

void terminal_poll(void) {
    if (port.open && *(const volatile uint64_t *)(VA_IPC + IPC_PENDING)) terminal_wait(0);
}

bool terminal_is_open(void) { return port.open; }
bool terminal_is_connected(void) { return port.connected; }

bool terminal_ready(void) {
    terminal_poll();
    return first != last;
}

int terminal_read(void) {
    for (;;) {
        mp_handle_pending(true);
        if (first != last) break;
        terminal_wait(0);
    }
    uint8_t byte = ring[first++ % RING];
    lend();
    return byte;
}

int terminal_interrupt(void) { return interrupt; }

/* A Ctrl-C may have come a moment before there was anything to interrupt. */
void terminal_set_interrupt(int character) {
    uint32_t end = last;
    interrupt = character;
    if (character == NO_INTERRUPT) return;
    last = first;
    for (uint32_t at = first; at != end; at++) typed(ring[at % RING]);
    if (port.open) lend(); /* a full ring may be empty now, and who reads next would wait for a device that has no buffer */
}

/* ---- What is printed ---- */

/* Whether the send buffer is ours. */
static bool sent(void) {
    uint32_t id, used;
    if (port.sending && taken(port.with.send, &id, &used)) port.sending = false;
    return !port.sending;
}

void terminal_write(const char *text, size_t bytes) {
    while (port.open && bytes > 0) {
        if (interrupted()) return;
        while (!sent()) {
            if (interrupted()) return;
            terminal_wait(0);
        }
        uint32_t count = bytes < TERMINAL_SEND_BYTES ? (uint32_t)bytes : TERMINAL_SEND_BYTES;
        memcpy(window(TERMINAL_SEND_AT), text, count);
        post(port.with.send, TERMINAL_SEND_AT, count, false);
        port.sending = true;
        text += count;
        bytes -= count;
        if (bytes > 0) terminal_poll();
    }
}
