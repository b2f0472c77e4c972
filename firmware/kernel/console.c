/*
 * The console: one FIFO of whole lines, each with the label that the kernel holds for its writer. A line is taken whole or not at
 * all and nobody waits; refused lines are counted and told. Called by syscall.c and, for the kernel's own lines, by everyone.
 */
#include <stdarg.h>

#include "kernel.h"

enum { MAX_LINES = 1024, KERNEL_WRITER = 0xff, BURST = 64, ESCAPED = 4 };
/* No line counts for less, so that room for lines never ends before room for bytes and what is reserved is so of both. */
enum { LEAST_COST = LIMIT_CONSOLE_BYTES / MAX_LINES };

/* Whose work fills so much of a server's quota waits until no more than so much is left. */
enum { STALLS = 2, GOES_ON = 4 };

static uint8_t fifo[LIMIT_CONSOLE_BYTES];
static uint32_t fifo_head, fifo_used, fifo_cost;
static struct { uint16_t bytes; uint8_t writer; } lines[MAX_LINES];
static uint32_t line_head, line_count, line_sent;
static uint64_t lost_lines;
static uint32_t kernel_lost;
static bool something_lost;

void console_init(void) { uart_interrupts(false); }

static void put(uint8_t byte) {
    fifo[(fifo_head + fifo_used) % LIMIT_CONSOLE_BYTES] = byte;
    fifo_used++;
}

static void put_text(const char *text) {
    while (*text) put((uint8_t)*text++);
}

/* --- what a line becomes --- */

static bool printable(uint8_t c) { return c >= 0x20 && c < 0x7f && c != '\\'; }

static void put_escaped(uint8_t c) {
    if (printable(c)) {
        put(c);
        return;
    }
    put('\\');
    put('x');
    put((uint8_t)"0123456789abcdef"[c >> 4]);
    put((uint8_t)"0123456789abcdef"[c & 15]);
}

/* Bytes and pieces that a text takes on the wire: "<label>: ", then "<label>| " for each further LIMIT_LINE_BYTES. */
static uint32_t wire_bytes(uint32_t label, const char *text, uint32_t bytes) {
    uint32_t total = 0, column = LIMIT_LINE_BYTES;
    for (uint32_t i = 0; i < bytes; i++) {
        uint32_t width = printable((uint8_t)text[i]) ? 1 : ESCAPED;
        if (column + width > LIMIT_LINE_BYTES) {
            total += label + 3;
            column = 0;
        }
        column += width;
        total += width;
    }
    return total;
}

static void put_line(const char *label, const char *text, uint32_t bytes) {
    uint32_t column = LIMIT_LINE_BYTES;
    for (uint32_t i = 0; i < bytes; i++) {
        uint32_t width = printable((uint8_t)text[i]) ? 1 : ESCAPED;
        if (column + width > LIMIT_LINE_BYTES) {
            if (i) put('\n');
            put_text(label);
            put_text(i ? "| " : ": ");
            column = 0;
        }
        put_escaped((uint8_t)text[i]);
        column += width;
    }
    put('\n');
}

static uint32_t length_of(const char *text) {
    uint32_t n = 0;
    while (text[n]) n++;
    return n;
}

/* --- taking lines --- */

static uint32_t cost_of(uint32_t size) { return size < LEAST_COST ? LEAST_COST : size; }

static bool append(const char *label, uint8_t writer, uint32_t keep_free, const char *text, uint32_t bytes, uint32_t size) {
    if (fifo_cost + cost_of(size) + keep_free > LIMIT_CONSOLE_BYTES) return false;
    fifo_cost += cost_of(size);
    lines[(line_head + line_count) % MAX_LINES].bytes = (uint16_t)size;
    lines[(line_head + line_count) % MAX_LINES].writer = writer;
    if (line_count++ == 0) uart_interrupts(true);
    put_line(label, text, bytes);
    return true;
}

static uint32_t quota_of(const struct process *p) {
    return p->row->flags & IMAGE_CONSOLE_RESERVED ? LIMIT_CONSOLE_RESERVED : LIMIT_CONSOLE_QUOTA;
}

status_t console_write(struct process *p, const char *text, uint32_t bytes) {
    bool reserved = p->row->flags & IMAGE_CONSOLE_RESERVED;
    uint32_t quota = quota_of(p);
    uint32_t size = wire_bytes(length_of(process_label(p)), text, bytes);
    if (p->console_used + cost_of(size) <= quota &&
        append(process_label(p), (uint8_t)p->index, reserved ? 0 : LIMIT_CONSOLE_RESERVED, text, bytes, size)) {
        p->console_used += cost_of(size);
        if (p->payer != p->index && p->console_used > quota / STALLS) sched_stall(&processes[p->payer], p->index);
        return E_OK;
    }
    p->console_lost++;
    lost_lines++;
    something_lost = true;
    return E_FULL;
}

