/*
 * Between the files of module `kernel`: how arguments and statuses cross from Python to system calls.
 * kernel_messages.c, kernel_objects.c and kernel_processes.c define the functions, kernel_module.c lists them.
 */
#pragma once

#include "nexus.h"
#include "port.h"
#include "py/runtime.h"

/* Raises kernel.Error(status) unless it is E_OK. */
void kernel_check(uint64_t status);

/* An argument that is optional at the end of a call. */
static inline mp_obj_t arg_at(size_t index, size_t count, const mp_obj_t *args) {
    return index < count ? args[index] : MP_OBJ_NEW_SMALL_INT(0);
}

/* 0..2^64-1; anything else raises. */
static inline uint64_t u64_of(mp_obj_t value) {
    if (mp_obj_is_small_int(value) && MP_OBJ_SMALL_INT_VALUE(value) >= 0) return (uint64_t)MP_OBJ_SMALL_INT_VALUE(value);
    if (value == mp_const_true || value == mp_const_false) return value == mp_const_true;
    if (!mp_obj_is_int(value)) mp_raise_TypeError(MP_ERROR_TEXT("int expected"));
    return mp_obj_int_get_uint_checked(value);
}

/* 0..limit; anything else raises, so that no field of a packed word can spill into the next. */
uint64_t bounded(mp_obj_t value, uint64_t limit);

static inline uint64_t u64_at(size_t index, size_t count, const mp_obj_t *args) { return u64_of(arg_at(index, count, args)); }
static inline uint64_t bounded_at(size_t index, size_t count, const mp_obj_t *args, uint64_t limit) {
    return bounded(arg_at(index, count, args), limit);
}
/* A small int, without heap, below 2^62 (mp_obj_new_int_from_ull would always allocate). */
static inline mp_obj_t int_from(uint64_t value) { return mp_obj_new_int_from_uint(value); }

/* What the last message was delivered with; and a delivery's length, -1 for notification bits. Raises unless it is E_OK. */
const struct nexus_delivery *kernel_last(void);
int kernel_delivered(uint64_t status, const struct nexus_delivery *delivery);

/* Writable view of memory that the kernel mapped; never of the heap. */
mp_obj_t view_of(void *address, size_t bytes, bool writable);

MP_DECLARE_CONST_FUN_OBJ_VAR_BETWEEN(kernel_call_obj);
MP_DECLARE_CONST_FUN_OBJ_VAR_BETWEEN(kernel_recv_obj);
MP_DECLARE_CONST_FUN_OBJ_VAR_BETWEEN(kernel_reply_obj);
MP_DECLARE_CONST_FUN_OBJ_VAR_BETWEEN(kernel_reply_recv_obj);
MP_DECLARE_CONST_FUN_OBJ_0(kernel_handle_obj);
MP_DECLARE_CONST_FUN_OBJ_0(kernel_badge_obj);
MP_DECLARE_CONST_FUN_OBJ_0(kernel_sender_obj);
MP_DECLARE_CONST_FUN_OBJ_0(kernel_kind_obj);
MP_DECLARE_CONST_FUN_OBJ_0(kernel_sender_id_obj);
MP_DECLARE_CONST_FUN_OBJ_0(kernel_bits_obj);
MP_DECLARE_CONST_FUN_OBJ_0(kernel_subject_obj);
MP_DECLARE_CONST_FUN_OBJ_0(kernel_subject_id_obj);
MP_DECLARE_CONST_FUN_OBJ_0(kernel_sender_mask_obj);
MP_DECLARE_CONST_FUN_OBJ_0(kernel_subject_mask_obj);
MP_DECLARE_CONST_FUN_OBJ_0(kernel_sender_publisher_obj);
MP_DECLARE_CONST_FUN_OBJ_0(kernel_subject_kind_obj);
MP_DECLARE_CONST_FUN_OBJ_0(kernel_subject_publisher_obj);
MP_DECLARE_CONST_FUN_OBJ_1(kernel_caps_obj);
MP_DECLARE_CONST_FUN_OBJ_2(kernel_send_cap_obj);
MP_DECLARE_CONST_FUN_OBJ_VAR_BETWEEN(kernel_grant_obj);
MP_DECLARE_CONST_FUN_OBJ_1(kernel_notify_obj);
MP_DECLARE_CONST_FUN_OBJ_VAR_BETWEEN(kernel_wait_obj);

MP_DECLARE_CONST_FUN_OBJ_3(kernel_mint_obj);
MP_DECLARE_CONST_FUN_OBJ_2(kernel_revoke_obj);
MP_DECLARE_CONST_FUN_OBJ_1(kernel_drop_obj);
MP_DECLARE_CONST_FUN_OBJ_1(kernel_info_obj);
MP_DECLARE_CONST_FUN_OBJ_1(kernel_device_read_obj);
MP_DECLARE_CONST_FUN_OBJ_3(kernel_device_write_obj);
MP_DECLARE_CONST_FUN_OBJ_1(kernel_queue_setup_obj);
MP_DECLARE_CONST_FUN_OBJ_VAR_BETWEEN(kernel_queue_post_obj);
MP_DECLARE_CONST_FUN_OBJ_1(kernel_queue_take_obj);
MP_DECLARE_CONST_FUN_OBJ_3(kernel_segment_obj);
MP_DECLARE_CONST_FUN_OBJ_1(kernel_irq_ack_obj);
MP_DECLARE_CONST_FUN_OBJ_2(kernel_region_map_obj);
MP_DECLARE_CONST_FUN_OBJ_1(kernel_region_unmap_obj);
MP_DECLARE_CONST_FUN_OBJ_1(kernel_region_seal_obj);
MP_DECLARE_CONST_FUN_OBJ_1(kernel_region_free_obj);

MP_DECLARE_CONST_FUN_OBJ_0(kernel_time_obj);
MP_DECLARE_CONST_FUN_OBJ_0(kernel_cpu_time_obj);
MP_DECLARE_CONST_FUN_OBJ_1(kernel_console_obj);
MP_DECLARE_CONST_FUN_OBJ_1(kernel_exit_obj);
MP_DECLARE_CONST_FUN_OBJ_0(kernel_incarnation_obj);
MP_DECLARE_CONST_FUN_OBJ_0(kernel_bring_up_obj);
MP_DECLARE_CONST_FUN_OBJ_2(kernel_kept_obj);
MP_DECLARE_CONST_FUN_OBJ_2(kernel_policy_obj);
MP_DECLARE_CONST_FUN_OBJ_2(kernel_supervise_obj);
MP_DECLARE_CONST_FUN_OBJ_VAR_BETWEEN(kernel_system_obj);
MP_DECLARE_CONST_FUN_OBJ_2(kernel_process_obj);
MP_DECLARE_CONST_FUN_OBJ_3(kernel_capability_obj);
MP_DECLARE_CONST_FUN_OBJ_VAR_BETWEEN(kernel_spawn_obj);
