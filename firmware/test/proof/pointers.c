/*
 * Addresses that system calls are given: the only four that take one, each with every kind of bad one. The kernel must touch
 * nothing, before and behind the place where it is bad; the twin's addresses are good, odd ones and page-crossing ones too.
 * All in the holder, which has a device window and a DMA window to point into.
 */
#include "app.h"
#include "effects.h"
#include "holder.h"

enum { STACK_BYTES = 16 * 1024, HEAP_BYTES = 16 * 1024, ODD = 3 };
enum { BEFORE_END = 40, REQUEST_BEFORE_END = 8 }; /* service_id still fits before it; half a request */

enum place {
    AT_NULL, AT_PAGE_0, BELOW_STACK, ABOVE_STACK, HEAP_END, CROSSING, REQUEST_CROSSING, KERNEL, KERNEL_DATA, FRAMES, PLIC, CLINT, FINISHER, WINDOW, DMA, REGION,
    HALF, HIGH, WRAPPING, OWN_CODE, OWN_CONSTANT, PLACES
};

static const uint64_t constant[8] = {1};

static uint64_t address_of(enum place place) {
    const uint64_t at[PLACES] = {
        [AT_NULL] = 0, [AT_PAGE_0] = 0xff0, [BELOW_STACK] = VA_STACK_TOP - STACK_BYTES - PAGE, [ABOVE_STACK] = VA_STACK_TOP,
        [HEAP_END] = VA_HEAP + HEAP_BYTES, [CROSSING] = VA_HEAP + HEAP_BYTES - BEFORE_END,
        [REQUEST_CROSSING] = VA_HEAP + HEAP_BYTES - REQUEST_BEFORE_END, [KERNEL] = 0x80000000, [KERNEL_DATA] = 0x80010000,
        [FRAMES] = 0x81000000, [PLIC] = 0xc000000, [CLINT] = 0x2000000, [FINISHER] = 0x100000, [WINDOW] = VA_DEVICE, [DMA] = VA_DMA,
        [REGION] = VA_REGION, [HALF] = 0x4000000000, [HIGH] = 0xffffffff80000000, [WRAPPING] = 0 - 16ull, [OWN_CODE] = (uintptr_t)address_of,
        [OWN_CONSTANT] = (uintptr_t)constant,
    };
    return at[place];
}

/* A good address: odd and across two pages of the own heap, which is the hardest of the good ones. */
static uint8_t *good(void) { return (uint8_t *)VA_HEAP + PAGE - ODD; }

/* --- read by the kernel --- */

static void put_token(uint8_t *to) {
    for (uint32_t i = 0; i < 16; i++) to[i] = (uint8_t)"0123456789abcdef"[told.token >> (60 - 4 * i) & 15];
}

/* The host looks for the token on the console. */
static uint64_t write_from(uint32_t place, bool right) {
    uint8_t *text = right ? good() : (uint8_t *)address_of(place);
    if (right) put_token(text);
    return nexus_console_write(CAP_CONSOLE, text, right ? 16 : BEFORE_END + 8);
}

static uint64_t write_length(uint32_t length, bool right) {
    put_token((uint8_t *)VA_HEAP);
    return nexus_console_write(CAP_CONSOLE, (const void *)VA_HEAP, right ? 16 : length == ~0u ? ~0ull : length);
}

static uint64_t spawn_from(uint32_t place, bool right) {
    uint64_t region = app_region();
    struct spawn_request request = app_request();
    if (right) memcpy(good(), &request, sizeof request);
    return nexus_ecall(SYS_SPAWN, CAP_SPAWN, region, right ? (uintptr_t)good() : address_of(place), sizeof request, 0, 0).a0;
}

static uint64_t spawn_size(uint32_t size, bool right) {
    uint64_t region = app_region();
    struct spawn_request request = app_request();
    return nexus_ecall(SYS_SPAWN, CAP_SPAWN, region, (uintptr_t)&request, right ? sizeof request : size, 0, 0).a0;
}

/* --- written by the kernel: the ward's status; `data` is its identity as far as it arrived --- */

/* Bytes that the holder can read itself may have been written, even though the call was refused. */
static void read_back(uint64_t address, bool readable) {
    struct process_status status = {0};
    if (readable) memcpy(&status, (const void *)address, BEFORE_END);
    done_data = status.service_id;
}

static bool readable(enum place place) { return place == CROSSING || place == DMA; }

static uint64_t status_to(uint32_t place, bool right) {
    uint64_t address = right ? (uintptr_t)good() : address_of(place);
    uint64_t status = nexus_ecall(SYS_SUPERVISE, CAP_SUPERVISE_WARD, SUP_STATUS, address, sizeof(struct process_status), 0, 0).a0;
    read_back(address, right || readable(place));
    return status;
}

