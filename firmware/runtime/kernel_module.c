/*
 * Module `kernel`: every system call as a Python function, and nothing on top. Imported by guest libraries, which give it
 * names and manners. A refusal of the kernel is kernel.Error(status); a wrong argument is TypeError, ValueError, OverflowError.
 */
#include "kernel_module.h"

#include "py/objarray.h"
#include "py/objexcept.h"
#include "py/objstr.h"

MP_DEFINE_EXCEPTION(KernelError, Exception)

/* The message: a fixed view of the IPC page, so that no call allocates for it. */
static MP_DEFINE_MEMORYVIEW_OBJ(buffer_obj, 'B' | MP_OBJ_ARRAY_TYPECODE_FLAG_RW, 0, IPC_DATA_BYTES, NEXUS_BUFFER);

static uint64_t incarnation;

void kernel_module_init(uint64_t stated_incarnation) { incarnation = stated_incarnation; }

void kernel_check(uint64_t status) {
    if (status != E_OK) mp_raise_type_arg(&mp_type_KernelError, int_from(status));
}

uint64_t bounded(mp_obj_t value, uint64_t limit) {
    uint64_t number = u64_of(value);
    if (number > limit) mp_raise_ValueError(MP_ERROR_TEXT("out of range"));
    return number;
}

mp_obj_t view_of(void *address, size_t bytes, bool writable) {
    return mp_obj_new_memoryview('B' | (writable ? MP_OBJ_ARRAY_TYPECODE_FLAG_RW : 0), bytes, address);
}

static mp_obj_t kernel_time(void) { return int_from(nexus_time()); }
MP_DEFINE_CONST_FUN_OBJ_0(kernel_time_obj, kernel_time);

static mp_obj_t kernel_cpu_time(void) { return int_from(nexus_cpu_time()); }
MP_DEFINE_CONST_FUN_OBJ_0(kernel_cpu_time_obj, kernel_cpu_time);

/* One line; False when the kernel has no room for it. Text printed before comes first. */
static mp_obj_t kernel_console(mp_obj_t text) {
    mp_buffer_info_t bytes;
    mp_get_buffer_raise(text, &bytes, MP_BUFFER_READ);
    console_flush();
    uint64_t status = console_line(bytes.buf, bytes.len);
    if (status == E_FULL) return mp_const_false;
    kernel_check(status);
    return mp_const_true;
}
MP_DEFINE_CONST_FUN_OBJ_1(kernel_console_obj, kernel_console);

static mp_obj_t kernel_exit(mp_obj_t status) {
    uint64_t value = u64_of(status);
    console_flush();
    nexus_exit(value);
}
MP_DEFINE_CONST_FUN_OBJ_1(kernel_exit_obj, kernel_exit);

static mp_obj_t kernel_incarnation(void) { return int_from(incarnation); }
MP_DEFINE_CONST_FUN_OBJ_0(kernel_incarnation_obj, kernel_incarnation);

static mp_obj_t kernel_bring_up(void) { return mp_obj_new_bool(nexus_bring_up()); }
MP_DEFINE_CONST_FUN_OBJ_0(kernel_bring_up_obj, kernel_bring_up);

/* ---- Memory that every life of a process finds in its place ---- */

/*
 * MicroPython's code of an item. Q is its L, an unsigned long of 8 bytes: read without heap below 2^62, where Q always allocates.
 * Items lie at multiples of their size, and what fits a small int is written by one store (sh, sw, sd); only what is above it, by bytes.
 */
static char item_code(mp_obj_t typecode, size_t *size) {
    size_t count;
    const char *text = mp_obj_str_get_data(typecode, &count);
    char code = count == 1 ? *text : 0;
    *size = code == 'B' ? 1 : code == 'H' ? 2 : code == 'I' ? 4 : code == 'Q' ? 8 : 0;
    if (*size == 0) mp_raise_ValueError(MP_ERROR_TEXT("typecode"));
    return code == 'Q' ? 'L' : code;
}
_Static_assert(sizeof(unsigned long) == 8, "L is 8 bytes");

/* The first bytes of an area; touching what the process's row does not have of it is a memory fault. */
static mp_obj_t view_of_area(uintptr_t start, uintptr_t end, mp_obj_t bytes_in, mp_obj_t typecode, size_t flag) {
    size_t size, bytes = bounded(bytes_in, end - start);
    char code = item_code(typecode, &size);
    if (bytes % size) mp_raise_ValueError(MP_ERROR_TEXT("not whole items"));
    return mp_obj_new_memoryview((byte)(code | flag), bytes / size, (void *)start);
}

