# fill: writes a sequence of bytes that stands nowhere else all over its heap, and stays. Started and killed by tests/os/test_exec.py, which
# knows the sequence and looks for it in the whole memory of the machine.

import caps
import kernel

# Worked out here, so that no program or bundle holds it.
filled = bytearray(64 * 1024)
value = 0x5A
for at in range(len(filled)):
    value = (value * 167 + 13) & 0xFF
    filled[at] = value ^ at >> 8 & 0xFF
print("filled")
while True:
    kernel.wait(caps.NOTIFICATION)
