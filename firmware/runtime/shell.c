/*
 * The life of the shell process, and module `repl`. Once: module `start`, which opens the terminal. Then, for ever, one mode after the
 * other, each with a fresh heap and fresh globals: the system's own prompt (module `main`), or MicroPython's friendly or raw prompt.
 * Called by main.c. Nothing that is typed can end this loop but by ending the process.
 */
#include <string.h>

#include "clock.h"
#include "extmod/vfs.h"
#include "extmod/vfs_rom.h"
#include "port.h"
#include "py/builtin.h"
#include "py/gc.h"
#include "py/mphal.h"
#include "py/runtime.h"
#include "shared/readline/readline.h"
#include "shared/runtime/pyexec.h"
#include "terminal.h"

enum mode { PROMPT, FRIENDLY, RAW, MODES };

enum { PAUSE_MS = 500 }; /* between two tries of a prompt that fails at once */

static bool has_system; /* the ROMFS brings `start` and `main`; without them, MicroPython's prompts are all there is */
static enum mode mode;
static enum mode next; /* what follows when this mode is left */

/* ---- A fresh interpreter, and its end ---- */

static void mount_rom(const struct memory *memory) {
    mp_obj_t bytes = mp_obj_new_memoryview('B', memory->romfs_bytes, (void *)memory->romfs);
    mp_obj_t place = MP_OBJ_NEW_QSTR(MP_QSTR__slash_rom);
    mp_obj_t args[] = {MP_OBJ_TYPE_GET_SLOT(&mp_type_vfs_rom, make_new)(&mp_type_vfs_rom, 1, 0, &bytes), place};
    mp_vfs_mount(MP_ARRAY_SIZE(args), args, (mp_map_t *)&mp_const_empty_map);
    mp_vfs_chdir(place);
    mp_obj_list_append(mp_sys_path, place);
}

/* Nothing of the life before is left in the heap, wherever a program looks. */
static void begin(const struct memory *memory) {
    memset(memory->heap, 0, memory->heap_bytes);
    gc_init(memory->heap, (uint8_t *)memory->heap + memory->heap_bytes);
    mp_init();
    readline_init0();
    mp_hal_set_interrupt_char(-1);
    if (memory->romfs_bytes > 0) mount_rom(memory);
}

/* Finalisers run once more. */
static void end(void) {
    mp_hal_set_interrupt_char(-1);
    gc_sweep_all();
    mp_deinit();
}

static void import(qstr name) { mp_import_name(name, mp_const_none, MP_OBJ_NEW_SMALL_INT(0)); }

static bool is_exit(void *raised) {
    mp_obj_t type = MP_OBJ_FROM_PTR(mp_obj_get_type(MP_OBJ_FROM_PTR(raised)));
    return mp_obj_is_subclass_fast(type, MP_OBJ_FROM_PTR(&mp_type_SystemExit));
}

/* ---- Modes ---- */

/* SystemExit, also out of a program that caught it on the way: only who leaves by it changes the mode. */
void shell_after_exec(int result) {
    if (!(result & PYEXEC_FORCED_EXIT)) next = mode;
}

static mp_obj_t repl_enter(mp_obj_t number) {
    mp_int_t wanted = mp_obj_get_int(number);
    if (wanted < (has_system ? PROMPT : FRIENDLY) || wanted >= MODES) mp_raise_ValueError(MP_ERROR_TEXT("mode"));
    next = (enum mode)wanted;
    mp_raise_type(&mp_type_SystemExit);
}
static MP_DEFINE_CONST_FUN_OBJ_1(repl_enter_obj, repl_enter);

static mp_obj_t leave(void) { return repl_enter(MP_OBJ_NEW_SMALL_INT(PROMPT)); }
static MP_DEFINE_CONST_FUN_OBJ_0(leave_obj, leave);

/* The system's prompt is a program; it goes on for ever unless it asks for another mode. */
static void run_prompt(void) {
    import(MP_QSTR_main);
    mp_hal_delay_ms(PAUSE_MS);
}

static bool run_friendly(void) {
    if (has_system) mp_store_global(MP_QSTR_exit, MP_OBJ_FROM_PTR(&leave_obj));
    return pyexec_friendly_repl() & PYEXEC_FORCED_EXIT;
}

static bool run_raw(void) { return pyexec_raw_repl() & PYEXEC_FORCED_EXIT; }

/* Ctrl-A and Ctrl-B go from one prompt of MicroPython's to the other in the same life. */
static void run_repl(void) {
    bool left;
    pyexec_mode_kind = mode == RAW ? PYEXEC_MODE_RAW_REPL : PYEXEC_MODE_FRIENDLY_REPL;
    do {
        next = mode = pyexec_mode_kind == PYEXEC_MODE_RAW_REPL ? RAW : FRIENDLY;
        left = mode == RAW ? run_raw() : run_friendly();
    } while (!left);
}

/* Printing runs methods of the program's own, which may raise once more. */
static void show(void *raised) {
    nlr_buf_t nlr;
    mp_hal_set_interrupt_char(-1);
    mp_handle_pending(false);
    if (nlr_push(&nlr) == 0) {
        mp_obj_print_exception(&mp_plat_print, MP_OBJ_FROM_PTR(raised));
        mp_hal_delay_ms(PAUSE_MS);
        nlr_pop();
    }
}

/* One life of a mode. What it raises, even out of the prompt itself, ends that life and no more. */
static void run_mode(void) {
    nlr_buf_t nlr;
    next = mode;
    if (nlr_push(&nlr) == 0) {
        if (mode == PROMPT) run_prompt();
        else run_repl();
        nlr_pop();
    } else if (!is_exit(nlr.ret_val)) {
        next = mode;
        show(nlr.ret_val);
    }
}

static int run_start(void) {
    nlr_buf_t nlr;
    if (nlr_push(&nlr) != 0) return uncaught_status(nlr.ret_val);
    has_system = mp_import_stat("/rom/start.mpy") == MP_IMPORT_STAT_FILE;
    mode = has_system ? PROMPT : FRIENDLY;
    if (has_system) import(MP_QSTR_start);
    nlr_pop();
    return EXIT_STATUS_OK;
}

int runtime_life(const struct memory *memory) {
    begin(memory);
    int status = run_start();
    end();
    while (status == EXIT_STATUS_OK) {
        begin(memory);
        run_mode();
        if (mode == next && mode != PROMPT) mp_hal_stdout_tx_str("MPY: soft reboot\r\n");
        mode = next;
        end();
    }
    return status;
}

static const mp_rom_map_elem_t repl_table[] = {
    {MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_repl)},
    {MP_ROM_QSTR(MP_QSTR_PROMPT), MP_ROM_INT(PROMPT)},
    {MP_ROM_QSTR(MP_QSTR_FRIENDLY), MP_ROM_INT(FRIENDLY)},
    {MP_ROM_QSTR(MP_QSTR_RAW), MP_ROM_INT(RAW)},
    {MP_ROM_QSTR(MP_QSTR_enter), MP_ROM_PTR(&repl_enter_obj)},
};
static MP_DEFINE_CONST_DICT(repl_globals, repl_table);

const mp_obj_module_t repl_module = {.base = {&mp_type_module}, .globals = (mp_obj_dict_t *)&repl_globals};
MP_REGISTER_MODULE(MP_QSTR_repl, repl_module);
