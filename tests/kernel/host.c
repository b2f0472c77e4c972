/*
 * The machine under the kernel in the host tests: RAM, time, UART and interrupt controller, panic and finisher; and the ways in
 * which a case acts: boot, system calls as a process, time going on. Never reaches into the kernel but through kernel.h.
 */
#include "host.h"

#include <stdarg.h>
#include <stdlib.h>

_Alignas(4096) uint8_t host_ram[HOST_RAM_BYTES];
uint64_t host_time = 1000, host_timer, host_satp;
char host_uart[1 << 17];
uint32_t host_uart_bytes, host_irq_pending, host_irq_enabled;
bool host_uart_asks, host_uart_reads = true, host_checks_each_step = true;
uint64_t host_uart_ticks;
uint32_t host_uart_slow, host_uart_unsent;

/* --- ends --- */

jmp_buf host_end;
bool host_end_expected;
const char *host_last_words = "";
uint32_t host_exit_code;

static _Noreturn void end(const char *words, uint32_t code) {
    host_last_words = words;
    host_exit_code = code;
    if (host_end_expected) longjmp(host_end, 1);
    FAIL("the kernel ended: %s, code %u", words, code);
}

void panic(const char *why) { end(why, EXIT_KERNEL_PANIC); }
void finish(uint32_t code) { end("finish", code); }
void finish_reboot(void) { end("reboot", 0); }

void (*host_tell_more)(void);

void host_fail(const char *file, int line, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    if (host_tell_more) host_tell_more();
    exit(1);
}

uint64_t trap_longest_path(void) { return 0; }
void trap_slept(uint64_t count) { (void)count; }

/* --- devices --- */

enum { UART_INTERRUPTS = 1, UART_LINE_STATUS = 5, UART_EMPTY = 0x20, UART_IDLE = 0x40, PLIC_CLAIM = 0x200004, PLIC_ENABLE = 0x2000 };

static uint32_t claim(void) {
    if (host_irq_pending == 0) return 0;
    uint32_t irq = (uint32_t)__builtin_ctz(host_irq_pending);
    host_irq_pending &= host_irq_pending - 1;
    return irq;
}

static bool is_virtio(uint64_t address, uint64_t *offset) {
    uint64_t slot = (address - VIRTIO_BASE) / VIRTIO_STRIDE;
    *offset = (address - VIRTIO_BASE) % VIRTIO_STRIDE;
    if (address < VIRTIO_BASE || slot >= VIRTIO_SLOTS) return false;
    return device_model.present && (slot == 7 || (slot == 3 && device_model.twice));
}

uint64_t host_mmio_read(uint64_t address) {
    uint64_t offset;
    if (is_virtio(address, &offset)) return virtio_read(offset);
    if (address == UART_BASE + UART_LINE_STATUS) {
        host_time += host_uart_ticks;
        if (!host_uart_reads) return 0;
        if (host_uart_unsent == 0) return UART_EMPTY | UART_IDLE;
        host_uart_unsent--;
        return UART_EMPTY;
    }
    return address == PLIC_BASE + PLIC_CLAIM ? claim() : 0;
}

void host_mmio_write(uint64_t address, uint64_t value) {
    uint64_t offset;
    if (is_virtio(address, &offset)) virtio_write(offset, value);
    if (address == UART_BASE + UART_INTERRUPTS) host_uart_asks = value != 0;
    if (address == PLIC_BASE + PLIC_ENABLE) host_irq_enabled = (uint32_t)value;
    if (address == UART_BASE) host_uart_unsent = host_uart_slow;
    if (address == UART_BASE && host_uart_bytes < sizeof host_uart - 1) host_uart[host_uart_bytes++] = (char)value;
}

void host_wait(void) {
    CHECK(host_timer > host_time);
    host_time = host_timer;
}

/* --- boot --- */

struct process *proc(uint32_t index) { return &processes[index]; }

void boot_cold(void) {
    for (uint32_t i = 0; i < HOST_PAYLOAD_BYTES; i++) ld_payload_start[i] = (uint8_t)(i * 7 + 1);
    uart_init();
    console_init();
    launch_init();
    frame_init((uint64_t)ld_payload_end, image.ram_bytes);
    map_pool_init();
    irq_init();
    device_init();
    queue_init();
    region_init();
    sched_init();
    process_build_all();
    check_invariants();
}

static void supervise_until_done(uint32_t index, uint64_t operation) {
    uint32_t status;
    do status = sys(proc(ROOT), SYS_SUPERVISE, H_SUPERVISE_CLIENT + index - CLIENT, operation);
    while (status == E_AGAIN);
    CHECK_EQ(status, E_OK);
}

