/*
 * Runs one case of the kernel's host tests by name, each in a process of its own, or lists them. Called by
 * tests/unit/test_kernel_host.py. Exit code 0 only if the case ran to its end.
 */
#include "host.h"

static struct test_case *cases;

void register_case(struct test_case *one) {
    one->next = cases;
    cases = one;
}

static int run(const char *name) {
    for (struct test_case *one = cases; one; one = one->next) {
        if (strcmp(one->name, name) != 0) continue;
        one->run();
        check_invariants();
        return 0;
    }
    fprintf(stderr, "no case is named %s\n", name);
    return 2;
}

int main(int count, char **arguments) {
    if (count == 2) return run(arguments[1]);
    for (struct test_case *one = cases; one; one = one->next) puts(one->name);
    return 0;
}
