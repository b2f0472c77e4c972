/*
 * What the files of this port share: console, ROMFS, and the entry values that the kernel stated at start.
 * Never included by anything outside firmware/runtime.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* console.c: text becomes lines, lines go to the console capability. */
void console_init(uint64_t handle);
void console_text(const char *text, size_t bytes);
void console_flush(void);
uint64_t console_line(const void *text, size_t bytes);

/* rom.c: where import finds code. */
void rom_mount(const uint8_t *romfs, size_t bytes);

/* kernel_module.c: what kernel.incarnation() tells. */
void kernel_module_init(uint64_t incarnation);
