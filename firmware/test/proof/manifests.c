/*
 * What a spawner can have the kernel believe of an app: nothing but what the sealed region's first page states, and of that nothing
 * that is out of range or outside the manifest. The spawner is the attacker: it has written the page itself.
 */
#include "app.h"
#include "effects.h"
#include "holder.h"

/* --- names --- */

/* The last four are bytes behind a name's end, or before its beginning. */
static const char ids[][34] = {
    "", "Proof", "a b", "a/b", "a_b", "app:a", "a\xe9", "pr\0of", "\0proof", "proof\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0x",
};

static uint64_t spawn_named(uint32_t number, bool right) {
    empty_region(CAP_REGION_0);
    uint8_t *page = state_app(CAP_REGION_0, "proof");
    if (page == 0) return UNLIKE;
    if (!right) memcpy(page + BUNDLE_AT_ID, ids[number], BUNDLE_AT_MAJOR - BUNDLE_AT_ID);
    return nexus_region_seal(CAP_REGION_0) == E_OK ? spawn_simple(CAP_SPAWN, CAP_REGION_0) : UNLIKE;
}

/* --- one field is wrong; the twin's are all right --- */

enum { LAST_ROW = BUNDLE_HEADER_BYTES + 3 * BUNDLE_ROW_BYTES + 1 + 2 + 3 }; /* behind three with reasons of 1, 2 and 3 bytes */

static const struct field {
    uint16_t at, bytes;
    uint32_t value;
} fields[] = {
    {BUNDLE_AT_MAGIC, 1, 'N'}, {BUNDLE_AT_MAGIC + 7, 1, 0},
    {BUNDLE_AT_FORMAT, 2, 0}, {BUNDLE_AT_FORMAT, 2, BUNDLE_FORMAT + 1}, {BUNDLE_AT_FORMAT, 2, BUNDLE_FORMAT | 0x100},
    {BUNDLE_AT_HEAP_PAGES, 2, 0}, {BUNDLE_AT_HEAP_PAGES, 2, LIMIT_APP_HEAP_PAGES + 1}, {BUNDLE_AT_HEAP_PAGES, 2, 0xffff},
    {BUNDLE_AT_CONTENTS_BYTES, 4, 0}, {BUNDLE_AT_CONTENTS_BYTES, 4, REGION_BYTES - PAGE + 1}, {BUNDLE_AT_CONTENTS_BYTES, 4, REGION_BYTES},
    {BUNDLE_AT_CONTENTS_BYTES, 4, 0xfffff000}, {BUNDLE_AT_CONTENTS_BYTES, 4, 0xffffffff},
    {BUNDLE_AT_MANIFEST_BYTES, 2, 0}, {BUNDLE_AT_MANIFEST_BYTES, 2, BUNDLE_HEADER_BYTES}, {BUNDLE_AT_MANIFEST_BYTES, 2, PAGE},
    {BUNDLE_AT_MANIFEST_BYTES, 2, 0xffff},
    {BUNDLE_AT_ACTIONS, 2, 3}, {BUNDLE_AT_ACTIONS, 2, 5}, {BUNDLE_AT_ACTIONS, 2, BUNDLE_ACTIONS + 1}, {BUNDLE_AT_ACTIONS, 2, 0xffff},
    {BUNDLE_HEADER_BYTES, 2, 0}, {BUNDLE_HEADER_BYTES, 2, 3}, {BUNDLE_HEADER_BYTES, 2, 5}, {LAST_ROW, 2, POLICY_LIMIT_ACTIONS},
    {LAST_ROW, 2, 0x8006}, {LAST_ROW + 2, 1, 5}, {LAST_ROW + 2, 1, 0xff},
};
enum field_number {
    MAGIC_FIRST, MAGIC_LAST, FORMAT_NONE, FORMAT_NEXT, FORMAT_HIGH, HEAP_NONE, HEAP_BIG, HEAP_HUGE, CONTENTS_NONE, CONTENTS_BEYOND,
    CONTENTS_WHOLE, CONTENTS_WRAP, CONTENTS_HUGE, LENGTH_NONE, LENGTH_SHORT, LENGTH_PAGE, LENGTH_HUGE, ROWS_LEFT, ROWS_MISSING, ROWS_MANY,
    ROWS_HUGE, ACTION_NONE, ACTION_TWICE, ACTION_ORDER, ACTION_BIG, ACTION_HUGE, REASON_BEYOND, REASON_HUGE, FIELDS
};
_Static_assert(COUNT(fields) == FIELDS, "a row for each field");

