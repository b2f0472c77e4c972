/*
 * The life of an interpreter process: heap, ROMFS, first import, exit. Called by start.S; the kernel stated the arguments. An app's
 * ROMFS and entry are its publisher's: whatever is wrong with them ends this process and nothing else. An exception that nobody
 * caught ends the process with one line that holds no byte of a caller.
 */
#include <string.h>

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
    EXIT_STATUS_BROKEN = 2, /* the interpreter itself gave up, or was to begin with what is no module's name */
    STACK_BYTES_DEFAULT = 16384, /* where the kernel states none; a guard page lies below in any case */
    FRAME_BYTES = 12288, /* for frames of Python functions, of some 200 bytes each; full: RuntimeError */
    TRIPLE = 3,
};

static uint64_t frames[FRAME_BYTES / sizeof(uint64_t)];

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

/* [a-z][a-z0-9_]*, and nothing but zeros behind it. */
static bool good_entry(const char *entry, size_t bytes) {
    if (!(entry[0] >= 'a' && entry[0] <= 'z')) return false;
    for (size_t i = 0; i < bytes; i++) {
        bool good = (entry[i] >= 'a' && entry[i] <= 'z') || (entry[i] >= '0' && entry[i] <= '9') || entry[i] == '_';
        if (!good) return false;
    }
    for (size_t i = bytes; i < IPC_ENTRY_BYTES; i++)
        if (entry[i] != 0) return false;
    return true;
}

/* What the kernel states that an app begins with; main where it states nothing. MP_QSTRnull: no module can have that name. */
static qstr first_module(void) {
    static const char nothing[IPC_ENTRY_BYTES];
    if (memcmp(NEXUS_ENTRY, nothing, IPC_ENTRY_BYTES) == 0) return MP_QSTR_main;
    size_t bytes = strnlen(NEXUS_ENTRY, IPC_ENTRY_BYTES);
    return good_entry(NEXUS_ENTRY, bytes) ? qstr_from_strn(NEXUS_ENTRY, bytes) : MP_QSTRnull;
}

static int run(const uint8_t *romfs, size_t romfs_bytes) {
    nlr_buf_t nlr;
    if (nlr_push(&nlr) == 0) {
        rom_mount(romfs, romfs_bytes);
        qstr first = first_module();
        if (first != MP_QSTRnull) mp_import_name(first, mp_const_none, MP_OBJ_NEW_SMALL_INT(0));
        nlr_pop();
        return first == MP_QSTRnull ? EXIT_STATUS_BROKEN : EXIT_STATUS_OK;
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
    int status = run(romfs, romfs_bytes);
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
