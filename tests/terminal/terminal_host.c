/*
 * firmware/runtime/terminal.c with a kernel and a device that do what the lines of stdin say; what the runtime is asked for is answered by a line. Compiled and
 * asked by tests/unit/test_terminal_bytes.py. The device takes what is sent only when it gives the buffer back, as one may that is slow.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "nexus.h"
#include "py/runtime.h"
#include "terminal.h"

enum { RECEIVE = 1, SEND, CONTROL, IRQ, NOTIFICATION, QUEUES = 4, DEPTH = 4, LINE = 1 << 18, MEANWHILE = 16 };

void *pending_exception;
static struct queue {
    uint64_t posted[DEPTH]; /* by id, 0: free */
    uint32_t order[DEPTH], waiting;
    uint32_t done_id[DEPTH], done_used[DEPTH], done;
} queues[QUEUES];
static uint8_t typed[LINE], printed[LINE * 8];
static size_t typed_count, printed_count, chunk = TERMINAL_RECEIVE_BYTES;
static bool held, broken;
static uint64_t now, acknowledged; /* in ticks, of which each system call takes one */
static char *meanwhile[MEANWHILE]; /* what happens when the runtime waits and nothing else would wake it */
static size_t meanwhile_first, meanwhile_last;

void mp_sched_keyboard_interrupt(void) { pending_exception = &pending_exception; }
void mp_handle_pending(bool raise) { (void)raise; }

static uint64_t *pending(void) { return (uint64_t *)(VA_IPC + IPC_PENDING); }
static uint32_t offset_of(uint64_t segment) { return (uint32_t)segment; }
static uint32_t bytes_of(uint64_t segment) { return (uint32_t)(segment >> 32) & 0x7fffffffu; }

static void over(const char *why, uint64_t value) {
    printf("%s %lu\n", why, (unsigned long)value);
    exit(0);
}

/* ---- The device ---- */

/* The oldest buffer goes back with so many bytes used. */
static uint64_t give_back(struct queue *q, uint32_t used) {
    uint32_t id = q->order[0];
    memmove(q->order, q->order + 1, --q->waiting * sizeof *q->order);
    q->done_id[q->done] = id;
    q->done_used[q->done++] = used;
    *pending() |= 1;
    return q->posted[id];
}

static void deliver(void) {
    struct queue *q = &queues[RECEIVE];
    while (typed_count > 0 && q->waiting > 0) {
        uint64_t segment = q->posted[q->order[0]];
        size_t count = typed_count < chunk ? typed_count : chunk;
        if (count > bytes_of(segment)) count = bytes_of(segment);
        memcpy((uint8_t *)VA_DMA + offset_of(segment), typed, count);
        memmove(typed, typed + count, typed_count -= count);
        give_back(q, (uint32_t)count);
    }
}

static void drain(void) {
    struct queue *q = &queues[SEND];
    while (!held && q->waiting > 0) {
        uint64_t segment = give_back(q, 0);
        memcpy(printed + printed_count, (uint8_t *)VA_DMA + offset_of(segment), bytes_of(segment));
        printed_count += bytes_of(segment);
    }
}

static void tell(uint32_t port, uint16_t event, uint16_t value, uint32_t bytes) {
    struct queue *q = &queues[CONTROL];
    if (q->waiting == 0) return;
    uint8_t *message = (uint8_t *)VA_DMA + offset_of(q->posted[q->order[0]]);
    memcpy(message, &port, 4);
    memcpy(message + 4, &event, 2);
    memcpy(message + 6, &value, 2);
    give_back(q, bytes);
}

/* ---- The kernel ---- */

static uint64_t post(struct queue *q, uint64_t segment, uint64_t *id) {
    if (offset_of(segment) + bytes_of(segment) > LIMIT_DMA_PAGES * 4096) over("segment", segment);
    for (*id = 0; *id < DEPTH && q->posted[*id]; ++*id) continue;
    if (*id == DEPTH) return E_FULL;
    q->posted[*id] = segment;
    q->order[q->waiting++] = (uint32_t)*id;
    deliver();
    drain();
    return E_OK;
}

static struct nexus_regs take(struct queue *q) {
    if (broken) return (struct nexus_regs){.a0 = E_BROKEN};
    if (q->done == 0) return (struct nexus_regs){.a0 = E_AGAIN};
    struct nexus_regs r = {.a0 = E_OK, .a1 = q->done_id[0], .a2 = q->done_used[0]};
    q->done--;
    memmove(q->done_id, q->done_id + 1, q->done * sizeof *q->done_id);
    memmove(q->done_used, q->done_used + 1, q->done * sizeof *q->done_used);
    q->posted[r.a1] = 0;
    return r;
}

static void obey(char *line);

