/* The refusals of bundlemgrd and execd: of what is there and what is not, by a rule and for want of one, of another's and of nobody's. */
#pragma once

#include <stdint.h>

void bundle_refusals(void);
void exec_refusals(uint32_t others_child);
