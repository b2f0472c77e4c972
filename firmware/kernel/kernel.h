/*
 * Every public function of the kernel under its file's name: a one-page index. A function returns E_* to its caller,
 * charges a fault to the process at fault, and panics only for a bug of the kernel itself.
 */
#pragma once

#include "arch.h"
#include "memlayout.h"
#include "objects.h"

typedef uint32_t status_t; /* E_* */
#define MUST_CHECK __attribute__((warn_unused_result))
/* An address as user mode gave it; only user.c looks behind it. */
typedef struct { uint64_t address; } user_ptr;

#define PANIC_TEXT2(x) #x
#define PANIC_TEXT(x) PANIC_TEXT2(x)
#define ASSERT(condition) do { if (!(condition)) panic(__FILE_NAME__ ":" PANIC_TEXT(__LINE__) " " #condition); } while (0)

/* frame.c */
void frame_init(uint64_t first_free, uint64_t ram_bytes);
uint8_t *frame_take(enum frame_type type, uint32_t owner);
uint8_t *frame_take_run(uint32_t pages, enum frame_type type, uint32_t owner);
void frame_give(uint8_t *page);
void frame_set(uint64_t address, uint64_t bytes, enum frame_type type, uint32_t owner);
const struct frame *frame_of(uint64_t address);
uint32_t frame_free_count(void);
void page_zero(uint8_t *page);
void page_copy(uint8_t *to, const uint8_t *from);

/* map.c: the only file that writes page-table entries or satp */
void map_pool_init(void);
uint32_t map_tables_left(void);
bool map_new_space(struct process *p);
void map_free_space(struct process *p);
bool map_run(struct process *p, uint64_t va, uint64_t pa, uint32_t pages, uint32_t access);
bool map_fresh(struct process *p, uint64_t va, uint32_t pages, enum frame_type type);
bool map_page(struct process *p, uint64_t va, uint64_t pa, uint32_t access);
uint64_t map_unmap(struct process *p, uint64_t va);
uint64_t map_find(const struct process *p, uint64_t va, uint32_t access);
void map_switch(uint64_t satp);
void map_sync_code(void);

/* user.c: the only two functions that look at user memory */
status_t copy_in(struct process *p, void *to, user_ptr from, uint64_t bytes) MUST_CHECK;
status_t copy_out(struct process *p, user_ptr to, const void *from, uint64_t bytes) MUST_CHECK;

/* cap.c */
void cap_init(struct process *p);
status_t cap_find(struct process *p, uint64_t handle, uint8_t type, uint8_t right, struct cap **found) MUST_CHECK;
uint32_t cap_put(struct process *p, const struct cap *value);
void cap_clear(struct process *p, struct cap *cap);
uint32_t cap_handle(const struct process *p, const struct cap *cap);
status_t cap_derive(const struct cap *from, uint64_t badge, uint32_t rights, struct cap *made) MUST_CHECK;
void cap_drop_all(struct process *p);
uint32_t cap_revoke_badge(uint16_t endpoint, uint64_t badge);

/* ipc.c */
status_t ipc_call(struct process *p);
status_t ipc_recv(struct process *p, uint64_t endpoint, uint32_t accept, uint64_t deadline);
status_t ipc_reply(struct process *p);
status_t ipc_reply_recv(struct process *p);
void ipc_cancel(struct process *p, status_t why);
void ipc_revoke(uint16_t endpoint, uint64_t badge);
void ipc_peer_stopped(struct process *p);

/* notify.c */
status_t notify_send(struct process *p);
status_t notify_wait(struct process *p);
void notify_signal(struct process *p, uint64_t bits);
void notify_deliver(struct process *p);

/* sched.c */
void sched_init(void);
void sched_ready(struct process *p);
void sched_remove(struct process *p);
void sched_wake(struct process *p, status_t result);
void sched_stall(struct process *p, uint16_t writer);
void sched_caught_up(uint16_t writer);
void sched_switch_to(struct process *p);
void sched_account(uint64_t now);
void sched_deadline_set(struct process *p, uint64_t deadline);
void sched_deadline_clear(struct process *p);
void sched_timer(void);
void sched_run(void);
uint64_t sched_idle_ticks(void);
uint64_t sched_idle_instructions(void);

/* process.c */
void process_build_all(void);
bool process_build(struct process *p);
status_t process_load_step(struct process *p);
void process_stop(struct process *p, uint32_t fault, uint64_t value);
bool process_tell_end(struct process *p);
void process_status_of(const struct process *p, struct process_status *status);
const char *process_label(const struct process *p);

/* manifest.c */
status_t manifest_read(const struct region *region, struct manifest *m) MUST_CHECK;

/* spawn.c */
status_t spawn_app(struct process *p);
void spawn_state_entry(const struct process *child);
status_t spawn_free(struct process *child);
uint32_t spawn_revoke(uint16_t endpoint, uint64_t badge);
struct process *spawn_next_orphan(const struct process *spawner);
bool spawn_reap_step(void);

/* supervise.c */
status_t supervise(struct process *p);
status_t system_control(struct process *p);
bool system_bring_up_open(void);

/* region.c */
void region_init(void);
status_t region_map(struct process *p);
status_t region_unmap(struct process *p);
status_t region_seal(struct process *p);
status_t region_free(struct process *p);
void region_forget(struct process *p);
bool region_unmap_stale(struct process *p);
void region_ref(uint16_t region, int change);

/* device.c, queue.c, irq.c */
void device_init(void);
status_t device_write(struct process *p);
void device_reset(struct device *d);
void device_driver_stopped(struct process *p);
void device_broken(struct device *d, const char *why);
void queue_init(void);
status_t queue_setup(struct process *p);
status_t queue_post(struct process *p);
status_t queue_take(struct process *p);
void queue_forget(struct device *d);
void irq_init(void);
void irq_handle(void);
status_t irq_ack(struct process *p);

/* console.c */
void console_init(void);
status_t console_write(struct process *p, const char *text, uint32_t bytes) MUST_CHECK;
void console_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void console_interrupt(void);
void console_drain(void);
uint64_t console_lost_lines(void);
uint32_t console_waiting_bytes(void);
void console_forget(struct process *p);

/* uart.c: registers only */
void uart_init(void);
bool uart_put(uint8_t byte);
bool uart_idle(void);
void uart_interrupts(bool on);

/* launch.c */
void launch_init(void);
const char *launch_nonce(void);
uint32_t launch_phase(void);
uint32_t launch_flags(void);

/* finish.c */
void finish(uint32_t code) __attribute__((noreturn));
void finish_reboot(void) __attribute__((noreturn));
void finish_now(uint32_t code) __attribute__((noreturn));

/* panic.c */
void panic(const char *why) __attribute__((noreturn));
void panic_trap(void) __attribute__((noreturn));

/* syscall.c */
void syscall_enter(struct process *p);

/* trap.c, trap_entry.S */
void trap_init(void);
void trap_return(struct trap_frame *frame) __attribute__((noreturn));
struct trap_frame *trap_handle(struct trap_frame *frame);
uint64_t trap_longest_path(void);
void trap_slept(uint64_t count);
