/*
 * Takes the kernel and the model through the same steps, one at a time, and fails at the first difference. Used by the random
 * walks and by the exhaustive search.
 */
#pragma once

#include "model.h"

extern uint64_t explored_steps;

void explore_boot(struct model *m);   /* both, from reset */
void explore_afresh(struct model *m); /* the kernel by restarting everybody, the model from its start */
void explore_step(struct model *m, const struct step *s);
uint16_t explore_find(const struct model *m, uint16_t holder, uint8_t type, uint16_t object, uint8_t rights); /* NO_TOKEN */
