/* The refusals that must not differ: by a rule, for want of a rule, of what does not exist. */
#pragma once

void refusal_rows(void);
