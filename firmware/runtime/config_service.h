/*
 * The interpreter of services and apps: no compiler, no file system, no clock but kernel.time, no device, no source of chance.
 * Included by mpconfigport.h.
 */
#define MICROPY_CONFIG_ROM_LEVEL (MICROPY_CONFIG_ROM_LEVEL_CORE_FEATURES)

/* ---- Code comes from the ROMFS, in place (rom.c). There is no file system besides it. ---- */
#define MICROPY_ENABLE_COMPILER         (0)
#define MICROPY_VFS                     (0)
#define MICROPY_PY_VFS                  (0)
#define MICROPY_PY___FILE__             (0)

/* ---- Memory and speed ---- */
#define MICROPY_ENABLE_PYSTACK          (1) /* frames of Python functions take no heap: calls allocate nothing */
#define MICROPY_STACK_CHECK             (1)
#define MICROPY_STACK_CHECK_MARGIN      (5120) /* what C below the last check may take; tests/os/test_runtime.py tries the deepest */
#define MICROPY_OPT_COMPUTED_GOTO       (1)
#define MICROPY_OPT_LOAD_ATTR_FAST_PATH (1)
#define MICROPY_OPT_MAP_LOOKUP_CACHE    (1)
#define MICROPY_OPT_MAP_LOOKUP_CACHE_SIZE (512)
#define MICROPY_OPT_MPZ_BITWISE         (1)
#define MICROPY_USE_INTERNAL_ERRNO      (1)
#define MICROPY_ALLOC_PATH_MAX          (128)
#define MICROPY_LOADED_MODULES_DICT_SIZE (16)
#define MICROPY_EMERGENCY_EXCEPTION_BUF_SIZE (256)

/* ---- The language, as service authors expect it ---- */
#define MICROPY_FLOAT_IMPL              (MICROPY_FLOAT_IMPL_DOUBLE)
#define MICROPY_ERROR_REPORTING         (MICROPY_ERROR_REPORTING_NORMAL)
#define MICROPY_ENABLE_SOURCE_LINE      (1)
#define MICROPY_PY_BUILTINS_MEMORYVIEW  (1)
#define MICROPY_PY_BUILTINS_BYTES_HEX   (1)
#define MICROPY_PY_BUILTINS_STR_UNICODE (1)
#define MICROPY_PY_BUILTINS_STR_PARTITION (1)
#define MICROPY_PY_BUILTINS_FROZENSET   (1)
#define MICROPY_PY_BUILTINS_ROUND_INT   (1)
#define MICROPY_PY_BUILTINS_SLICE_ATTRS (1)
#define MICROPY_PY_BUILTINS_NOTIMPLEMENTED (1)
#define MICROPY_PY_ALL_SPECIAL_METHODS  (1)
#define MICROPY_PY_REVERSE_SPECIAL_METHODS (1)
#define MICROPY_PY_FUNCTION_ATTRS       (1)
#define MICROPY_PY_ARRAY_SLICE_ASSIGN   (1)
#define MICROPY_PY_COLLECTIONS_DEQUE    (1)
#define MICROPY_PY_COLLECTIONS_ORDEREDDICT (1)
#define MICROPY_PY_BINASCII             (1)
#define MICROPY_PY_ERRNO                (1)
#define MICROPY_PY_MICROPYTHON_MEM_INFO (1)
#define MICROPY_PY_MICROPYTHON_HEAP_LOCKED (1)
#define MICROPY_PY_SYS_MAXSIZE          (1)

/* ---- What it does not have ---- */
#define MICROPY_PY_BUILTINS_COMPLEX     (0)
#define MICROPY_PY_BUILTINS_EXECFILE    (0)
#define MICROPY_PY_BUILTINS_INPUT       (0)
#define MICROPY_PY_DEFLATE              (0)
#define MICROPY_PY_FRAMEBUF             (0)
#define MICROPY_PY_HASHLIB              (0) /* module crypto */
#define MICROPY_PY_HEAPQ                (0)
#define MICROPY_PY_IO                   (0)
#define MICROPY_PY_JSON                 (0)
#define MICROPY_PY_MATH                 (0)
#define MICROPY_PY_OS                   (0)
#define MICROPY_PY_PLATFORM             (0)
#define MICROPY_PY_RANDOM               (0)
#define MICROPY_PY_RE                   (0)
#define MICROPY_PY_SELECT               (0)
#define MICROPY_PY_SYS_ARGV             (0)
#define MICROPY_PY_SYS_STDFILES         (0)
#define MICROPY_PY_TIME                 (0)
#define MICROPY_PY_UCTYPES              (0)
#define MICROPY_ENABLE_FINALISER        (0)
#define MICROPY_ENABLE_SCHEDULER        (0)
#define MICROPY_KBD_EXCEPTION           (0)
