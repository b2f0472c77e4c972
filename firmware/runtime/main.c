/*
 * How both interpreters begin and end: the process's entry, garbage collection, and what is told of an exception that nobody caught: one
 * line that holds no byte of a caller. Called by start.S; the kernel stated the arguments. What happens in between is service.c or shell.c.
 */
#include "nexus.h"
#include "port.h"
#include "py/cstack.h"
#include "py/gc.h"
#include "py/runtime.h"
#include "shared/runtime/gchelper.h"
#include "user.h"

enum {
    STACK_BYTES_DEFAULT = 16384, /* where the kernel states none; a guard page lies below in any case */
    TRIPLE = 3,
};

/* By the linker: where the stack begins, growing down. */
extern char user_stack_top[];

/* Where the innermost and the outermost frame stood: (file, line, block) triples are appended from the inside out. */
static void report_uncaught(mp_obj_t exception) {
    size_t count;
    size_t *values;
    mp_obj_exception_get_traceback(exception, &count, &values);
    console_flush();
    mp_printf(&mp_plat_print, "uncaught %q", mp_obj_get_type(exception)->name);
    if (count >= TRIPLE) mp_printf(&mp_plat_print, " %q:%u", (qstr)values[0], (unsigned)values[1]);
    if (count > TRIPLE) mp_printf(&mp_plat_print, " from %q:%u", (qstr)values[count - TRIPLE], (unsigned)values[count - TRIPLE + 1]);
    console_text("\n", 1);
}

/* sys.exit(n) carries its status; True and None mean what they do in CPython. */
static int exit_status(mp_obj_t exception) {
    mp_obj_t value = mp_obj_exception_get_value(exception);
    mp_int_t status;
    if (value == mp_const_none) return EXIT_STATUS_OK;
    return mp_obj_get_int_maybe(value, &status) ? (int)status : EXIT_STATUS_UNCAUGHT;
}

int uncaught_status(void *raised) {
    mp_obj_t exception = MP_OBJ_FROM_PTR(raised);
    if (mp_obj_is_subclass_fast(MP_OBJ_FROM_PTR(mp_obj_get_type(exception)), MP_OBJ_FROM_PTR(&mp_type_SystemExit))) {
        return exit_status(exception);
    }
    report_uncaught(exception);
    return EXIT_STATUS_UNCAUGHT;
}

int user_main(const uint8_t *romfs, size_t romfs_bytes, void *heap, size_t heap_bytes, uint64_t console,
    uint64_t incarnation, uint64_t bring_up, uint64_t stack_bytes) {
    struct memory memory = {romfs, romfs_bytes, heap, heap_bytes};
    mp_cstack_init_with_top(user_stack_top, stack_bytes ? stack_bytes : STACK_BYTES_DEFAULT);
    console_init(console);
    (void)bring_up; /* kernel.bring_up() reads the IPC page: the latch closes under whoever runs */
    kernel_module_init(incarnation);
    int status = runtime_life(&memory);
    console_flush();
    return status;
}

/* The whole stack from here to its top, and the registers that a caller keeps. */
void gc_collect(void) {
    gc_collect_start();
    gc_helper_collect_regs_and_stack();
    gc_collect_end();
}

/* A non-local return without anywhere to go: nothing can be trusted any more, not even to print. */
void nlr_jump_fail(void *value) {
    (void)value;
    nexus_exit(EXIT_STATUS_BROKEN);
}
