/*
 * What happens at each entry into the kernel: system call, fault of the running process, timer, device interrupt.
 * Called by trap_entry.S with interrupts off; returns the frame of the process to go on with.
 */
#include "frame_offsets.h"
#include "kernel.h"

_Static_assert(offsetof(struct process, frame) == 0, "mscratch points to both");
_Static_assert(offsetof(struct trap_frame, x) == FRAME_PC, "FRAME_PC");
_Static_assert(REG_SP * 8 == FRAME_SP, "FRAME_SP");
_Static_assert(sizeof(struct trap_frame) == FRAME_BYTES, "FRAME_BYTES");

/* mcause (privileged spec, table 3.6) */
enum { CAUSE_INTERRUPT_BIT = 63, CAUSE_TIMER = 7, CAUSE_EXTERNAL = 11 };
enum {
    CAUSE_FETCH_MISALIGNED = 0, CAUSE_FETCH_ACCESS, CAUSE_ILLEGAL, CAUSE_BREAKPOINT, CAUSE_LOAD_MISALIGNED,
    CAUSE_LOAD_ACCESS, CAUSE_STORE_MISALIGNED, CAUSE_STORE_ACCESS, CAUSE_ECALL_U,
};
_Static_assert(CAUSE_ECALL_U == FRAME_CAUSE_ECALL, "FRAME_CAUSE_ECALL");
enum { MSTATUS_MPP = 3 << 11, MSTATUS_FS = 3 << 13, MSTATUS_VS = 3 << 9, MSTATUS_MPRV = 1 << 17, MSTATUS_SUM = 1 << 18,
       MSTATUS_MXR = 1 << 19, MSTATUS_MPIE = 1 << 7, MIE_TIMER = 1 << 7, MIE_EXTERNAL = 1 << 11 };

extern void trap_entry(void);

static uint64_t longest_path, entered;
static bool counting;

/* The processor state of KERNEL.md "Processor state": no FP, no delegation, no counters for user mode, MPP = U. */
void trap_init(void) {
    CSR_WRITE(mtvec, (uint64_t)trap_entry);
    CSR_WRITE(mscratch, 0);
    CSR_CLEAR(mstatus, MSTATUS_MPP | MSTATUS_FS | MSTATUS_VS | MSTATUS_MPRV | MSTATUS_SUM | MSTATUS_MXR);
    CSR_SET(mstatus, MSTATUS_MPIE);
    CSR_WRITE(medeleg, 0);
    CSR_WRITE(mideleg, 0);
    counting = image.flags & IMAGE_COUNTERS;
    uint64_t counters = counting ? 7 : 0;
    CSR_WRITE(mcounteren, counters);
    CSR_WRITE(scounteren, counters);
    CSR_WRITE(mie, MIE_TIMER | MIE_EXTERNAL);
}

uint64_t trap_longest_path(void) { return longest_path; }

static void interrupt(uint64_t cause) {
    if (cause == CAUSE_TIMER) sched_timer();
    else if (cause == CAUSE_EXTERNAL) irq_handle();
    else panic("unknown interrupt");
}

/* A fault is charged to the process that ran; nothing here can be the kernel's, or mscratch would have been 0. */
static void fault(struct process *p, uint64_t cause) {
    uint32_t kind = FAULT_MEMORY;
    if (cause == CAUSE_ILLEGAL || cause == CAUSE_BREAKPOINT) kind = FAULT_INSTRUCTION;
    if (cause == CAUSE_FETCH_MISALIGNED || cause == CAUSE_LOAD_MISALIGNED || cause == CAUSE_STORE_MISALIGNED)
        kind = FAULT_MISALIGNED;
    process_stop(p, kind, CSR_READ(mtval));
}

static void dispatch(struct process *p, uint64_t cause) {
    if (cause == CAUSE_ECALL_U) {
        p->frame.x[REG_PC] += 4;
        syscall_enter(p);
    } else if (cause >> CAUSE_INTERRUPT_BIT) {
        interrupt(cause & 63);
    } else {
        fault(p, cause);
    }
}

static void path_begins(void) {
    if (counting) entered = arch_instructions();
}

static void path_ends(uint64_t slept) {
    if (!counting) return;
    uint64_t path = arch_instructions() - slept - entered;
    if (path > longest_path) longest_path = path;
}

/* Sleep lies inside an entry, but keeps nobody waiting: whatever is pending ends it and is looked at next, as an entry would. */
void trap_slept(uint64_t count) {
    path_ends(count);
    path_begins();
}

struct trap_frame *trap_handle(struct trap_frame *frame) {
    path_begins();
    dispatch((struct process *)frame, CSR_READ(mcause));
    sched_run();
    path_ends(0);
    return &current->frame;
}
