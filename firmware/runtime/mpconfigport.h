/*
 * What the interpreter can do, for its two builds: NEXUS_SHELL 0 (service: runs what the image holds and nothing else) and
 * 1 (shell: with compiler and all that a prompt needs). Read by every MicroPython file. A feature left out of the service
 * is left out of its ELF, which tests/os/test_runtime.py proves by symbols.
 */
#include <alloca.h>
#include <stddef.h>
#include <stdint.h>

#if NEXUS_SHELL
#include "config_shell.h"
#else
#include "config_service.h"
#endif

/* ---- Both load compiled code from the ROMFS and run it in place; native code can run in neither. ---- */
#define MICROPY_PERSISTENT_CODE_LOAD    (1)
#define MICROPY_READER_VFS              (1)
#define MICROPY_VFS_ROM                 (1)
#define MICROPY_VFS_ROM_IOCTL           (0)

#define MICROPY_ENABLE_GC               (1)
#define MICROPY_ENABLE_EMERGENCY_EXCEPTION_BUF (1)
#define MICROPY_LONGINT_IMPL            (MICROPY_LONGINT_IMPL_MPZ)
#define MICROPY_USE_INTERNAL_PRINTF     (0)
#define MICROPY_PY_ASYNCIO              (0)

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
