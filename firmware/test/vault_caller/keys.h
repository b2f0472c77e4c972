/* The key of vault as its caller sees it: made, told, destroyed, lost with its process. Used by main.c and sweep.c of vault's caller. */
#pragma once

#include "help.h"

/* The last answer is about the key that is known; `fresh`: about a new one, which is known from now on. */
void keys_check(bool fresh);
void keys_check_gone(void); /* the last answer says that the known key was destroyed */

/* Steps of the script. */
void keys_setup(void);
void keys_seed(void);
void keys_destroy(void);
void keys_kill(void);
void keys_restart(void);
void keys_starve(void);  /* rngd has no entropy */
void keys_orphan(void);  /* there is no rngd for a while */
void keys_answers(void); /* rngd answers wrongly */
