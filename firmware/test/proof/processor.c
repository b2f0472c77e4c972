/*
 * Instructions that user mode must not have: counters, control registers, floating point, privileged returns and fences; and
 * system calls that do not exist. The kernel's record says what stopped the attacker; the twin does what is allowed instead.
 */
#include "attacker.h"
#include "effects.h"

typedef void (*trick)(void);
#define TRICK(name, text) \
    static void name(void) { __asm__ volatile(".option push\n.option norvc\n" text "\n.option pop" ::: "t0", "memory"); }

TRICK(read_cycle, "csrr t0, 0xc00")
TRICK(read_time, "csrr t0, 0xc01")
TRICK(read_instret, "csrr t0, 0xc02")
TRICK(read_hpm, "csrr t0, 0xc03")
TRICK(read_mcycle, "csrr t0, 0xb00")
TRICK(read_mstatus, "csrr t0, 0x300")
TRICK(write_mstatus, "csrw 0x300, zero")
TRICK(write_mtvec, "csrw 0x305, zero")
TRICK(write_mscratch, "csrw 0x340, zero")
TRICK(write_mcounteren, "csrw 0x306, t0")
TRICK(write_medeleg, "csrw 0x302, t0")
TRICK(read_mhartid, "csrr t0, 0xf14")
TRICK(read_sstatus, "csrr t0, 0x100")
TRICK(write_stvec, "csrw 0x105, zero")
TRICK(read_satp, "csrr t0, 0x180")
TRICK(write_satp, "csrw 0x180, zero")
TRICK(read_pmpcfg, "csrr t0, 0x3a0")
TRICK(write_pmpaddr, "csrw 0x3b5, t0")
TRICK(read_fcsr, "csrr t0, 0x003")
TRICK(write_frm, "csrw 0x002, zero")
TRICK(run_mret, ".word 0x30200073")
TRICK(run_sret, ".word 0x10200073")
TRICK(run_wfi, ".word 0x10500073")
TRICK(run_fence, ".word 0x12000073") /* sfence.vma */
TRICK(run_fadd, ".word 0x00107053")  /* fadd.s f0, f0, f1 */
TRICK(run_fld, ".word 0x0000b007")   /* fld f0, 0(x1) */
TRICK(run_vset, ".word 0x0d0572d7")  /* vsetvli */
TRICK(run_zero, ".word 0")
TRICK(run_ebreak, ".word 0x00100073")
TRICK(run_dret, ".word 0x7b200073")

/* An atomic on an odd address: the only access that this processor does not mend by itself. */
static void misaligned_atomic(void) {
    static uint64_t words[2];
    __asm__ volatile("amoadd.d zero, zero, (%0)" ::"r"((uint8_t *)words + 4) : "memory");
}

static const trick tricks[] = {
    read_cycle, read_time, read_instret, read_hpm, read_mcycle, read_mstatus, write_mstatus, write_mtvec, write_mscratch, write_mcounteren,
    write_medeleg, read_mhartid, read_sstatus, write_stvec, read_satp, write_satp, read_pmpcfg, write_pmpaddr, read_fcsr, write_frm, run_mret,
    run_sret, run_wfi, run_fence, run_fadd, run_fld, run_vset, run_zero, run_ebreak, run_dret, misaligned_atomic,
};

static uint64_t play(uint32_t number, bool right) {
    if (!right) tricks[number]();
    return nexus_time() > 0 ? E_OK : UNLIKE; /* the clock is to be had, through the kernel */
}

/* --- system calls that are none --- */

static const uint64_t numbers[] = {0, 14, 15, 21, 23, 31, 1000, 1ull << 32 | SYS_TIME, 1ull << 63 | SYS_TIME, ~0ull};

static uint64_t call_number(uint32_t i, bool right) {
    return nexus_ecall(right ? SYS_TIME : numbers[i], 0, 0, 0, 0, 0, 0).a0;
}

/* --- what a system call leaves in the registers: nothing that was not there --- */

enum { MARK = 0x5eed };

