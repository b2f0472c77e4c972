/* Effects that several groups of cases look at: tables, regions, the judge's own counts, the servers' reports. In the judge. */
#include "effects.h"

#include "judge.h"

int64_t slots_gained(void) { return (int64_t)seen.at_done.slots - seen.at_ask.slots; }

static uint64_t map(uint64_t region, bool write, void **address) {
    size_t bytes;
    uint64_t status;
    do status = nexus_region_map(region, write, address, &bytes);
    while (status == E_AGAIN);
    return status;
}

int64_t can_write(uint64_t region) {
    void *address;
    bool can = map(region, true, &address) == E_OK;
    if (can) (void)nexus_region_unmap(region);
    return can;
}

/* The first word; all ones if it can't be read. */
uint64_t region_value(uint64_t region) {
    void *address;
    if (map(region, false, &address) != E_OK) return ~0ull;
    uint64_t value = *(volatile uint64_t *)address;
    (void)nexus_region_unmap(region);
    return value;
}

void fill_region(uint64_t region, uint64_t value) {
    void *address;
    if (map(region, true, &address) != E_OK) return;
    *(volatile uint64_t *)address = value;
    (void)nexus_region_unmap(region);
}

int64_t is_dead(uint64_t handle) {
    uint32_t type, rights;
    uint64_t badge;
    return nexus_cap_info(handle, &type, &rights, &badge) == E_BAD_HANDLE;
}

bool waits_in(enum who who, uint32_t state) { return status_of(who).state == state; }

int64_t probes_made(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return seen.probes;
}

int64_t bit_arrived(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return seen.bits == NOTICE_BIT;
}

int64_t data_is_secret(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return seen.data == secret;
}

/* As a badge in the judge's own table, behind all that it had at boot, until the effect is looked at. */
static uint64_t planted;

void plant_secret(uint32_t arg, bool right) {
    (void)arg, (void)right;
    if (nexus_cap_mint(CAP_ENDPOINT, secret, RIGHT_CALL, &planted) != E_OK) planted = 0;
}

int64_t planted_was_told(uint32_t arg, bool right) {
    (void)nexus_cap_drop(planted);
    return secret_or_nothing(arg, right);
}

int64_t secret_or_nothing(uint32_t arg, bool right) { return data_is_secret(arg, right) ? 1 : seen.data == 0 ? 0 : -1; }

int64_t helper_succeeded(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return seen.helper_end.fault == FAULT_EXIT && seen.helper_end.value == E_OK;
}

int64_t was_measured(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return seen.measured;
}

int64_t victim_counted(uint32_t arg, bool right) {
    (void)arg, (void)right;
    return victim_report().count;
}

void measure_slots(uint32_t arg, bool right) {
    (void)arg, (void)right;
    seen.measured = slots_gained();
}

void measure_apps(uint32_t arg, bool right) {
    (void)arg, (void)right;
    seen.measured = live_apps();
}

/* The kernel says that the attacker waits for its notification: only then is there something to wake. */
void wake_when_waiting(uint32_t arg, bool right) {
    (void)arg, (void)right;
    if (!waits_in(WHO_ATTACKER, STATE_WAITING) || seen.kept_count == 0) return;
    seen.measured = 1;
    (void)judge_notify(seen.kept[0]);
}
