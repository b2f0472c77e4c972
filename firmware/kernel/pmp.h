/* Physical memory protection: set once by main, never changed. The entries are drawn in memlayout.h. */
#pragma once

void pmp_init(void);
