/* Every request that can be, and its one answer. Used by main.c of vault's caller. */
#pragma once

/* Needs a vault without a key, and leaves it so. */
void sweep(void);
