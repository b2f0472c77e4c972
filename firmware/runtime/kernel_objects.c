/*
 * kernel.mint .. kernel.region_free: capabilities, devices and memory regions. Called by drivers and by services that hand
 * out capabilities. Views of mapped memory are given out here; a view outlives its region, and using it then is a fault.
 */
#include "kernel_module.h"

static mp_obj_t done(uint64_t status) {
    kernel_check(status);
    return mp_const_none;
}

/* ---- Capabilities ---- */

static mp_obj_t kernel_mint(mp_obj_t endpoint, mp_obj_t badge, mp_obj_t rights) {
    uint64_t handle;
    kernel_check(nexus_cap_mint(u64_of(endpoint), u64_of(badge), u64_of(rights), &handle));
    return int_from(handle);
}
MP_DEFINE_CONST_FUN_OBJ_3(kernel_mint_obj, kernel_mint);

static mp_obj_t kernel_revoke(mp_obj_t endpoint, mp_obj_t badge) {
    uint64_t count;
    kernel_check(nexus_cap_revoke(u64_of(endpoint), u64_of(badge), &count));
    return int_from(count);
}
MP_DEFINE_CONST_FUN_OBJ_2(kernel_revoke_obj, kernel_revoke);

static mp_obj_t kernel_drop(mp_obj_t handle) { return done(nexus_cap_drop(u64_of(handle))); }
MP_DEFINE_CONST_FUN_OBJ_1(kernel_drop_obj, kernel_drop);

static mp_obj_t kernel_info(mp_obj_t handle) {
    uint32_t type, rights;
    uint64_t badge;
    kernel_check(nexus_cap_info(u64_of(handle), &type, &rights, &badge));
    mp_obj_t items[] = {MP_OBJ_NEW_SMALL_INT(type), MP_OBJ_NEW_SMALL_INT(rights), int_from(badge)};
    return mp_obj_new_tuple(MP_ARRAY_SIZE(items), items);
}
MP_DEFINE_CONST_FUN_OBJ_1(kernel_info_obj, kernel_info);

/* ---- Devices ---- */

enum { DEVICE_WINDOW_BYTES = 0x1000 };

static mp_obj_t kernel_device_read(mp_obj_t reg) {
    uint64_t offset = bounded(reg, DEVICE_WINDOW_BYTES - sizeof(uint32_t));
    if (offset % sizeof(uint32_t)) mp_raise_ValueError(MP_ERROR_TEXT("misaligned"));
    return MP_OBJ_NEW_SMALL_INT(nexus_device_read((uint32_t)offset));
}
MP_DEFINE_CONST_FUN_OBJ_1(kernel_device_read_obj, kernel_device_read);

static mp_obj_t kernel_device_write(mp_obj_t handle, mp_obj_t reg, mp_obj_t value) {
    return done(nexus_device_write(u64_of(handle), bounded(reg, UINT32_MAX), bounded(value, UINT32_MAX)));
}
MP_DEFINE_CONST_FUN_OBJ_3(kernel_device_write_obj, kernel_device_write);

static mp_obj_t kernel_queue_setup(mp_obj_t handle) {
    uint32_t size;
    kernel_check(nexus_queue_setup(u64_of(handle), &size));
    return MP_OBJ_NEW_SMALL_INT(size);
}
MP_DEFINE_CONST_FUN_OBJ_1(kernel_queue_setup_obj, kernel_queue_setup);

static mp_obj_t kernel_segment(mp_obj_t offset, mp_obj_t bytes, mp_obj_t write) {
    return int_from(nexus_segment(bounded(offset, UINT32_MAX), bounded(bytes, INT32_MAX), mp_obj_is_true(write)));
}
MP_DEFINE_CONST_FUN_OBJ_3(kernel_segment_obj, kernel_segment);

static mp_obj_t kernel_queue_post(size_t count, const mp_obj_t *args) {
    uint64_t segments[LIMIT_QUEUE_SEGMENTS] = {0};
    for (size_t i = 1; i < count; i++) segments[i - 1] = u64_of(args[i]);
    uint32_t id;
    kernel_check(nexus_queue_post(u64_of(args[0]), segments, count - 1, &id));
    return MP_OBJ_NEW_SMALL_INT(id);
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(kernel_queue_post_obj, 2, 1 + LIMIT_QUEUE_SEGMENTS, kernel_queue_post);

static mp_obj_t kernel_queue_take(mp_obj_t handle) {
    uint32_t id, used;
    uint64_t status = nexus_queue_take(u64_of(handle), &id, &used);
    if (status == E_AGAIN) return mp_const_none;
    kernel_check(status);
    mp_obj_t items[] = {MP_OBJ_NEW_SMALL_INT(id), MP_OBJ_NEW_SMALL_INT(used)};
    return mp_obj_new_tuple(MP_ARRAY_SIZE(items), items);
}
MP_DEFINE_CONST_FUN_OBJ_1(kernel_queue_take_obj, kernel_queue_take);

static mp_obj_t kernel_irq_ack(mp_obj_t handle) { return done(nexus_irq_ack(u64_of(handle))); }
MP_DEFINE_CONST_FUN_OBJ_1(kernel_irq_ack_obj, kernel_irq_ack);

/* ---- Regions ---- */

static mp_obj_t kernel_region_map(mp_obj_t handle, mp_obj_t write) {
    bool writable = mp_obj_is_true(write);
    uint64_t region = u64_of(handle), status;
    void *address;
    size_t bytes;
    while ((status = nexus_region_map(region, writable, &address, &bytes)) == E_AGAIN) { /* not zero yet */
    }
    kernel_check(status);
    return view_of(address, bytes, writable);
}
MP_DEFINE_CONST_FUN_OBJ_2(kernel_region_map_obj, kernel_region_map);

static mp_obj_t kernel_region_unmap(mp_obj_t handle) { return done(nexus_region_unmap(u64_of(handle))); }
MP_DEFINE_CONST_FUN_OBJ_1(kernel_region_unmap_obj, kernel_region_unmap);

static mp_obj_t kernel_region_seal(mp_obj_t handle) { return done(nexus_region_seal(u64_of(handle))); }
MP_DEFINE_CONST_FUN_OBJ_1(kernel_region_seal_obj, kernel_region_seal);

static mp_obj_t kernel_region_free(mp_obj_t handle) {
    uint64_t status;
    while ((status = nexus_region_free(u64_of(handle))) == E_AGAIN) {
    }
    return done(status);
}
MP_DEFINE_CONST_FUN_OBJ_1(kernel_region_free_obj, kernel_region_free);