static struct nexus_regs wait(uint64_t deadline) {
    while (*pending() == 0) {
        if (meanwhile_first < meanwhile_last) obey(meanwhile[meanwhile_first++]);
        else if (deadline == 0) over("waits", 0);
        else {
            if (now < deadline) now = deadline;
            return (struct nexus_regs){.a0 = E_DEADLINE};
        }
    }
    *pending() = 0;
    return (struct nexus_regs){.a0 = E_OK, .a1 = 1};
}

struct nexus_regs nexus_ecall(uint64_t number, uint64_t r0, uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5) {
    (void)r2, (void)r3, (void)r4, (void)r5;
    struct nexus_regs r = {.a0 = E_OK, .a1 = ++now};
    if (number == SYS_QUEUE_TAKE) return take(&queues[r0]);
    if (number == SYS_QUEUE_POST) r.a0 = post(&queues[r0], r1, &r.a1);
    else if (number == SYS_WAIT) return wait(r1);
    else if (number == SYS_EXIT) over("exit", r0);
    else if (number == SYS_IRQ_ACK) acknowledged++;
    else if (number != SYS_TIME) over("system call", number);
    return r;
}

/* ---- What stdin says ---- */

static size_t bytes_in(const char *hex, uint8_t *bytes) {
    size_t count = 0;
    for (unsigned byte; sscanf(hex + 2 * count, "%2x", &byte) == 1; count++) bytes[count] = (uint8_t)byte;
    return count;
}

static void show(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) printf("%02x", bytes[i]);
    printf("\n");
}

static void read_up_to(size_t most) {
    static uint8_t bytes[LINE];
    size_t count = 0;
    while (count < most && terminal_ready()) bytes[count++] = (uint8_t)terminal_read();
    show(bytes, count);
}

static void write_all(const char *hex) {
    static uint8_t bytes[LINE];
    size_t count = bytes_in(hex, bytes);
    terminal_write((const char *)bytes, count);
    printf("%zu\n", count);
}

static void tell_what(const char *text) {
    unsigned port, event, value, bytes;
    if (sscanf(text, "%u %u %u %u", &port, &event, &value, &bytes) == 4) tell(port, (uint16_t)event, (uint16_t)value, bytes);
}

/* What the host and the device do of themselves; the runtime is not asked. */
static void obey(char *line) {
    const char *rest = line + 2;
    if (*line == 't') typed_count += bytes_in(rest, typed + typed_count);
    if (*line == 'n') chunk = strtoul(rest, NULL, 10);
    if (*line == 'h') held = *rest == '1';
    if (*line == 'b') broken = true;
    if (*line == 's') *pending() |= 1;
    if (*line == 'd') tell_what(rest);
    deliver();
    drain();
}

/* What the runtime is asked for. */
static bool ask(const char *line) {
    const char *rest = line + 2;
    if (*line == 'r') read_up_to(strtoul(rest, NULL, 10));
    else if (*line == 'w') write_all(rest);
    else if (*line == 'g') printf("%d\n", terminal_read());
    else if (*line == 'i') terminal_set_interrupt(atoi(rest)), printf("set\n");
    else if (*line == 'p') terminal_poll(), printf("%d\n", terminal_ready());
    else if (*line == 'z') terminal_wait(strtoul(rest, NULL, 10)), printf("%d\n", terminal_ready());
    else if (*line == 'k') printf("%d\n", pending_exception != NULL), pending_exception = NULL;
    else if (*line == 'c') printf("%d\n", terminal_is_connected());
    else if (*line == 'a') printf("%lu %lu\n", (unsigned long)acknowledged, (unsigned long)now);
    else if (*line == 'o') show(printed, printed_count), printed_count = 0;
    else return false;
    return true;
}

static void *area(uint64_t address, size_t bytes) {
    return mmap((void *)address, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

int main(void) {
    static char line[2 * LINE];
    struct terminal_handles handles = {RECEIVE, SEND, CONTROL, IRQ, NOTIFICATION};
    uint64_t id;
    if (area(VA_DMA, LIMIT_DMA_PAGES * 4096) == MAP_FAILED || area(VA_IPC, 4096) == MAP_FAILED) return 1;
    for (uint32_t i = 0; i < TERMINAL_CONTROL_BUFFERS; i++)
        post(&queues[CONTROL], nexus_segment(TERMINAL_CONTROL_AT + i * TERMINAL_CONTROL_BYTES, TERMINAL_CONTROL_BYTES, true), &id);
    terminal_open(&handles, false);
    while (fgets(line, sizeof line, stdin)) {
        if (*line == 'm' && meanwhile_last < MEANWHILE) meanwhile[meanwhile_last++] = strdup(line + 2);
        else if (!ask(line)) obey(line);
    }
    return 0;
}
