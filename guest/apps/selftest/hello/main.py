# hello: one record in the log, under the name that the kernel gives it, and an exit status of its own. Started by the selftest.

import contract
import kernel
import speaking

speaking.say(contract.APP_SAID_HELLO)
kernel.exit(contract.APP_EXIT_DONE)