static uint64_t status_size(uint32_t size, bool right) {
    uint64_t length = right ? sizeof(struct process_status) : size == ~0u ? ~0ull : size;
    uint64_t status = nexus_ecall(SYS_SUPERVISE, CAP_SUPERVISE_WARD, SUP_STATUS, VA_HEAP, length, 0, 0).a0;
    read_back(VA_HEAP, true);
    return status;
}

static int64_t told_ward(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return seen.data == service_id_of(WARD_NAME) ? 1 : seen.data == 0 ? 0 : -1;
}

static uint64_t process_to(uint32_t place, bool right) {
    uint64_t address = right ? (uintptr_t)good() : address_of(place);
    uint64_t status = nexus_ecall(SYS_SYSTEM, CAP_SYSTEM, SYSTEM_PROCESS, 0, address, 0, 0).a0;
    read_back(address, right || readable(place));
    return status;
}

static int64_t told_judge(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return seen.data == service_id_of("judge") ? 1 : seen.data == 0 ? 0 : -1;
}

#define READ(title, place) {.name = "pointer.read_" title, .attack = write_from, .arg = place, .who = WHO_HOLDER}
#define LENGTH(title, length) {.name = "pointer.read_" title, .attack = write_length, .arg = length, .who = WHO_HOLDER}
#define SPAWN(title, place) {.name = "pointer.request_" title, .attack = spawn_from, .arg = place, .who = WHO_HOLDER, .at_done = measure_apps, .effect = was_measured}
#define SPAWN_SIZE(title, size) {.name = "pointer.request_" title, .attack = spawn_size, .arg = size, .who = WHO_HOLDER, .at_done = measure_apps, .effect = was_measured}
#define WRITE(title, place) {.name = "pointer.write_" title, .attack = status_to, .arg = place, .who = WHO_HOLDER, .effect = told_ward}
#define SIZE(title, size) {.name = "pointer.write_" title, .attack = status_size, .arg = size, .who = WHO_HOLDER, .effect = told_ward}
#define PROCESS(title, place) {.name = "pointer.process_" title, .attack = process_to, .arg = place, .who = WHO_HOLDER, .effect = told_judge}
static const struct proof_case cases[] = {
    READ("null", AT_NULL), READ("page_0", AT_PAGE_0), READ("below_stack", BELOW_STACK), READ("above_stack", ABOVE_STACK),
    READ("heap_end", HEAP_END), READ("crossing", CROSSING), READ("kernel", KERNEL), READ("kernel_data", KERNEL_DATA), READ("frames", FRAMES),
    READ("plic", PLIC), READ("clint", CLINT), READ("finisher", FINISHER), READ("window", WINDOW), READ("dma", DMA), READ("region", REGION),
    READ("half", HALF), READ("high", HIGH), READ("wrapping", WRAPPING),
    LENGTH("nothing", 0), LENGTH("too_long", LIMIT_WRITE_BYTES + 1), LENGTH("endless", ~0u),
    SPAWN("null", AT_NULL), SPAWN("crossing", REQUEST_CROSSING), SPAWN("kernel", KERNEL), SPAWN("window", WINDOW), SPAWN("dma", DMA), SPAWN("high", HIGH),
    SPAWN_SIZE("short", sizeof(struct spawn_request) - 1), SPAWN_SIZE("long", sizeof(struct spawn_request) + 1), SPAWN_SIZE("empty", 0),
    WRITE("null", AT_NULL), WRITE("below_stack", BELOW_STACK), WRITE("above_stack", ABOVE_STACK), WRITE("heap_end", HEAP_END),
    WRITE("crossing", CROSSING), WRITE("kernel", KERNEL), WRITE("kernel_data", KERNEL_DATA), WRITE("frames", FRAMES), WRITE("plic", PLIC),
    WRITE("clint", CLINT), WRITE("finisher", FINISHER), WRITE("window", WINDOW), WRITE("dma", DMA), WRITE("half", HALF), WRITE("high", HIGH),
    WRITE("wrapping", WRAPPING), WRITE("code", OWN_CODE), WRITE("constant", OWN_CONSTANT),
    SIZE("nothing", 0), SIZE("short", sizeof(struct process_status) - 1), SIZE("long", sizeof(struct process_status) + 8), SIZE("endless", ~0u),
    PROCESS("null", AT_NULL), PROCESS("crossing", CROSSING), PROCESS("kernel", KERNEL), PROCESS("dma", DMA), PROCESS("code", OWN_CODE),
};
const struct proof_group pointer_group = {cases, COUNT(cases)};
