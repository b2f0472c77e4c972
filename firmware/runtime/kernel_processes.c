/*
 * kernel.supervise, system, process, capability, spawn: acting on other processes. Called by init and execd; every other process holds
 * no capability that these accept.
 */
#include <string.h>

#include "kernel_module.h"

/* The order of struct process_status, which tests/guest/shims states too. */
static mp_obj_t status_tuple(const struct process_status *status) {
    mp_obj_t items[] = {
        MP_OBJ_NEW_SMALL_INT(status->state), MP_OBJ_NEW_SMALL_INT(status->fault), int_from(status->value),
        int_from(status->pc), int_from(status->cpu_ticks), int_from(status->service_id),
        MP_OBJ_NEW_SMALL_INT(status->incarnation), MP_OBJ_NEW_SMALL_INT(status->rank),
        MP_OBJ_NEW_SMALL_INT(status->frames), MP_OBJ_NEW_SMALL_INT(status->slots), int_from(status->messages),
    };
    return mp_obj_new_tuple(MP_ARRAY_SIZE(items), items);
}

/* Loading and freeing go in steps, so that no kernel entry is long; here they look like one call. */
static mp_obj_t kernel_supervise(mp_obj_t handle, mp_obj_t operation) {
    uint64_t supervised = u64_of(handle), what = u64_of(operation), status;
    struct process_status answer;
    while ((status = nexus_supervise(supervised, what, &answer)) == E_AGAIN) {
    }
    kernel_check(status);
    return what == SUP_STATUS ? status_tuple(&answer) : mp_const_none;
}
MP_DEFINE_CONST_FUN_OBJ_2(kernel_supervise_obj, kernel_supervise);

static mp_obj_t kernel_system(size_t count, const mp_obj_t *args) {
    uint64_t result, operation = u64_of(args[1]);
    if (operation == SYSTEM_PROCESS) mp_raise_ValueError(MP_ERROR_TEXT("use kernel.process"));
    kernel_check(nexus_system(u64_of(args[0]), operation, u64_at(2, count, args), u64_at(3, count, args), &result));
    return int_from(result);
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(kernel_system_obj, 2, 4, kernel_system);

static mp_obj_t kernel_process(mp_obj_t handle, mp_obj_t index) {
    uint64_t result;
    struct process_status answer;
    kernel_check(nexus_system(u64_of(handle), SYSTEM_PROCESS, u64_of(index), (uintptr_t)&answer, &result));
    return status_tuple(&answer);
}
MP_DEFINE_CONST_FUN_OBJ_2(kernel_process_obj, kernel_process);

/* (OBJ_*, rights, object, badge) of a slot of a process's table; all 0 for a free one. */
static mp_obj_t kernel_capability(mp_obj_t handle, mp_obj_t index, mp_obj_t slot) {
    struct nexus_held held;
    kernel_check(nexus_capability(u64_of(handle), (uint32_t)bounded(index, 0xff), (uint32_t)bounded(slot, UINT32_MAX), &held));
    mp_obj_t items[] = {
        MP_OBJ_NEW_SMALL_INT(held.type), MP_OBJ_NEW_SMALL_INT(held.rights), MP_OBJ_NEW_SMALL_INT(held.object), int_from(held.badge),
    };
    return mp_obj_new_tuple(MP_ARRAY_SIZE(items), items);
}
MP_DEFINE_CONST_FUN_OBJ_3(kernel_capability_obj, kernel_capability);

/* spawn, region, stack pages, share, endpoint or 0. */
static mp_obj_t kernel_spawn(size_t count, const mp_obj_t *args) {
    (void)count;
    struct spawn_request request = {
        .stack_pages = bounded(args[2], UINT32_MAX),
        .share = bounded(args[3], UINT32_MAX),
        .endpoint = bounded(args[4], UINT32_MAX),
    };
    uint64_t spawn = u64_of(args[0]), region = u64_of(args[1]), supervise, status;
    while ((status = nexus_spawn(spawn, region, &request, &supervise)) == E_AGAIN) {
    }
    kernel_check(status);
    return int_from(supervise);
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(kernel_spawn_obj, 5, 5, kernel_spawn);
