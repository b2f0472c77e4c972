/*
 * What the files of this port share: console, ROMFS, the life of the process, and the entry values that the kernel stated at start.
 * Never included by anything outside firmware/runtime.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    EXIT_STATUS_OK = 0,
    EXIT_STATUS_UNCAUGHT = 1,
    EXIT_STATUS_BROKEN = 2, /* the interpreter itself gave up, or was to begin with what is no module's name */
};

/* The memory that a life of the interpreter begins with. */
struct memory {
    const uint8_t *romfs;
    size_t romfs_bytes;
    void *heap;
    size_t heap_bytes;
};

/* service.c or shell.c: what the process does until it ends; gives its exit status. */
int runtime_life(const struct memory *memory);

/* What an import raised that nobody caught, by one line on the console; gives the exit status that stands for it. */
int uncaught_status(void *raised);

/* console.c: text becomes lines, lines go to the console capability. */
void console_init(uint64_t handle);
void console_text(const char *text, size_t bytes);
void console_flush(void);
uint64_t console_line(const void *text, size_t bytes);

/* rom.c: where the service's import finds code. */
void rom_mount(const uint8_t *romfs, size_t bytes);

/* kernel_module.c: what kernel.incarnation() tells. */
void kernel_module_init(uint64_t incarnation);
