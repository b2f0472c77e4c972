/*
 * What the kernel takes an app to be: only what the sealed region's first page states, only if all of it is in range and inside the
 * manifest, and copied, so that the region may say something else later.
 */
#include "bundle.h"

/* Nothing is made, and nothing is spent. */
static void check_refused(uint32_t expected) {
    uint32_t frames = frame_free_count(), tables = map_tables_left(), slots = used_slots(), refs = regions[WORK_REGION].refs;
    CHECK_EQ(spawn(good_request()), expected);
    CHECK(frames == frame_free_count() && tables == map_tables_left() && slots == used_slots() && refs == regions[WORK_REGION].refs);
    CHECK_EQ(proc(APP)->state, STATE_EMPTY);
}

CASE(an_app_is_what_its_region_states) {
    staged();
    uint64_t handle = spawned("probe");
    struct process *app = proc(APP);
    CHECK(app->state == STATE_SUSPENDED && app->kind == KIND_APP && app->rank == 0 && app->supervisor == MIDDLE);
    CHECK_EQ(app->mask, MASK);
    CHECK_EQ(app->publisher, PUBLISHER);
    CHECK_EQ(app->service_id, 0x667cc3250fcfa84c); /* FNV-1a-64 of "app:probe" */
    CHECK_EQ(app->row->heap_pages, HEAP);
    CHECK_EQ(steps(handle, SUP_RESUME), E_OK);
    check_frames();
    CHECK_EQ(reg(app, 0), VA_ROMFS);
    CHECK_EQ(reg(app, 1), CONTENTS);
    CHECK_EQ(reg(app, 3), HEAP * PAGE_BYTES);
    CHECK_EQ(user(app, VA_ROMFS)[0], 0x3c);
    CHECK(map_find(app, VA_ROMFS, IMAGE_W) == 0);
    CHECK(map_find(app, VA_ROMFS + 2 * PAGE_BYTES, IMAGE_R) == 0);
}

CASE(an_entry_is_stated_whole_and_to_nobody_else) {
    uint8_t *page = staged();
    memset(page + BUNDLE_AT_ENTRY, 'e', IPC_ENTRY_BYTES);
    CHECK_EQ(spawn(good_request()), E_OK);
    memset(page + BUNDLE_AT_ENTRY, 'x', IPC_ENTRY_BYTES);
    CHECK_EQ(steps(reg(proc(MIDDLE), 1), SUP_RESUME), E_OK);
    for (uint32_t i = 0; i < IPC_ENTRY_BYTES; i++) CHECK_EQ(proc(APP)->ipc[IPC_ENTRY + i], 'e');
    for (uint32_t i = IPC_ENTRY + IPC_ENTRY_BYTES; i < PAGE_BYTES; i++) CHECK_EQ(proc(APP)->ipc[i], 0);
    for (uint32_t i = 0; i < IPC_ENTRY_BYTES; i++) CHECK_EQ(proc(CLIENT)->ipc[IPC_ENTRY + i], 0);
    CHECK_EQ(steps(spawned("second"), SUP_RESUME), E_OK);
    CHECK_EQ(strcmp((const char *)proc(APP + 1)->ipc + IPC_ENTRY, ENTRY), 0);
    CHECK_EQ(proc(APP + 1)->ipc[IPC_ENTRY + IPC_ENTRY_BYTES - 1], 0);
}

/* What somebody could do to the page later is not the app's any more. */
CASE(what_was_stated_is_copied) {
    uint8_t *page = staged();
    uint64_t handle = spawned("probe");
    good_manifest(page, "another-name");
    put(page, BUNDLE_AT_KEY_ID, 1, 8);
    put_rows(page, (const struct row[]){{9, 1}}, 1);
    CHECK_EQ(steps(handle, SUP_RESUME), E_OK);
    CHECK_EQ(strcmp(process_label(proc(APP)), "app:probe"), 0);
    CHECK_EQ(call(proc(APP), HANDLE_BOOT + 2), BLOCKED);
    CHECK_EQ(receive(proc(SERVER), 0), E_OK);
    CHECK_EQ(word_of(proc(SERVER), IPC_SENDER_MASK), MASK);
    CHECK_EQ(word_of(proc(SERVER), IPC_SENDER_PUBLISHER), PUBLISHER);
}

CASE(another_magic_is_no_app) {
    uint8_t *page = staged();
    for (uint32_t i = 0; i < sizeof BUNDLE_MAGIC - 1; i++) {
        page[BUNDLE_AT_MAGIC + i] ^= 1;
        check_refused(E_BAD_ARGUMENT);
        page[BUNDLE_AT_MAGIC + i] ^= 1;
    }
    memset(page, 0, PAGE_BYTES); /* sealed, and never written */
    check_refused(E_BAD_ARGUMENT);
    spawned("probe");
}

