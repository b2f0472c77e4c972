/* The refusals that must not differ: by a rule, for want of a rule, of what does not exist. */
#pragma once

#include "request.h"

struct refusal { const char *name; struct request request; }; /* operation and class, with a dot between */

/* Classes of one operation, names of one length: every cost of each, of so many requests. */
void say_refusals(const struct refusal *classes, size_t count, uint32_t rounds);
void refusal_rows(void);