/* What outlives a restart (the row's `kept`), zero at the first start. */
static mp_obj_t kernel_kept(mp_obj_t bytes, mp_obj_t typecode) {
    return view_of_area(VA_KEPT, VA_POLICY, bytes, typecode, MP_OBJ_ARRAY_TYPECODE_FLAG_RW);
}
MP_DEFINE_CONST_FUN_OBJ_2(kernel_kept_obj, kernel_kept);

/* The compiled policy of the image. */
static mp_obj_t kernel_policy(mp_obj_t bytes, mp_obj_t typecode) { return view_of_area(VA_POLICY, VA_REGION, bytes, typecode, 0); }
MP_DEFINE_CONST_FUN_OBJ_2(kernel_policy_obj, kernel_policy);

/* The DMA window of a driver: what the device writes there changes under the view. */
static mp_obj_t kernel_dma(mp_obj_t bytes, mp_obj_t typecode) {
    return view_of_area(VA_DMA, VA_DEVICE, bytes, typecode, MP_OBJ_ARRAY_TYPECODE_FLAG_RW);
}
MP_DEFINE_CONST_FUN_OBJ_2(kernel_dma_obj, kernel_dma);

/* Searched from the top as frame_table is: buffer and time are in every call. */
static const mp_rom_map_elem_t kernel_table[] = {
    {MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_kernel)},
    {MP_ROM_QSTR(MP_QSTR_Error), MP_ROM_PTR(&mp_type_KernelError)},
    {MP_ROM_QSTR(MP_QSTR_buffer), MP_ROM_PTR(&buffer_obj)},
    {MP_ROM_QSTR(MP_QSTR_time), MP_ROM_PTR(&kernel_time_obj)},
    /* messages */
    {MP_ROM_QSTR(MP_QSTR_call), MP_ROM_PTR(&kernel_call_obj)},
    {MP_ROM_QSTR(MP_QSTR_recv), MP_ROM_PTR(&kernel_recv_obj)},
    {MP_ROM_QSTR(MP_QSTR_reply), MP_ROM_PTR(&kernel_reply_obj)},
    {MP_ROM_QSTR(MP_QSTR_reply_recv), MP_ROM_PTR(&kernel_reply_recv_obj)},
    {MP_ROM_QSTR(MP_QSTR_handle), MP_ROM_PTR(&kernel_handle_obj)},
    {MP_ROM_QSTR(MP_QSTR_badge), MP_ROM_PTR(&kernel_badge_obj)},
    {MP_ROM_QSTR(MP_QSTR_sender), MP_ROM_PTR(&kernel_sender_obj)},
    {MP_ROM_QSTR(MP_QSTR_kind), MP_ROM_PTR(&kernel_kind_obj)},
    {MP_ROM_QSTR(MP_QSTR_sender_id), MP_ROM_PTR(&kernel_sender_id_obj)},
    {MP_ROM_QSTR(MP_QSTR_bits), MP_ROM_PTR(&kernel_bits_obj)},
    {MP_ROM_QSTR(MP_QSTR_subject), MP_ROM_PTR(&kernel_subject_obj)},
    {MP_ROM_QSTR(MP_QSTR_subject_id), MP_ROM_PTR(&kernel_subject_id_obj)},
    {MP_ROM_QSTR(MP_QSTR_sender_mask), MP_ROM_PTR(&kernel_sender_mask_obj)},
    {MP_ROM_QSTR(MP_QSTR_subject_mask), MP_ROM_PTR(&kernel_subject_mask_obj)},
    {MP_ROM_QSTR(MP_QSTR_sender_publisher), MP_ROM_PTR(&kernel_sender_publisher_obj)},
    {MP_ROM_QSTR(MP_QSTR_subject_kind), MP_ROM_PTR(&kernel_subject_kind_obj)},
    {MP_ROM_QSTR(MP_QSTR_subject_publisher), MP_ROM_PTR(&kernel_subject_publisher_obj)},
    {MP_ROM_QSTR(MP_QSTR_caps), MP_ROM_PTR(&kernel_caps_obj)},
    {MP_ROM_QSTR(MP_QSTR_send_cap), MP_ROM_PTR(&kernel_send_cap_obj)},
    {MP_ROM_QSTR(MP_QSTR_grant), MP_ROM_PTR(&kernel_grant_obj)},
    {MP_ROM_QSTR(MP_QSTR_notify), MP_ROM_PTR(&kernel_notify_obj)},
    {MP_ROM_QSTR(MP_QSTR_wait), MP_ROM_PTR(&kernel_wait_obj)},
    /* itself */
    {MP_ROM_QSTR(MP_QSTR_cpu_time), MP_ROM_PTR(&kernel_cpu_time_obj)},
    {MP_ROM_QSTR(MP_QSTR_console), MP_ROM_PTR(&kernel_console_obj)},
    {MP_ROM_QSTR(MP_QSTR_exit), MP_ROM_PTR(&kernel_exit_obj)},
    {MP_ROM_QSTR(MP_QSTR_incarnation), MP_ROM_PTR(&kernel_incarnation_obj)},
    {MP_ROM_QSTR(MP_QSTR_bring_up), MP_ROM_PTR(&kernel_bring_up_obj)},
    {MP_ROM_QSTR(MP_QSTR_kept), MP_ROM_PTR(&kernel_kept_obj)},
    {MP_ROM_QSTR(MP_QSTR_policy), MP_ROM_PTR(&kernel_policy_obj)},
    {MP_ROM_QSTR(MP_QSTR_dma), MP_ROM_PTR(&kernel_dma_obj)},
    /* capabilities, devices, regions */
    {MP_ROM_QSTR(MP_QSTR_mint), MP_ROM_PTR(&kernel_mint_obj)},
    {MP_ROM_QSTR(MP_QSTR_revoke), MP_ROM_PTR(&kernel_revoke_obj)},
    {MP_ROM_QSTR(MP_QSTR_drop), MP_ROM_PTR(&kernel_drop_obj)},
    {MP_ROM_QSTR(MP_QSTR_info), MP_ROM_PTR(&kernel_info_obj)},
    {MP_ROM_QSTR(MP_QSTR_device_read), MP_ROM_PTR(&kernel_device_read_obj)},
    {MP_ROM_QSTR(MP_QSTR_device_write), MP_ROM_PTR(&kernel_device_write_obj)},
    {MP_ROM_QSTR(MP_QSTR_queue_setup), MP_ROM_PTR(&kernel_queue_setup_obj)},
    {MP_ROM_QSTR(MP_QSTR_queue_post), MP_ROM_PTR(&kernel_queue_post_obj)},
    {MP_ROM_QSTR(MP_QSTR_queue_take), MP_ROM_PTR(&kernel_queue_take_obj)},
    {MP_ROM_QSTR(MP_QSTR_segment), MP_ROM_PTR(&kernel_segment_obj)},
    {MP_ROM_QSTR(MP_QSTR_irq_ack), MP_ROM_PTR(&kernel_irq_ack_obj)},
    {MP_ROM_QSTR(MP_QSTR_region_map), MP_ROM_PTR(&kernel_region_map_obj)},
    {MP_ROM_QSTR(MP_QSTR_region_unmap), MP_ROM_PTR(&kernel_region_unmap_obj)},
    {MP_ROM_QSTR(MP_QSTR_region_seal), MP_ROM_PTR(&kernel_region_seal_obj)},
    {MP_ROM_QSTR(MP_QSTR_region_free), MP_ROM_PTR(&kernel_region_free_obj)},
    /* other processes */
    {MP_ROM_QSTR(MP_QSTR_supervise), MP_ROM_PTR(&kernel_supervise_obj)},
    {MP_ROM_QSTR(MP_QSTR_system), MP_ROM_PTR(&kernel_system_obj)},
    {MP_ROM_QSTR(MP_QSTR_process), MP_ROM_PTR(&kernel_process_obj)},
    {MP_ROM_QSTR(MP_QSTR_capability), MP_ROM_PTR(&kernel_capability_obj)},
    {MP_ROM_QSTR(MP_QSTR_spawn), MP_ROM_PTR(&kernel_spawn_obj)},
};
static MP_DEFINE_CONST_DICT(kernel_globals, kernel_table);

const mp_obj_module_t kernel_module = {.base = {&mp_type_module}, .globals = (mp_obj_dict_t *)&kernel_globals};
MP_REGISTER_MODULE(MP_QSTR_kernel, kernel_module);
