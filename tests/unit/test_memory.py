"""The memory functions of every user program (firmware/native/memory.c), compiled for this computer under ASan and UBSan.

Scenario: every alignment of both ends and every length around the word and block sizes, against the plainest loop; buffers
end where the function may no longer write, so one byte too many is seen.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

NATIVE = Path(__file__).resolve().parents[2] / "firmware" / "native"
NAMES = ("memcpy", "memmove", "memset", "memcmp")

DRIVER = r"""
#include <stdio.h>
#include <stdlib.h>
#include "user.h"

enum { LONGEST = 100, ALIGNMENTS = 8, ROOM = 3 * LONGEST };

static uint8_t seed;
static void fill(uint8_t *p, size_t n) { for (size_t i = 0; i < n; i++) p[i] = seed = (uint8_t)(seed * 5 + 1); }
static void need(int right, const char *what, size_t a, size_t b, size_t n) {
    if (!right) { printf("%s %zu %zu %zu\n", what, a, b, n); exit(1); }
}
static int equal(const uint8_t *a, const uint8_t *b, size_t n) {
    for (size_t i = 0; i < n; i++) if (a[i] != b[i]) return 0;
    return 1;
}

static void check_copy(size_t a, size_t b, size_t n) {
    uint8_t *to = malloc(a + n + 1), *from = malloc(b + n + 1);
    fill(to, a + n), fill(from, b + n);
    need(own_memcpy(to + a, from + b, n) == to + a, "result", a, b, n);
    need(equal(to + a, from + b, n), "memcpy", a, b, n);
    need(own_memcmp(to + a, from + b, n) == 0, "memcmp equal", a, b, n);
    for (size_t i = 0; i < n; i++) {
        to[a + i] ^= 0x80;
        int order = own_memcmp(to + a, from + b, n);
        need((order > 0) == (to[a + i] > from[b + i]) && order != 0, "memcmp", a, i, n);
        to[a + i] ^= 0x80;
    }
    free(to), free(from);
}

static void check_move(size_t a, size_t b, size_t n) {
    static uint8_t before[ROOM], after[ROOM];
    fill(before, ROOM);
    for (size_t i = 0; i < ROOM; i++) after[i] = before[i];
    own_memmove(after + LONGEST + a, after + LONGEST + b, n);
    need(equal(after + LONGEST + a, before + LONGEST + b, n), "memmove", a, b, n);
    need(equal(after, before, LONGEST + a), "memmove below", a, b, n);
    size_t end = LONGEST + a + n;
    need(equal(after + end, before + end, ROOM - end), "memmove above", a, b, n);
}

static void check_set(size_t a, size_t n) {
    uint8_t *to = malloc(a + n + 1);
    fill(to, a + n);
    own_memset(to + a, 0x1a5, n);
    for (size_t i = 0; i < n; i++) need(to[a + i] == 0xa5, "memset", a, i, n);
    free(to);
}

int main(void) {
    for (size_t a = 0; a < ALIGNMENTS; a++)
        for (size_t n = 0; n <= LONGEST; n++) {
            check_set(a, n);
            for (size_t b = 0; b < ALIGNMENTS; b++) check_copy(a, b, n);
            for (size_t b = 0; b < 2 * LONGEST - n; b += n < 20 ? 1 : 7) check_move(a, b, n), check_move(b % LONGEST, a, n);
        }
    puts("done");
    return 0;
}
"""


@pytest.mark.parametrize("level", ["-O0", "-O2"])
def test_memory_functions_do_what_the_plain_loops_do(tmp_path: Path, level: str) -> None:
    (tmp_path / "driver.c").write_text(DRIVER, encoding="utf-8")
    flags = ["-std=gnu11", level, "-Wall", "-Wextra", "-Werror", "-fno-builtin", "-fno-tree-loop-distribute-patterns"]
    flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{NATIVE}"]
    flags += [f"-D{name}=own_{name}" for name in NAMES]
    program = tmp_path / "memory"
    subprocess.run(["cc", *flags, "-o", program, tmp_path / "driver.c", NATIVE / "memory.c"], check=True)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr
