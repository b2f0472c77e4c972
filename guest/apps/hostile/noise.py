# Fills the console as fast as it can: many times what the kernel can hold. Stays, so that what was lost is told under its name.

import kernel
import tries

LINE = "noise " * 40

for _ in range(3000):
    kernel.console(LINE)
tries.linger()