/* Everything but a0 and a1 of SYS_TIME's answer is as it was: no residue of the kernel. `data`: how many differ. */
static uint64_t compare_registers(uint32_t arg, bool right) {
    (void)arg, (void)right;
    register uint64_t a0 __asm__("a0") = 0, a1 __asm__("a1") = 0, a2 __asm__("a2") = 0;
    register uint64_t a3 __asm__("a3") = MARK, a4 __asm__("a4") = MARK, a5 __asm__("a5") = MARK, a6 __asm__("a6") = MARK;
    register uint64_t t0 __asm__("t0") = MARK, t1 __asm__("t1") = MARK, t2 __asm__("t2") = MARK, t3 __asm__("t3") = MARK;
    register uint64_t t4 __asm__("t4") = MARK, t5 __asm__("t5") = MARK, t6 __asm__("t6") = MARK, a7 __asm__("a7") = SYS_TIME;
    __asm__ volatile("ecall"
                     : "+r"(a0), "+r"(a1), "+r"(a2), "+r"(a3), "+r"(a4), "+r"(a5), "+r"(a6), "+r"(a7), "+r"(t0), "+r"(t1), "+r"(t2),
                       "+r"(t3), "+r"(t4), "+r"(t5), "+r"(t6)::"memory");
    done_data = (a3 != MARK) + (a4 != MARK) + (a5 != MARK) + (a6 != MARK) + (a7 != SYS_TIME) + (t0 != MARK) + (t1 != MARK) + (t2 != MARK) +
                (t3 != MARK) + (t4 != MARK) + (t5 != MARK) + (t6 != MARK);
    return right ? E_OK : a0;
}

static int64_t registers_changed(uint32_t arg, bool right) {
    (void)arg;
    return right ? seen.data == 0 : (int64_t)seen.data;
}

enum {
    CYCLE, TIME, INSTRET, HPM, MCYCLE, MSTATUS, MSTATUS_W, MTVEC, MSCRATCH, MCOUNTEREN, MEDELEG, MHARTID, SSTATUS, STVEC, SATP, SATP_W, PMPCFG,
    PMPADDR, FCSR, FRM, MRET, SRET, WFI, FENCE, FADD, FLD, VSET, ZERO_WORD, EBREAK, DRET, ATOMIC
};
#define TRY(title, number) {.name = "processor." title, .attack = play, .arg = number}
#define NUMBER(title, number) {.name = "processor.syscall_" title, .attack = call_number, .arg = number}
static const struct proof_case cases[] = {
    TRY("rdcycle", CYCLE), TRY("rdtime", TIME), TRY("rdinstret", INSTRET), TRY("hpmcounter", HPM), TRY("mcycle", MCYCLE),
    TRY("read_mstatus", MSTATUS), TRY("write_mstatus", MSTATUS_W), TRY("write_mtvec", MTVEC), TRY("write_mscratch", MSCRATCH),
    TRY("write_mcounteren", MCOUNTEREN), TRY("write_medeleg", MEDELEG), TRY("read_mhartid", MHARTID), TRY("read_sstatus", SSTATUS),
    TRY("write_stvec", STVEC), TRY("read_satp", SATP), TRY("write_satp", SATP_W), TRY("read_pmpcfg", PMPCFG), TRY("write_pmpaddr", PMPADDR),
    TRY("read_fcsr", FCSR), TRY("write_frm", FRM), TRY("mret", MRET), TRY("sret", SRET), TRY("wfi", WFI), TRY("sfence", FENCE),
    TRY("float_add", FADD), TRY("float_load", FLD), TRY("vector", VSET), TRY("zero_word", ZERO_WORD), TRY("ebreak", EBREAK), TRY("dret", DRET),
    TRY("misaligned_atomic", ATOMIC),
    NUMBER("0", 0), NUMBER("14", 1), NUMBER("15", 2), NUMBER("21", 3), NUMBER("23", 4), NUMBER("31", 5), NUMBER("1000", 6),
    NUMBER("high_32", 7), NUMBER("high_63", 8), NUMBER("all_ones", 9),
    {.name = "processor.residue", .attack = compare_registers, .effect = registers_changed},
};
const struct proof_group processor_group = {cases, COUNT(cases)};
