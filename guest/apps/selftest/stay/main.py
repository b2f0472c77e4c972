# stay: one record in the log, then it waits for what never comes. Started and killed by the selftest.

import caps
import contract
import kernel
import speaking

speaking.say(contract.APP_SAID_HELLO)
while True:
    kernel.wait(caps.NOTIFICATION)