void resume(uint32_t index) { supervise_until_done(index, SUP_RESUME); }
void restart(uint32_t index) { supervise_until_done(index, SUP_RESTART); }
void kill_process(uint32_t index) { supervise_until_done(index, SUP_KILL); }

void boot(void) {
    boot_cold();
    for (uint32_t i = CLIENT; i < SYSTEM_PROCESSES; i++) resume(i);
}

void tick(uint64_t ticks) {
    host_time += ticks;
    sched_timer();
    check_invariants();
}

/* --- system calls --- */

/* Any ready process may be the next one: the tests go through more orders than the scheduler would. */
static void make_current(struct process *p) {
    if (current == p) return;
    CHECK_EQ(p->state, STATE_READY);
    if (current) {
        struct process *before = current;
        current = 0;
        sched_ready(before);
    }
    sched_remove(p);
    sched_switch_to(p);
}

uint32_t outcome(const struct process *p) {
    if (p->state == STATE_READY) return (uint32_t)p->frame.x[REG_A0];
    return p->state == STATE_STOPPED || p->state == STATE_EMPTY ? STOPPED : BLOCKED;
}

uint64_t reg(const struct process *p, uint32_t number) { return p->frame.x[REG_A0 + number]; }

uint32_t host_syscall(struct process *p, uint64_t number, const uint64_t *arguments) {
    make_current(p);
    for (uint32_t i = 0; i < 6; i++) p->frame.x[REG_A0 + i] = arguments[i];
    p->frame.x[REG_A7] = number;
    syscall_enter(p);
    if (host_checks_each_step) check_invariants();
    return outcome(p);
}

uint32_t host_call(struct process *p, struct message m) {
    uint64_t word = m.bytes | (uint64_t)m.caps << WORD_CAPS | (uint64_t)m.accept << WORD_ACCEPT;
    return sys(p, SYS_CALL, m.to, word, host_time + (m.within ? m.within : LIMIT_TICK_HZ), m.behalf);
}

uint32_t host_reply(struct process *p, struct answer a) {
    uint64_t word = a.bytes | (uint64_t)a.caps << WORD_CAPS | (uint64_t)a.grants << WORD_GRANTS;
    return sys(p, SYS_REPLY, a.to, word, 0, 0, a.dma, a.offset | a.count << 32);
}

uint32_t receive(struct process *p, uint32_t accept) { return receive_until(p, accept, 0); }

uint32_t receive_until(struct process *p, uint32_t accept, uint64_t deadline) {
    return sys(p, SYS_RECV, H_OWN, (uint64_t)accept << WORD_ACCEPT, deadline);
}

/* --- memory --- */

void fill(struct process *p, uint8_t with) { memset(p->ipc, with, PAGE_BYTES); }
void write_text(struct process *p, const char *text) { memcpy(data_of(p), text, strlen(text)); }

uint8_t *user(struct process *p, uint64_t va) {
    uint64_t pa = map_find(p, va, IMAGE_R);
    CHECK(pa != 0);
    return (uint8_t *)pa;
}

/* --- capabilities --- */

uint32_t give(struct process *p, uint8_t type, uint8_t rights, uint16_t object, uint64_t badge) {
    struct cap cap = {.type = type, .rights = rights, .object = object, .badge = badge};
    if (type == OBJ_ENDPOINT) cap.seen = processes[endpoints[object].owner].incarnation;
    return cap_put(p, &cap);
}

struct cap *cap_at(struct process *p, uint64_t handle) {
    struct cap *cap;
    uint64_t slot = handle & 0xff;
    if (slot >= LIMIT_CAP_SLOTS || cap_find(p, handle, p->caps[slot].type, 0, &cap) != E_OK) return 0;
    return cap;
}

uint32_t leave_free(struct process *p, uint32_t slots) {
    uint32_t first = 0;
    while (p->free_slots > slots) {
        uint32_t handle = give(p, OBJ_CONSOLE, RIGHT_USE, p->index, 0);
        if (first == 0) first = handle;
    }
    return first;
}

uint32_t used_slots(void) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < PROCESS_SLOTS; i++)
        if (processes[i].state != STATE_EMPTY) count += LIMIT_CAP_SLOTS - processes[i].free_slots;
    return count;
}

uint32_t count_caps(uint8_t type, uint16_t object) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < PROCESS_SLOTS; i++)
        for (uint32_t slot = 0; slot < LIMIT_CAP_SLOTS && processes[i].state != STATE_EMPTY; slot++)
            count += processes[i].caps[slot].type == type && processes[i].caps[slot].object == object;
    return count;
}
