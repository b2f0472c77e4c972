/* rngd as the same program plays it in system test-vault-answers: every wrong answer once, then right ones. Used by main.c and keys.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

bool source_wanted(void);            /* this process has an endpoint to serve */
_Noreturn void source_serve(void);

extern const size_t source_answers;  /* how many are wrong */
int source_outcome(size_t index);    /* what vault must say of that one */
