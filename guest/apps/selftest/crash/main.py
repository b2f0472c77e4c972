# crash: reads the first byte of the compiled policy, which is mapped into policyd and nowhere else. Started by the selftest.

import kernel

kernel.policy(1, "B")[0]
