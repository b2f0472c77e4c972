/*
 * What a program compiled with -fsanitize-coverage=trace-pc has run through, told to whoever feeds it: linked into the C that native.py fuzzes.
 * The file named by NEXUS_COVER is shared memory: how many places were passed since its reader emptied it, their numbers, and a mark for each.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PLACES = 1 << 16 };

struct cover {
    uint32_t count;
    uint16_t passed[PLACES];
    uint8_t marked[PLACES];
};

extern char __executable_start;
static struct cover none, *cover = &none;

/* Answers must reach the reader before the next question is awaited. */
__attribute__((constructor)) static void start(void) {
    const char *name = getenv("NEXUS_COVER");
    int file = name ? open(name, O_RDWR) : -1;
    void *shared = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *cover, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (shared == MAP_FAILED) _exit(2);
    cover = shared;
    setvbuf(stdout, NULL, _IONBF, 0);
}

/* Called by the compiler's instrumentation at every edge. */
void __sanitizer_cov_trace_pc(void) {
    uint16_t place = (uint16_t)((uintptr_t)__builtin_return_address(0) - (uintptr_t)&__executable_start);
    if (cover->marked[place]) return;
    cover->marked[place] = 1;
    cover->passed[cover->count++] = place;
}
