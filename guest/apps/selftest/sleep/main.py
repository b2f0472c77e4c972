# sleep: waits for some time and ends. Started by the selftest, which is waiting for it by then.

import caps
import client
import contract
import kernel

try:
    kernel.wait(caps.NOTIFICATION, client.deadline(contract.APP_SLEEP_TICKS))
except kernel.Error:
    kernel.exit(contract.APP_EXIT_SLEPT)
