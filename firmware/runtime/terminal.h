/*
 * Bytes of the shell's terminal, both ways: between MicroPython and the queues of a port of a virtio console that a driver has opened
 * (guest/drivers/virtio_console.py). Included by who reads, prints and sleeps in the shell. Nothing here prints, or changes a byte.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a driver holds: the port's two queues, the one that the device tells of its ports by, and how it makes itself heard. */
struct terminal_handles {
    uint64_t receive, send, control, irq, notification;
};

/* Once in a process's life: the port is open, and all control buffers are lent, piece i of the window as buffer i. */
void terminal_open(const struct terminal_handles *handles, bool connected);

/* Whether a driver has opened the terminal; before that nothing is read, and what is written is nobody's. */
bool terminal_is_open(void);

/* Whether somebody has the other end; what is written while nobody does, is lost. */
bool terminal_is_connected(void);

/* The next byte that was typed; waits for it. An interrupt or another pending exception is raised here. */
int terminal_read(void);

/* Whether terminal_read would not wait. */
bool terminal_ready(void);

/*
 * Write all of it: when this comes back, the device has the bytes. Waits as long as the host takes none, and goes on listening meanwhile;
 * once the interrupt character has come, the rest is not written and the interrupt is pending.
 */
void terminal_write(const char *text, size_t bytes);

/*
 * What the VM calls between two bytecodes while notification bits are pending: takes in what was typed. Never raises, and waits for
 * milliseconds at most, when too much is going on.
 */
void terminal_poll(void);

/* Wait until something came or `deadline` (ticks since reset, nexus_time; 0: for ever). Never raises: the caller looks. */
void terminal_wait(uint64_t deadline);

/* The interrupt character, or -1 for none: it is taken out of what was typed, also before it was set, and interrupts instead. */
void terminal_set_interrupt(int character);
int terminal_interrupt(void);