uint64_t console_lost_lines(void) { return lost_lines; }

uint32_t console_waiting_bytes(void) { return fifo_used; }

/* A freed app's label goes: what is still in the FIFO was written out with it already. */
void console_forget(struct process *p) {
    for (uint32_t i = 0; i < line_count; i++)
        if (lines[(line_head + i) % MAX_LINES].writer == p->index) lines[(line_head + i) % MAX_LINES].writer = KERNEL_WRITER;
    kernel_lost += p->console_lost; /* told, though no more under its name */
    p->console_used = p->console_lost = 0;
}

/* --- the kernel's own lines --- */

enum { SAY_BYTES = 256 };
struct sentence { char text[SAY_BYTES]; uint32_t bytes; };

static void add_char(struct sentence *s, char c) {
    if (s->bytes < SAY_BYTES) s->text[s->bytes++] = c;
}

static void add_number(struct sentence *s, uint64_t value, uint32_t base, uint32_t width) {
    char digits[20];
    uint32_t n = 0;
    do {
        digits[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value || n < width);
    while (n) add_char(s, digits[--n]);
}

/* %s, %u and %lx (16 digits) only. */
static void add_format(struct sentence *s, const char *format, va_list args) {
    for (; *format; format++) {
        if (*format != '%') {
            add_char(s, *format);
            continue;
        }
        format++;
        if (*format == 's') {
            for (const char *text = va_arg(args, const char *); *text; text++) add_char(s, *text);
        } else if (*format == 'u') {
            add_number(s, va_arg(args, uint32_t), 10, 1);
        } else {
            format++;
            add_number(s, va_arg(args, uint64_t), 16, 16);
        }
    }
}

void console_say(const char *format, ...) {
    struct sentence s = {.bytes = 0};
    va_list args;
    va_start(args, format);
    add_format(&s, format, args);
    va_end(args);
    uint32_t size = wire_bytes(sizeof "kernel" - 1, s.text, s.bytes);
    if (append("kernel", KERNEL_WRITER, 0, s.text, s.bytes, size)) return;
    kernel_lost++;
    lost_lines++;
    something_lost = true;
}

static void say_lost_of(const char *label, uint32_t *lost) {
    uint32_t count = *lost;
    *lost = 0;
    console_say("console lost label=%s lines=%u", label, count);
}

/* Lost lines are told as soon as there is room again, one writer each time. */
static void say_lost(void) {
    if (fifo_cost >= LIMIT_CONSOLE_BYTES / 2) return;
    for (uint32_t i = 0; i < PROCESS_SLOTS; i++) {
        if (processes[i].console_lost == 0) continue;
        say_lost_of(process_label(&processes[i]), &processes[i].console_lost);
        return;
    }
    if (kernel_lost) say_lost_of("kernel", &kernel_lost);
    else something_lost = false;
}

/* --- sending --- */

/* A line of this writer is out. */
static void written(struct process *p, uint32_t cost) {
    uint32_t mark = quota_of(p) / GOES_ON;
    bool above = p->console_used > mark;
    p->console_used -= cost;
    if (above && p->console_used <= mark) sched_caught_up(p->index);
}

/* One byte to the device; false when it takes none or nothing is left. */
static bool send_one(void) {
    if (fifo_used == 0 || !uart_put(fifo[fifo_head])) return false;
    fifo_head = (fifo_head + 1) % LIMIT_CONSOLE_BYTES;
    fifo_used--;
    if (++line_sent < lines[line_head].bytes) return true;
    uint8_t writer = lines[line_head].writer;
    fifo_cost -= cost_of(line_sent);
    if (writer != KERNEL_WRITER) written(&processes[writer], cost_of(line_sent));
    line_head = (line_head + 1) % MAX_LINES;
    line_count--;
    line_sent = 0;
    return true;
}

void console_interrupt(void) {
    for (uint32_t i = 0; i < BURST && send_one(); i++) {}
    if (something_lost) say_lost();
    uart_interrupts(fifo_used > 0);
}

/*
 * Before the finisher: everything out, or as much as the host takes. Time alone can't tell that it takes no more: it also passes while
 * the emulator itself is kept from running. So the device must have refused often enough as well.
 */
void console_drain(void) {
    uint64_t end = arch_time() + LIMIT_DRAIN_TICKS;
    for (uint32_t refused = 0; refused < LIMIT_DRAIN_POLLS || arch_time() < end; refused++) {
        if (something_lost) say_lost();
        if (fifo_used == 0 && uart_idle()) return;
        if (send_one()) refused = 0;
    }
}
