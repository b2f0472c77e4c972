/*
 * What module `time` needs of this port; compiled into extmod/modtime.c. There is no calendar clock: time starts with the machine,
 * at MicroPython's epoch.
 */
#include "clock.h"

static mp_obj_t time_localtime(size_t count, const mp_obj_t *args);

static mp_obj_t mp_time_time_get(void) { return mp_obj_new_int_from_uint(clock_ticks() / LIMIT_TICK_HZ); }

static mp_obj_t mp_time_localtime_get(void) {
    mp_obj_t now = mp_time_time_get();
    return time_localtime(1, &now);
}
