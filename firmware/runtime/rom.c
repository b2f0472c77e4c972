/*
 * Import from the process's read-only image: finds a module in the ROMFS and hands it to the loader where it lies, so that
 * bytecode and strings are used in place. Called by MicroPython's import. The only source of code that there is.
 */
#include <string.h>

#include "extmod/vfs_rom.h"
#include "port.h"
#include "py/builtin.h"
#include "py/mperrno.h"
#include "py/objarray.h"
#include "py/reader.h"
#include "py/runtime.h"

static const char mount_point[] = "/rom";

MP_REGISTER_ROOT_POINTER(mp_obj_t rom_image);

void rom_mount(const uint8_t *romfs, size_t bytes) {
    mp_obj_t memory = mp_obj_new_memoryview('B', bytes, (void *)romfs);
    MP_STATE_VM(rom_image) = MP_OBJ_TYPE_GET_SLOT(&mp_type_vfs_rom, make_new)(&mp_type_vfs_rom, 1, 0, &memory);
    mp_sys_path = mp_obj_new_list(0, NULL);
    mp_obj_list_append(mp_sys_path, MP_OBJ_NEW_QSTR(MP_QSTR__slash_rom));
}

/* The path inside the image, or NULL for any other. */
static const char *inside(const char *path) {
    size_t prefix = sizeof mount_point - 1;
    bool ours = strncmp(path, mount_point, prefix) == 0 && (path[prefix] == '/' || path[prefix] == '\0');
    return ours && MP_STATE_VM(rom_image) != MP_OBJ_NULL ? path + prefix : NULL;
}

static mp_import_stat_t find(const char *path, size_t *bytes, const uint8_t **data) {
    const char *name = inside(path);
    if (name == NULL) return MP_IMPORT_STAT_NO_EXIST;
    return mp_vfs_rom_search_filesystem(MP_OBJ_TO_PTR(MP_STATE_VM(rom_image)), name, bytes, data);
}

mp_import_stat_t mp_import_stat(const char *path) { return find(path, NULL, NULL); }

void mp_reader_new_file(mp_reader_t *reader, qstr filename) {
    size_t bytes;
    const uint8_t *data;
    if (find(qstr_str(filename), &bytes, &data) != MP_IMPORT_STAT_FILE) mp_raise_OSError(MP_ENOENT);
    mp_reader_new_mem(reader, data, bytes, MP_READER_IS_ROM);
}
