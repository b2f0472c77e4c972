# The honest twin of the hostile apps: started in the same way, it uses what its manifest names and ends. What holds of them has to
# hold of it too, or the test looks at nothing.

import contract
import kernel
import tries

found = tries.routes()
tries.ask(found[b"keystored"], contract.OP_KEYSTORED_PUT, b"\x05quietvalue")
tries.ask(found[b"keystored"], contract.OP_KEYSTORED_GET, b"quiet")
tries.ask(found[b"rngd"], contract.OP_RNGD_GET_ENTROPY, b"\x10\x00")
print("quiet")
tries.rest(contract.LIMIT_TICK_HZ // 10)
kernel.exit(7)
