# first: prints its line and ends with the time at which it had done so, which is all that `bench` wants of it.

import fill
import kernel

import nexus

print("first line")
kernel.exit(kernel.time() if nexus and fill.FILL else 0)
