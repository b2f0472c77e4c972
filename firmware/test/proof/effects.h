/* What the judge looks at in more than one group of cases. The first arguments are those of a case and mostly not used. */
#pragma once

#include "proof.h"

int64_t slots_gained(void);
int64_t can_write(uint64_t region);
uint64_t region_value(uint64_t region);
void fill_region(uint64_t region, uint64_t value);
int64_t is_dead(uint64_t handle);
void plant_secret(uint32_t arg, bool right);
int64_t planted_was_told(uint32_t arg, bool right);
int64_t secret_or_nothing(uint32_t arg, bool right);
bool waits_in(enum who who, uint32_t state);

int64_t probes_made(uint32_t arg, bool right);
int64_t bit_arrived(uint32_t arg, bool right);
int64_t data_is_secret(uint32_t arg, bool right);
int64_t helper_succeeded(uint32_t arg, bool right);
int64_t was_measured(uint32_t arg, bool right);
int64_t victim_counted(uint32_t arg, bool right);
void measure_slots(uint32_t arg, bool right);
void measure_apps(uint32_t arg, bool right);
void wake_when_waiting(uint32_t arg, bool right);

#define NOTICE_BIT (1ull << 40) /* of the judge's notification, above those of its children */
