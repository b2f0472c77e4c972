/*
 * The 16550 of -M virt, output only. Called by console.c and, without interrupts, by panic.c. Touches registers, knows no lines.
 */
#include "kernel.h"

enum { UART_DATA = 0, UART_INTERRUPTS = 1, UART_FIFO = 2, UART_LINE = 3, UART_STATUS = 5 };
enum { INTERRUPT_EMPTY = 2, FIFO_ON = 7, LINE_8N1 = 3, STATUS_EMPTY = 0x20, STATUS_IDLE = 0x40 };

void uart_init(void) {
    mmio_write8(UART_BASE + UART_INTERRUPTS, 0);
    mmio_write8(UART_BASE + UART_LINE, LINE_8N1);
    mmio_write8(UART_BASE + UART_FIFO, FIFO_ON);
}

/* False while the device can't take a byte: a host that does not read holds it up. */
bool uart_put(uint8_t byte) {
    if (!(mmio_read8(UART_BASE + UART_STATUS) & STATUS_EMPTY)) return false;
    mmio_write8(UART_BASE + UART_DATA, byte);
    return true;
}

/* Whether the byte taken last is out, too: one that the host has no room for stays in the device, and is lost with it. */
bool uart_idle(void) { return mmio_read8(UART_BASE + UART_STATUS) & STATUS_IDLE; }

void uart_interrupts(bool on) { mmio_write8(UART_BASE + UART_INTERRUPTS, on ? INTERRUPT_EMPTY : 0); }
