# Before the first prompt of a shell process, and once in its life: opens the terminal. Imported by the interpreter's own start
# (firmware/runtime/shell.c). Without a terminal the process is of no use to anybody and ends.

import caps
import contract
import kernel
from virtio_console import VirtioConsole
from virtqueue import DeviceError, Silent

_QUEUES = (
    caps.QUEUE_TERMINAL_0,
    caps.QUEUE_TERMINAL_1,
    caps.QUEUE_TERMINAL_2,
    caps.QUEUE_TERMINAL_3,
    caps.QUEUE_TERMINAL_4,
    caps.QUEUE_TERMINAL_5,
)


# A device that is silent may still come back: the supervisor tries again.
def _open():
    try:
        console = VirtioConsole(caps.DEVICE_TERMINAL, _QUEUES, caps.IRQ_TERMINAL, caps.NOTIFICATION)
        console.open(kernel.time() + contract.LIMIT_TERMINAL_TICKS)
    except Silent:
        kernel.exit(contract.LEAVE_FAILED)
    except DeviceError:
        kernel.exit(contract.LEAVE_FINAL)


_open()