CASE(another_format_is_no_app) {
    uint8_t *page = staged();
    static const uint32_t formats[] = {0, BUNDLE_FORMAT + 1, BUNDLE_FORMAT | 0x100, 0xffff};
    for (uint32_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        put(page, BUNDLE_AT_FORMAT, formats[i], 2);
        check_refused(E_BAD_ARGUMENT);
    }
}

CASE(a_wrong_name_is_no_app) {
    uint8_t *page = staged();
    static const char *const names[] = {"", "Probe", "a b", "a_b", "a\xe9", "a:b", "a/b", "a\n", "-\x7f", "`", "{", "@"};
    for (uint32_t i = 0; i < sizeof names / sizeof *names; i++) {
        put_name(page, names[i]);
        check_refused(E_BAD_ARGUMENT);
    }
    for (uint32_t i = 6; i < BUNDLE_AT_MAJOR - BUNDLE_AT_ID; i++) { /* something behind the first zero */
        put_name(page, "probe");
        page[BUNDLE_AT_ID + i] = 'x';
        check_refused(E_BAD_ARGUMENT);
    }
    put_name(page, "");
    page[BUNDLE_AT_ID + 1] = 'x';
    check_refused(E_BAD_ARGUMENT);
}

CASE(a_name_fills_its_field_and_no_more) {
    uint8_t *page = staged();
    put_name(page, "az09.-0123456789abcdefghijklmnop");
    page[BUNDLE_AT_MAJOR] = 'q'; /* the next field, which is not its end */
    CHECK_EQ(spawn(good_request()), E_OK);
    CHECK_EQ(strcmp(process_label(proc(APP)), "app:az09.-0123456789abcdefghijklmnop"), 0);
}

CASE(sizes_out_of_range_are_no_app) {
    uint8_t *page = staged();
    static const uint32_t heaps[] = {0, LIMIT_APP_HEAP_PAGES + 1, 0x8001, 0xffff};
    for (uint32_t i = 0; i < sizeof heaps / sizeof *heaps; i++) {
        put(page, BUNDLE_AT_HEAP_PAGES, heaps[i], 2);
        check_refused(E_BAD_ARGUMENT);
    }
    good_manifest(page, "probe");
    static const uint32_t contents[] = {0, (WORK_PAGES - 1) * PAGE_BYTES + 1, WORK_PAGES * PAGE_BYTES, 0x80000001, 0xfffff000, 0xffffffff};
    for (uint32_t i = 0; i < sizeof contents / sizeof *contents; i++) {
        put(page, BUNDLE_AT_CONTENTS_BYTES, contents[i], 4);
        check_refused(E_BAD_ARGUMENT);
    }
    put(page, BUNDLE_AT_CONTENTS_BYTES, (WORK_PAGES - 1) * PAGE_BYTES, 4);
    CHECK_EQ(spawn(good_request()), E_OK);
}

CASE(a_region_of_one_page_has_no_room_for_contents) {
    staged();
    put(regions[WORK_REGION].base, BUNDLE_AT_CONTENTS_BYTES, 1, 4);
    regions[WORK_REGION].pages = 1;
    check_refused(E_BAD_ARGUMENT);
    regions[WORK_REGION].pages = 2;
    CHECK_EQ(spawn(good_request()), E_OK);
    regions[WORK_REGION].pages = WORK_PAGES;
}

CASE(contents_beyond_the_limit_are_no_app_in_the_largest_region) {
    staged();
    regions[WORK_REGION].pages = LIMIT_APP_ROMFS_PAGES + 2; /* only counted with, as the request is refused */
    put(regions[WORK_REGION].base, BUNDLE_AT_CONTENTS_BYTES, LIMIT_APP_ROMFS_PAGES * PAGE_BYTES + 1, 4);
    check_refused(E_BAD_ARGUMENT);
    regions[WORK_REGION].pages = WORK_PAGES;
}

/* --- rows --- */

CASE(a_mask_has_the_bit_of_each_row_and_no_other) {
    uint8_t *page = staged();
    put_rows(page, 0, 0);
    CHECK_EQ(spawn(good_request()), E_OK);
    CHECK_EQ(proc(APP)->mask, 0);
    static const struct row ends[] = {{1, 1}, {POLICY_LIMIT_ACTIONS - 1, 1}};
    good_manifest(page, "second");
    put_rows(page, ends, 2);
    CHECK_EQ(spawn(good_request()), E_OK);
    CHECK_EQ(proc(APP + 1)->mask, 2 | 1ull << (POLICY_LIMIT_ACTIONS - 1));
    struct row most[BUNDLE_ACTIONS];
    for (uint32_t i = 0; i < BUNDLE_ACTIONS; i++) most[i] = (struct row){(uint16_t)(i + 3), BUNDLE_REASON_BYTES};
    good_manifest(page, "third");
    put_rows(page, most, BUNDLE_ACTIONS);
    CHECK_EQ(spawn(good_request()), E_OK);
    CHECK_EQ(proc(APP + 2)->mask, ((1ull << BUNDLE_ACTIONS) - 1) << 3);
}

