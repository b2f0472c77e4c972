/*
 * Module `terminal`: what a driver needs to open the terminal, and what a prompt needs to read and write it, byte by byte as it is.
 * Imported by guest/drivers and guest/shell; everything it does is terminal.c's.
 */
#include "py/objarray.h"
#include "py/runtime.h"
#include "terminal.h"

#include "contract.h"

/* What a prompt keeps over a soft reset, which takes its heap. */
static uint8_t kept[TERMINAL_KEPT_BYTES];
static MP_DEFINE_MEMORYVIEW_OBJ(kept_obj, 'B' | MP_OBJ_ARRAY_TYPECODE_FLAG_RW, 0, TERMINAL_KEPT_BYTES, kept);

/* open(receive, send, control, irq, notification, connected): the port is open, all control buffers are lent, piece i as id i. */
static mp_obj_t module_open(size_t count, const mp_obj_t *args) {
    (void)count;
    if (terminal_is_open()) mp_raise_msg(&mp_type_RuntimeError, MP_ERROR_TEXT("open already"));
    struct terminal_handles handles = {
        .receive = mp_obj_int_get_uint_checked(args[0]),
        .send = mp_obj_int_get_uint_checked(args[1]),
        .control = mp_obj_int_get_uint_checked(args[2]),
        .irq = mp_obj_int_get_uint_checked(args[3]),
        .notification = mp_obj_int_get_uint_checked(args[4]),
    };
    terminal_open(&handles, mp_obj_is_true(args[5]));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(open_obj, 6, 6, module_open);

static mp_obj_t module_read(void) { return MP_OBJ_NEW_SMALL_INT(terminal_read()); }
static MP_DEFINE_CONST_FUN_OBJ_0(read_obj, module_read);

static mp_obj_t module_ready(void) { return mp_obj_new_bool(terminal_ready()); }
static MP_DEFINE_CONST_FUN_OBJ_0(ready_obj, module_ready);

/* Whether somebody listens at the other end; what is written while nobody does is lost. */
static mp_obj_t module_connected(void) { return mp_obj_new_bool(terminal_is_connected()); }
static MP_DEFINE_CONST_FUN_OBJ_0(connected_obj, module_connected);

static mp_obj_t module_write(mp_obj_t data) {
    mp_buffer_info_t bytes;
    mp_get_buffer_raise(data, &bytes, MP_BUFFER_READ);
    terminal_write(bytes.buf, bytes.len);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(write_obj, module_write);

/* Set the interrupt character, -1 for none; gives the one before, to be set again: until then nothing is interrupted, and nothing is lost. */
static mp_obj_t module_interrupt(mp_obj_t character) {
    int before = terminal_interrupt();
    terminal_set_interrupt(mp_obj_get_int(character));
    return MP_OBJ_NEW_SMALL_INT(before);
}
static MP_DEFINE_CONST_FUN_OBJ_1(interrupt_obj, module_interrupt);

static const mp_rom_map_elem_t terminal_table[] = {
    {MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_terminal)},
    {MP_ROM_QSTR(MP_QSTR_open), MP_ROM_PTR(&open_obj)},
    {MP_ROM_QSTR(MP_QSTR_read), MP_ROM_PTR(&read_obj)},
    {MP_ROM_QSTR(MP_QSTR_ready), MP_ROM_PTR(&ready_obj)},
    {MP_ROM_QSTR(MP_QSTR_connected), MP_ROM_PTR(&connected_obj)},
    {MP_ROM_QSTR(MP_QSTR_write), MP_ROM_PTR(&write_obj)},
    {MP_ROM_QSTR(MP_QSTR_interrupt), MP_ROM_PTR(&interrupt_obj)},
    {MP_ROM_QSTR(MP_QSTR_kept), MP_ROM_PTR(&kept_obj)},
};
static MP_DEFINE_CONST_DICT(terminal_globals, terminal_table);

const mp_obj_module_t terminal_module = {.base = {&mp_type_module}, .globals = (mp_obj_dict_t *)&terminal_globals};
MP_REGISTER_MODULE(MP_QSTR_terminal, terminal_module);