static uint64_t spawn_stated(uint32_t number, bool right) {
    const struct field *f = &fields[number];
    empty_region(CAP_REGION_0);
    uint8_t *page = state_app(CAP_REGION_0, "proof");
    if (page == 0) return UNLIKE;
    if (!right) put_field(page, f->at, f->value, f->bytes);
    return nexus_region_seal(CAP_REGION_0) == E_OK ? spawn_simple(CAP_SPAWN, CAP_REGION_0) : UNLIKE;
}

/* A region that was sealed as it came. */
static uint64_t spawn_blank(uint32_t arg, bool right) {
    (void)arg;
    empty_region(CAP_REGION_0);
    if (right && state_app(CAP_REGION_0, "proof") == 0) return UNLIKE;
    return nexus_region_seal(CAP_REGION_0) == E_OK ? spawn_simple(CAP_SPAWN, CAP_REGION_0) : UNLIKE;
}

/* --- the request --- */

enum ask { STACK_NONE, STACK_BIG, SHARE_NONE, SHARE_BIG, UNUSED_SET };

static uint64_t spawn_asking(uint32_t which, bool right) {
    struct spawn_request request = app_request();
    uint64_t handle, region = app_region();
    if (!right) {
        switch ((enum ask)which) {
        case STACK_NONE: request.stack_pages = 0; break;
        case STACK_BIG: request.stack_pages = LIMIT_APP_STACK_PAGES + 1; break;
        case SHARE_NONE: request.share = 0; break;
        case SHARE_BIG: request.share = LIMIT_APP_SHARE + 1; break;
        case UNUSED_SET: request.unused = 1; break;
        }
    }
    return nexus_spawn(CAP_SPAWN, region, &request, &handle);
}

#define CASE(title, function, number) \
    {.name = "manifest." title, .attack = function, .arg = number, .who = WHO_HOLDER, .at_done = measure_apps, .effect = was_measured}
#define NAME(title, number) CASE("name_" title, spawn_named, number)
#define STATES(title, number) CASE(title, spawn_stated, number)
#define ASKS(title, number) CASE(title, spawn_asking, number)
static const struct proof_case cases[] = {
    NAME("empty", 0), NAME("capital", 1), NAME("space", 2), NAME("slash", 3), NAME("underscore", 4), NAME("colon", 5), NAME("high_byte", 6),
    NAME("with_nul", 7), NAME("after_nul", 8), NAME("goes_on_later", 9),
    STATES("magic_first", MAGIC_FIRST), STATES("magic_last", MAGIC_LAST), STATES("format_none", FORMAT_NONE), STATES("format_next", FORMAT_NEXT),
    STATES("format_high", FORMAT_HIGH), STATES("heap_none", HEAP_NONE), STATES("heap_big", HEAP_BIG), STATES("heap_huge", HEAP_HUGE),
    STATES("contents_none", CONTENTS_NONE), STATES("contents_beyond", CONTENTS_BEYOND), STATES("contents_whole", CONTENTS_WHOLE),
    STATES("contents_wraps", CONTENTS_WRAP), STATES("contents_huge", CONTENTS_HUGE), STATES("length_none", LENGTH_NONE),
    STATES("length_short", LENGTH_SHORT), STATES("length_page", LENGTH_PAGE), STATES("length_huge", LENGTH_HUGE), STATES("rows_left", ROWS_LEFT),
    STATES("rows_missing", ROWS_MISSING), STATES("rows_many", ROWS_MANY), STATES("rows_huge", ROWS_HUGE), STATES("action_none", ACTION_NONE),
    STATES("action_twice", ACTION_TWICE), STATES("action_order", ACTION_ORDER), STATES("action_big", ACTION_BIG),
    STATES("action_huge", ACTION_HUGE), STATES("reason_beyond", REASON_BEYOND), STATES("reason_huge", REASON_HUGE), CASE("blank", spawn_blank, 0),
    ASKS("stack_none", STACK_NONE), ASKS("stack_big", STACK_BIG), ASKS("share_none", SHARE_NONE), ASKS("share_big", SHARE_BIG),
    ASKS("unused_set", UNUSED_SET),
};
const struct proof_group manifest_group = {cases, COUNT(cases)};
