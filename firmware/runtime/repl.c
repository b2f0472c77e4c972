/*
 * Module `repl` of the shell: a MicroPython prompt whose terminal is a pair of Python callables, because the terminal is a
 * device of another process. Called by the shell's main; while it runs, print() goes to the terminal and not to the console.
 */
#include <string.h>

#include "port.h"
#include "py/mphal.h"
#include "py/runtime.h"
#include "shared/runtime/pyexec.h"

MP_REGISTER_ROOT_POINTER(mp_obj_t repl_read);
MP_REGISTER_ROOT_POINTER(mp_obj_t repl_write);

/* The next byte of the terminal; the callable waits for it. */
int mp_hal_stdin_rx_chr(void) { return mp_obj_get_int(mp_call_function_0(MP_STATE_VM(repl_read))) & 0xff; }

mp_uint_t mp_hal_stdout_tx_strn(const char *text, size_t bytes) {
    if (MP_STATE_VM(repl_write) == MP_OBJ_NULL) {
        console_text(text, bytes);
    } else {
        mp_call_function_1(MP_STATE_VM(repl_write), mp_obj_new_bytes((const byte *)text, bytes));
    }
    return bytes;
}

/* A terminal wants a carriage return before each newline. */
void mp_hal_stdout_tx_strn_cooked(const char *text, size_t bytes) {
    if (MP_STATE_VM(repl_write) == MP_OBJ_NULL) {
        console_text(text, bytes);
        return;
    }
    size_t start = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] != '\n') continue;
        if (i > start) mp_hal_stdout_tx_strn(text + start, i - start);
        mp_hal_stdout_tx_strn("\r\n", 2);
        start = i + 1;
    }
    if (bytes > start) mp_hal_stdout_tx_strn(text + start, bytes - start);
}

void mp_hal_stdout_tx_str(const char *text) { mp_hal_stdout_tx_strn(text, strlen(text)); }

/* repl.run(read, write): prompt until Ctrl-D. read() gives one byte as int, write(bytes) takes them all. */
static mp_obj_t repl_run(mp_obj_t read, mp_obj_t write) {
    MP_STATE_VM(repl_read) = read;
    MP_STATE_VM(repl_write) = write;
    for (;;) {
        int stop = pyexec_mode_kind == PYEXEC_MODE_RAW_REPL ? pyexec_raw_repl() : pyexec_friendly_repl();
        if (stop) break;
    }
    MP_STATE_VM(repl_read) = MP_STATE_VM(repl_write) = MP_OBJ_NULL;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(repl_run_obj, repl_run);

static const mp_rom_map_elem_t repl_table[] = {
    {MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_repl)},
    {MP_ROM_QSTR(MP_QSTR_run), MP_ROM_PTR(&repl_run_obj)},
};
static MP_DEFINE_CONST_DICT(repl_globals, repl_table);

const mp_obj_module_t repl_module = {.base = {&mp_type_module}, .globals = (mp_obj_dict_t *)&repl_globals};
MP_REGISTER_MODULE(MP_QSTR_repl, repl_module);
