/*
 * The cases whose attacker is a MicroPython process (guest/test/attacker): it finds the attack by the case's name. Here is only
 * what the judge does for them.
 */
#include "client.h"
#include "effects.h"
#include "help.h"

enum { TURNS = 5, LONG_ENOUGH = 20 * MS };

static void give_readable(uint32_t arg, bool right) {
    (void)arg;
    give_region(0, right ? RIGHT_MAP_R | RIGHT_MAP_W : RIGHT_MAP_R);
}

static void give_all(uint32_t arg, bool right) {
    (void)arg, (void)right;
    give_region(0, RIGHT_MAP_R | RIGHT_MAP_W);
}

static void measure_token(uint32_t arg, bool right) {
    (void)arg, (void)right;
    seen.measured = region_value(judge_region(0)) == seen.token;
}

/* Somebody of its own rank who wants a little, again and again. */
static uint64_t help_turns(uint32_t arg, bool right) {
    (void)arg, (void)right;
    for (uint32_t i = 0; i < TURNS; i++) {
        pause_for(MS);
        if (probe(i) != E_OK) return E_STATE;
    }
    return E_OK;
}

static void kill_after_turns(uint32_t arg, bool right) {
    (void)arg;
    if (!right && seen.asked && waits_in(WHO_EQUAL, STATE_STOPPED) && nexus_time() > seen.begun + LONG_ENOUGH) (void)kill(WHO_PYTHON);
}

/* The helper has had its turns; the twin came to its end besides. */
static int64_t turns_had(uint32_t arg, bool right) {
    bool had = helper_succeeded(arg, right) && seen.probes == TURNS;
    return right ? had && seen.done : had ? 0 : -1;
}

#define PROBING(title) {.name = "python." title, .who = WHO_PYTHON, .effect = probes_made}
#define VIEW(title, giving) {.name = "python." title, .who = WHO_PYTHON, .arrange = giving, .at_done = measure_token, .effect = was_measured}
static const struct proof_case cases[] = {
    PROBING("handle"), PROBING("handle_negative"), PROBING("handle_huge"), PROBING("handle_text"), PROBING("length"), PROBING("length_negative"),
    PROBING("length_spills"), PROBING("caps_five"), PROBING("deadline_past"), PROBING("buffer_index"), PROBING("buffer_slice"),
    PROBING("cap_index"), PROBING("cap_negative"), PROBING("grant_index"),
    {.name = "python.mint_recv", .who = WHO_PYTHON, .at_done = measure_slots, .effect = was_measured},
    VIEW("view_readonly", give_readable), VIEW("view_beyond", give_all), VIEW("view_unmapped", give_all), VIEW("view_sealed", give_all),
    PROBING("device_read"), PROBING("device_beyond"),
    {.name = "python.console_long", .who = WHO_PYTHON}, {.name = "python.console_forged", .who = WHO_PYTHON},
    PROBING("memory_at_once"), PROBING("memory_slowly"), PROBING("recursion"), PROBING("module_uctypes"), PROBING("module_machine"),
    PROBING("builtin_eval"), PROBING("builtin_exec"), PROBING("builtin_compile"),
    {.name = "python.spin", .who = WHO_PYTHON, .helper = WHO_EQUAL, .help = help_turns, .poll = kill_after_turns, .effect = turns_had},
};
const struct proof_group python_group = {cases, COUNT(cases)};
