# One virtqueue behind the kernel's fence: rings and descriptors are the kernel's, the driver names pieces of its own DMA
# window. Used by drivers. Every wait has a deadline; a device that broke a rule ends as DeviceError, never as data.

import contract
import kernel


# The device can't be used; args[0] is the contract's line that says why.
class DeviceError(Exception):
    pass


# The device has given nothing for a while; it may still come back.
class Silent(DeviceError):
    pass


class Virtqueue:
    def __init__(self, queue, irq, notification):
        self.queue = queue
        self.irq = irq
        self.notification = notification

    # Once, between FEATURES_OK and DRIVER_OK.
    def setup(self):
        _guarded(kernel.queue_setup, self.queue)

    # Lend the device one buffer of up to LIMIT_QUEUE_SEGMENTS pieces (kernel.segment) and tell it so. Its id.
    def post(self, *segments):
        return _guarded(kernel.queue_post, self.queue, *segments)

    # The oldest finished buffer: its id, and how many bytes the device put into it. None when the deadline passed first.
    def take(self, until):
        while True:
            done = _guarded(kernel.queue_take, self.queue)
            if done is not None:
                return done
            if not self._sleep(until):
                return _guarded(kernel.queue_take, self.queue)  # it may have come while we were not running

    # Let the interrupt come again: once at the start, and after each of its notifications, whoever took it.
    def acknowledge(self):
        _guarded(kernel.irq_ack, self.irq)

    # Whether something woke us before the deadline. What finished before acknowledge() is still pending after it:
    # the caller asks the queue again, so no completion is slept over.
    def _sleep(self, until):
        try:
            kernel.wait(self.notification, until)
        except kernel.Error as error:
            if error.args[0] == contract.E_DEADLINE:
                return False
            raise DeviceError(contract.LINE_DEVICE_BROKEN)
        self.acknowledge()
        return True


# A kernel call for which a refusal means that device or fence are out of order.
def _guarded(function, *arguments):
    try:
        return function(*arguments)
    except kernel.Error:
        raise DeviceError(contract.LINE_DEVICE_BROKEN)
