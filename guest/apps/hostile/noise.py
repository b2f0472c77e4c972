# Fills the console as fast as it can: many times what the kernel can hold. For ever would be no worse, and more to read.

import kernel

LINE = "noise " * 40

for _ in range(3000):
    kernel.console(LINE)
kernel.exit(0)
