/*
 * The life of an interpreter process: heap, ROMFS, `import main`, exit. Called by start.S; the kernel stated the arguments.
 * An exception that nobody caught ends the process with one line that holds no byte of a caller.
 */
#include "nexus.h"
#include "port.h"
#include "py/builtin.h"
#include "py/cstack.h"
#include "py/gc.h"
#include "py/pystack.h"
#include "py/runtime.h"
#include "shared/runtime/gchelper.h"
#include "user.h"

enum {
    EXIT_STATUS_OK = 0,
    EXIT_STATUS_UNCAUGHT = 1,
    EXIT_STATUS_BROKEN = 2, /* the interpreter itself gave up */
    STACK_BYTES_DEFAULT = 16384, /* where the kernel states none; a guard page lies below in any case */
    FRAME_BYTES = 12288, /* for frames of Python functions, of some 200 bytes each; full: RuntimeError */
};

static uint64_t frames[FRAME_BYTES / sizeof(uint64_t)];

/* Where the innermost frame stood: (file, line, block) triples are appended from the inside out. */
static void report_uncaught(mp_obj_t exception) {
    size_t count;
    size_t *values;
    mp_obj_exception_get_traceback(exception, &count, &values);
    console_flush();
    mp_printf(&mp_plat_print, "uncaught %q", mp_obj_get_type(exception)->name);
    if (count >= 3) mp_printf(&mp_plat_print, " %q:%u", (qstr)values[0], (unsigned)values[1]);
    console_text("\n", 1);
}

/* sys.exit(n) carries its status; True and None mean what they do in CPython. */
static int exit_status(mp_obj_t exception) {
    mp_obj_t value = mp_obj_exception_get_value(exception);
    mp_int_t status;
    if (value == mp_const_none) return EXIT_STATUS_OK;
    return mp_obj_get_int_maybe(value, &status) ? (int)status : EXIT_STATUS_UNCAUGHT;
}

static int run_main(void) {
    nlr_buf_t nlr;
    if (nlr_push(&nlr) == 0) {
        mp_import_name(MP_QSTR_main, mp_const_none, MP_OBJ_NEW_SMALL_INT(0));
        nlr_pop();
        return EXIT_STATUS_OK;
    }
    mp_obj_t exception = MP_OBJ_FROM_PTR(nlr.ret_val);
    if (mp_obj_is_subclass_fast(MP_OBJ_FROM_PTR(mp_obj_get_type(exception)), MP_OBJ_FROM_PTR(&mp_type_SystemExit))) {
        return exit_status(exception);
    }
    report_uncaught(exception);
    return EXIT_STATUS_UNCAUGHT;
}

int user_main(const uint8_t *romfs, size_t romfs_bytes, void *heap, size_t heap_bytes, uint64_t console,
    uint64_t incarnation, uint64_t bring_up, uint64_t stack_bytes) {
    mp_cstack_init_with_top((void *)VA_STACK_TOP, stack_bytes ? stack_bytes : STACK_BYTES_DEFAULT);
    console_init(console);
    (void)bring_up; /* kernel.bring_up() reads the IPC page: the latch closes under whoever runs */
    kernel_module_init(incarnation);
    mp_pystack_init(frames, frames + MP_ARRAY_SIZE(frames));
    gc_init(heap, (uint8_t *)heap + heap_bytes);
    mp_init();
    rom_mount(romfs, romfs_bytes);
    int status = run_main();
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
