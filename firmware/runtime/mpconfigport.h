/*
 * What the interpreter can do, for its two builds: NEXUS_SHELL 0 (service: runs what the image holds and nothing else) and
 * 1 (shell: with compiler and all that a prompt needs). Read by every MicroPython file. A feature left out of the service
 * is left out of its ELF, which tests/unit/test_runtime.py proves by symbols.
 */
#include <alloca.h>
#include <stddef.h>
#include <stdint.h>

#if NEXUS_SHELL
#define MICROPY_CONFIG_ROM_LEVEL (MICROPY_CONFIG_ROM_LEVEL_EXTRA_FEATURES)
#else
#define MICROPY_CONFIG_ROM_LEVEL (MICROPY_CONFIG_ROM_LEVEL_CORE_FEATURES)
#endif

/* ---- Code comes from the ROMFS, in place (rom.c). There is no file system besides it. ---- */
#define MICROPY_ENABLE_COMPILER         (NEXUS_SHELL)
#define MICROPY_PERSISTENT_CODE_LOAD    (1)
#define MICROPY_READER_VFS              (1) /* "there is a file reader": ours */
#define MICROPY_VFS                     (0)
#define MICROPY_VFS_ROM                 (1)
#define MICROPY_VFS_ROM_IOCTL           (0)
#define MICROPY_PY_VFS                  (0)
#define MICROPY_PY___FILE__             (0)

/* ---- Memory and speed ---- */
#define MICROPY_ENABLE_GC               (1)
#define MICROPY_ENABLE_PYSTACK          (1) /* frames of Python functions take no heap: calls allocate nothing */
#define MICROPY_STACK_CHECK             (1)
#define MICROPY_STACK_CHECK_MARGIN      (5120) /* what C below the last check may take; tests/os/test_runtime.py tries the deepest */
#define MICROPY_OPT_COMPUTED_GOTO       (1)
#define MICROPY_OPT_LOAD_ATTR_FAST_PATH (1)
#define MICROPY_OPT_MAP_LOOKUP_CACHE    (1)
#define MICROPY_OPT_MAP_LOOKUP_CACHE_SIZE (512)
#define MICROPY_OPT_MPZ_BITWISE         (1)
#define MICROPY_USE_INTERNAL_ERRNO      (1)
#define MICROPY_USE_INTERNAL_PRINTF     (0)
#define MICROPY_ALLOC_PATH_MAX          (128)
#define MICROPY_LOADED_MODULES_DICT_SIZE (16)
#define MICROPY_ENABLE_EMERGENCY_EXCEPTION_BUF (1)
#define MICROPY_EMERGENCY_EXCEPTION_BUF_SIZE (256)

/* ---- The language, as service authors expect it ---- */
#define MICROPY_LONGINT_IMPL            (MICROPY_LONGINT_IMPL_MPZ)
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

/* ---- What neither build has: no operating system, no files to write, no clock but kernel.time ---- */
#define MICROPY_PY_OS                   (0)
#define MICROPY_PY_TIME                 (0)
#define MICROPY_PY_PLATFORM             (0)
#define MICROPY_PY_SELECT               (0)
#define MICROPY_PY_ASYNCIO              (0)
#define MICROPY_PY_FRAMEBUF             (0)
#define MICROPY_PY_HASHLIB              (0) /* module crypto */
#define MICROPY_PY_DEFLATE              (0)
#define MICROPY_PY_SYS_STDFILES         (0)
#define MICROPY_PY_SYS_ARGV             (0)
#define MICROPY_PY_BUILTINS_INPUT       (0)
#define MICROPY_PY_BUILTINS_EXECFILE    (0)
#define MICROPY_ENABLE_SCHEDULER        (0)
#define MICROPY_ENABLE_FINALISER        (0)
#define MICROPY_KBD_EXCEPTION           (NEXUS_SHELL)

/* ---- What only the shell has ---- */
#define MICROPY_PY_IO                   (NEXUS_SHELL)
#define MICROPY_PY_MATH                 (NEXUS_SHELL)
#define MICROPY_PY_BUILTINS_COMPLEX     (NEXUS_SHELL)
#define MICROPY_PY_RANDOM               (NEXUS_SHELL)
#define MICROPY_PY_UCTYPES              (NEXUS_SHELL)
#define MICROPY_PY_JSON                 (NEXUS_SHELL)
#define MICROPY_PY_RE                   (NEXUS_SHELL)
#define MICROPY_PY_HEAPQ                (NEXUS_SHELL)
#if NEXUS_SHELL
#define MICROPY_HELPER_REPL             (1)
#define MICROPY_REPL_AUTO_INDENT        (1)
#define MICROPY_PY_RANDOM_SEED_INIT_FUNC (0) /* a known sequence: entropy comes from rngd only */
#endif

#define MICROPY_HW_BOARD_NAME           "nexus"
#define MICROPY_HW_MCU_NAME             "rv64imac"
#define MICROPY_PY_SYS_PLATFORM         "nexus"

/* ---- RV64, little-endian ---- */
typedef int64_t mp_int_t;
typedef uint64_t mp_uint_t;
typedef long mp_off_t;
#define MP_SSIZE_MAX INT64_MAX
#define UINT_FMT "%lu"
#define INT_FMT "%ld"

#define MP_STATE_PORT MP_STATE_VM