CASE(an_action_out_of_range_is_no_app) {
    uint8_t *page = staged();
    static const uint16_t actions[] = {0, POLICY_LIMIT_ACTIONS, 63, 64, 65, 0x101, 0x8001, 0xffff};
    for (uint32_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        put_rows(page, (const struct row[]){{actions[i], 5}}, 1);
        check_refused(E_BAD_ARGUMENT);
    }
}

CASE(rows_out_of_order_are_no_app) {
    uint8_t *page = staged();
    put_rows(page, (const struct row[]){{6, 1}, {6, 1}}, 2);
    check_refused(E_BAD_ARGUMENT);
    put_rows(page, (const struct row[]){{1, 1}, {6, 1}, {5, 1}}, 3);
    check_refused(E_BAD_ARGUMENT);
}

CASE(more_rows_than_a_manifest_has_are_no_app) {
    uint8_t *page = staged();
    struct row rows[BUNDLE_ACTIONS + 1];
    for (uint32_t i = 0; i <= BUNDLE_ACTIONS; i++) rows[i] = (struct row){(uint16_t)(i + 1), 1};
    put_rows(page, rows, BUNDLE_ACTIONS + 1);
    check_refused(E_BAD_ARGUMENT);
    put_rows(page, rows, BUNDLE_ACTIONS);
    CHECK_EQ(spawn(good_request()), E_OK);
}

/* The bytes behind the manifest could be anybody's: a signature, or what was left there. */
CASE(a_row_beyond_the_manifest_is_no_app) {
    uint8_t *page = staged();
    static const struct row rows[] = {{1, 1}, {6, 8}};
    uint32_t end = put_rows(page, rows, 2);
    for (uint32_t less = 1; less <= end; less++) {
        put(page, BUNDLE_AT_MANIFEST_BYTES, end - less, 2);
        check_refused(E_BAD_ARGUMENT);
    }
    static const uint32_t longer[] = {1, 2, 3, 60, 1000, 0x2000};
    for (uint32_t i = 0; i < sizeof longer / sizeof *longer; i++) {
        put(page, BUNDLE_AT_MANIFEST_BYTES, end + longer[i], 2);
        check_refused(E_BAD_ARGUMENT);
    }
    put(page, BUNDLE_AT_MANIFEST_BYTES, 0xffff, 2);
    check_refused(E_BAD_ARGUMENT);
    put(page, BUNDLE_AT_MANIFEST_BYTES, end, 2);
    page[BUNDLE_HEADER_BYTES + BUNDLE_ROW_BYTES - 1] = 0xff; /* the first row's reason goes on behind the end */
    check_refused(E_BAD_ARGUMENT);
}

CASE(a_manifest_with_rows_left_over_is_no_app) {
    uint8_t *page = staged();
    put_rows(page, (const struct row[]){{1, 1}, {6, 8}}, 2);
    put(page, BUNDLE_AT_ACTIONS, 1, 2);
    check_refused(E_BAD_ARGUMENT);
    put(page, BUNDLE_AT_ACTIONS, 0, 2);
    check_refused(E_BAD_ARGUMENT);
    put(page, BUNDLE_AT_ACTIONS, 3, 2);
    check_refused(E_BAD_ARGUMENT);
}

/* Whatever lies in the page, the kernel reads nothing beyond the manifest's bounds and makes no app of it by accident. */
CASE(random_pages_make_only_what_they_state) {
    uint8_t *page = staged();
    uint64_t state = 88172645463325252ull;
    for (uint32_t turn = 0; turn < 20000; turn++) {
        good_manifest(page, "probe");
        for (uint32_t n = 0; n < 1 + turn % 3; n++) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            page[(state >> 8) % (BUNDLE_HEADER_BYTES + 130)] = (uint8_t)(state >> 40);
        }
        struct manifest m;
        if (manifest_read(&regions[WORK_REGION], &m) != E_OK) continue;
        CHECK(m.heap_pages >= 1 && m.heap_pages <= LIMIT_APP_HEAP_PAGES && (m.mask >> POLICY_LIMIT_ACTIONS) == 0 && !(m.mask & 1));
        CHECK(m.contents_bytes >= 1 && m.contents_bytes <= (WORK_PAGES - 1) * PAGE_BYTES && strlen(m.name) > 4 && strlen(m.name) <= 36);
    }
}
