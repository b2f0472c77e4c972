/*
 * The interpreter of the shell: what upstream's QEMU port switches on (level "extra features", single floats in software, no threads, no
 * asyncio), so that MicroPython's own tests mean the same here. Included by mpconfigport.h. Code typed at the prompt has the rights of
 * the shell process, whatever modules it finds.
 */
#define MICROPY_CONFIG_ROM_LEVEL (MICROPY_CONFIG_ROM_LEVEL_EXTRA_FEATURES)

#define MICROPY_FLOAT_IMPL              (MICROPY_FLOAT_IMPL_FLOAT)
#define MICROPY_MALLOC_USES_ALLOCATED_SIZE (1)
#define MICROPY_MEM_STATS               (1)
#define MICROPY_WARNINGS                (1)
#define MICROPY_STACK_CHECK_MARGIN      (8192) /* what C below the last check may take */
#define MP_NEED_LOG2                    (1)
#ifndef MICROPY_OPT_COMPUTED_GOTO
#define MICROPY_OPT_COMPUTED_GOTO       (1)
#endif

#define MICROPY_VFS                     (1)
#define MICROPY_PY_TIME_TIME_TIME_NS    (1)
#define MICROPY_PY_TIME_GMTIME_LOCALTIME_MKTIME (1)
#define MICROPY_PY_TIME_INCLUDEFILE     "time_port.h"
#define MICROPY_PY_MACHINE              (1)
#define MICROPY_PY_MACHINE_INCLUDEFILE  "machine_port.h"
#define MICROPY_PY_MACHINE_RESET        (1)
#define MICROPY_PY_MACHINE_PIN_BASE     (1)

/*
 * Between two bytecodes: notification bits that wait for the process, by the word that the kernel keeps in the IPC page (user.ld), may
 * mean that Ctrl-C was typed. The only way to interrupt a loop: no process is ever interrupted by another one. The bare build does
 * without, so that what isolation costs has this in it.
 */
#if !NEXUS_BARE
extern const volatile uint64_t ipc_pending;
void terminal_poll(void);
#define MICROPY_VM_HOOK_LOOP            if (__builtin_expect(ipc_pending != 0, 0)) terminal_poll();
#endif

/* While C waits, as select.poll does: shortly, so that objects that are ready without an interrupt are seen. */
void shell_wait(void);
#define MICROPY_INTERNAL_WFE(TIMEOUT_MS) shell_wait()

/* Where the prompt of C is left (shell.c). */
void shell_after_exec(int result);
#define MICROPY_BOARD_AFTER_PYTHON_EXEC(input_kind, exec_flags, value, result) shell_after_exec(*(result))
