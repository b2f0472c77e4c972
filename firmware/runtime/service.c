/*
 * The life of a service or an app: heap, ROMFS, first import, exit. Called by main.c. An app's ROMFS and entry are its publisher's:
 * whatever is wrong with them ends this process and nothing else.
 */
#include <string.h>

#include "nexus.h"
#include "port.h"
#include "py/builtin.h"
#include "py/gc.h"
#include "py/pystack.h"
#include "py/runtime.h"

enum {
    FRAME_BYTES = 12288, /* for frames of Python functions, of some 200 bytes each; full: RuntimeError */
};

static uint64_t frames[FRAME_BYTES / sizeof(uint64_t)];

/* [a-z][a-z0-9_]*, and nothing but zeros behind it. */
static bool good_entry(const char *entry, size_t bytes) {
    if (!(entry[0] >= 'a' && entry[0] <= 'z')) return false;
    for (size_t i = 0; i < bytes; i++) {
        bool good = (entry[i] >= 'a' && entry[i] <= 'z') || (entry[i] >= '0' && entry[i] <= '9') || entry[i] == '_';
        if (!good) return false;
    }
    for (size_t i = bytes; i < IPC_ENTRY_BYTES; i++)
        if (entry[i] != 0) return false;
    return true;
}

/* What the kernel states that an app begins with; main where it states nothing. MP_QSTRnull: no module can have that name. */
static qstr first_module(void) {
    static const char nothing[IPC_ENTRY_BYTES];
    if (memcmp(NEXUS_ENTRY, nothing, IPC_ENTRY_BYTES) == 0) return MP_QSTR_main;
    size_t bytes = strnlen(NEXUS_ENTRY, IPC_ENTRY_BYTES);
    return good_entry(NEXUS_ENTRY, bytes) ? qstr_from_strn(NEXUS_ENTRY, bytes) : MP_QSTRnull;
}

int runtime_life(const struct memory *memory) {
    mp_pystack_init(frames, frames + MP_ARRAY_SIZE(frames));
    gc_init(memory->heap, (uint8_t *)memory->heap + memory->heap_bytes);
    mp_init();
    nlr_buf_t nlr;
    if (nlr_push(&nlr) != 0) return uncaught_status(nlr.ret_val);
    rom_mount(memory->romfs, memory->romfs_bytes);
    qstr first = first_module();
    if (first != MP_QSTRnull) mp_import_name(first, mp_const_none, MP_OBJ_NEW_SMALL_INT(0));
    nlr_pop();
    return first == MP_QSTRnull ? EXIT_STATUS_BROKEN : EXIT_STATUS_OK;
}
